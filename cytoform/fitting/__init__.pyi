from .api import fit
from .bodies import Body, register_body
from .callbacks import Callback, Film, Progress
from .config import FitConfig
from .filaments.api import fit_filaments
from .filaments.config import FilamentsConfig
from .filaments.result import FilamentsResult
from .job import FitJob
from .joint.api import fit_scene
from .joint.labels import scene_from_labels
from .joint.result import SceneResult
from .priors.smoothness import Prior
from .references import ImageFile, Region
from .result import FitResult, load_result
from .spots.api import fit_points
from .spots.config import PointsConfig
from .spots.result import PointsResult
from .uncertainty import Uncertainty
from .verdict import Verdict

__all__ = [
    "Body",
    "Callback",
    "FilamentsConfig",
    "FilamentsResult",
    "Film",
    "FitConfig",
    "FitJob",
    "FitResult",
    "ImageFile",
    "PointsConfig",
    "PointsResult",
    "Prior",
    "Progress",
    "Region",
    "SceneResult",
    "Uncertainty",
    "Verdict",
    "fit",
    "fit_filaments",
    "fit_points",
    "fit_scene",
    "load_result",
    "register_body",
    "scene_from_labels",
]

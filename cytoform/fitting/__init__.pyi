from .api import fit
from .bodies import Body, register_body
from .callbacks import Callback, Film, Progress
from .config import FitConfig
from .job import FitJob
from .joint.api import fit_scene
from .joint.labels import scene_from_labels
from .joint.result import SceneResult
from .priors.smoothness import Prior
from .references import ImageFile, Region
from .result import FitResult, load_result
from .uncertainty import Uncertainty
from .verdict import Verdict

__all__ = [
    "Body",
    "Callback",
    "Film",
    "FitConfig",
    "FitJob",
    "FitResult",
    "ImageFile",
    "Prior",
    "Progress",
    "Region",
    "SceneResult",
    "Uncertainty",
    "Verdict",
    "fit",
    "fit_scene",
    "load_result",
    "register_body",
    "scene_from_labels",
]

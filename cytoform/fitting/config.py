"""Settings of a fit: one frozen object, checked when made, stored with what it produced."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..optics import Camera
from ..options import option
from .plain import plain_number, shown

__all__ = ["FitConfig"]

# Former names of settings; FitConfig still takes and reads them, with a DeprecationWarning.
RENAMED = {"smoothness": "preconditioning", "stiffness": "smoothness_weight"}
PER_STAGE = ("preconditioning", "step", "smoothness_weight", "patience", "min_gain")
INITS = ("auto", "sphere", "ellipsoid")
NUMBERS = ("int", "float", "float | None", int, float)  # types of the fields that hold one number


def _rename(name: str) -> str:
    """Return the present name of a setting, with a DeprecationWarning if `name` is its former one."""
    if name not in RENAMED:
        return name
    message = f"FitConfig's {name} is called {RENAMED[name]} now; the old name will go in version 0.3."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return RENAMED[name]


def _take_former_names(cls: type[FitConfig]) -> type[FitConfig]:
    """Let a class of settings be made and read with the former names of its fields, too."""
    make = cls.__init__

    @functools.wraps(make)
    def init(self: FitConfig, *values: Any, **named: Any) -> None:
        present = {}
        for name, value in named.items():  # no comprehension: a warning points at the caller by counting frames
            present[_rename(name)] = value
        if len(present) < len(named):
            both = [f"{old} and {new}" for old, new in RENAMED.items() if {old, new} <= set(named)]
            raise ConfigError(f"{'; '.join(both)} are one setting; expected its present name alone.")
        make(self, *values, **present)

    cls.__init__ = init  # type: ignore[method-assign]
    return cls


@_take_former_names
@dataclasses.dataclass(frozen=True)
class FitConfig:
    """Settings of a fit. Lengths in voxels refer to the geometric mean of the voxel's edges.

    Parameters
    ----------
    init : "auto", "sphere" or "ellipsoid"
        Start when no mesh is given: sphere or ellipsoid of the moments of the largest bright object
        (auto is ellipsoid).
    align_start : bool
        Begin from a given mesh stretched and shifted onto the bright object that it overlaps, where that lowers the
        loss. Either way that object joins the region of interest.
    edge : float, optional
        Mean edge length of the mesh in µm; two voxels by default.
    iterations : int
        Most shape steps, all stages together.
    blurs : tuple of float
        Stages from coarse to fine: in each, image and rendering are blurred by this σ, in voxels. With another number
        of stages than three, the defaults of what is given for each are those of the last ones.
    preconditioning : tuple of float
        λ of the preconditioner (1 + λL)^-2 that each stage's gradient passes through, L the mesh's Laplacian. A large
        λ moves the surface as a whole and slows fine shape down; it does not forbid it.
    step : tuple of float
        Longest move of a vertex in an iteration, in voxels, in each stage.
    smoothness_weight : tuple of float
        Regularisation weight of the smoothness energy (:class:`cytoform.fitting.priors.smoothness.Smoothness`) in each
        stage, in units of a negative log probability: the noisier the image, the more it counts. In the last stage a
        factor on it is estimated for every vertex where the residual is noise (empirical Bayes).
    contact_weight : float
        Weight of the energy that keeps two parts of the surface that face each other from passing through each other
        (:class:`cytoform.fitting.priors.smoothness.Contact`), in the same unit.
    infer_staining : bool
        Fit the density of the staining at every vertex with the shape.
    staining_spread : float
        Standard deviation of the density's logarithm that is expected; the image may tell that it is less.
    staining_correlation_length : float
        How far the density is alike on the surface, in voxels: the range of its correlation.
    infer_psf : bool
        Fit the PSF's parameters with the shape.
    psf_shape : "axial" or "free"
        Whether the PSF stays round about z and no narrower along it than across, as a microscope's is but for
        aberrations, or all its parameters move.
        Uneven staining can pass for blur along one direction: axial is the safer choice.
    psf_after : int
        The PSF is held for at most so many steps of the last stage, until the shape has settled.
    psf_steps, psf_step
        At a pause, most evaluations of the PSF, and the longest move of its parameters in one of them (of the surface,
        where it moves with them, in µm).
    cutoff : float
        Shape steps use the frequencies where the OTF exceeds this part of its maximum.
    tolerance : float
        Relative error allowed to the fast transform. Twice that, of the contrast, adds to the image's own noise.
    weight_floor : float
        Least weight of a dark voxel in the shape loss (brightest: 1).
    robust : float, optional
        In the last stage a residual counts in full up to so many robust standard deviations (Huber's loss, weights
        taken at each pause); None for plain least squares.
    camera : Camera, optional
        In the last stage voxels weigh as its noise says (photons and read-out): repeated least squares that come to the
        maximum of the likelihood. The image has to be the camera's raw counts.
    margin : float, optional
        The region of interest reaches this far out of the surface, µm; from the PSF by default.
    widen_roi : bool
        Take a region of interest whose rim is bright in most places, as that of a segmented cell is, as the cell's
        outline: voxels within `margin` of it count too. Otherwise such a region cuts the blurred membrane off.
    patience : tuple of float
        Each stage ends when over this many steps less than `min_gain` was gained.
    min_gain : tuple of float
        As a logarithm of the probability of image, surface and staining, what is left unexplained taken for noise.
    pause_every : int
        Most steps between pauses, in which triangles are looked after, the PSF is fitted, neighbours are told, and the
        noise is learnt anew; twice as many in early stages and where only the noise is learnt. A surface that moves far
        or wears out has them sooner.
    uncertainty : bool
        Work out standard errors at the end (:class:`cytoform.fitting.uncertainty.Uncertainty`).
    checkpoint_seconds : float
        Time between checkpoints when a folder is given.
    backend, device : str
        As for :func:`cytoform.mesh_ft`.
    dtype : "float32" or "float64"
    deterministic : bool
        Bit-identical results from run to run (finufft and FFTs on one thread).
    seed : int
        Seeds whatever is drawn at random; stored with the result.

    Raises
    ------
    ConfigError
        For a value outside its range, or of another type. Numbers of numpy are taken as Python's.
    """

    init: str = "auto"
    align_start: bool = True
    edge: float | None = option(None, metavar="µm", help="Mean edge length of the mesh; two voxels by default.")
    iterations: int = option(280, metavar="N", help="Most steps of the shape.")
    blurs: tuple[float, ...] = (2.0, 1.0, 0.0)
    preconditioning: tuple[float, ...] = (20.0, 5.0, 1.0)
    step: tuple[float, ...] = (2.0, 1.0, 0.5)
    smoothness_weight: tuple[float, ...] = (1.0, 10.0, 50.0)
    contact_weight: float = 30.0
    infer_staining: bool = True
    staining_spread: float = 0.35
    staining_correlation_length: float = 15.0
    infer_psf: bool = option(True, name="--fixed-psf", off=True, help="Keep the given PSF as it is.")
    psf_shape: str = "axial"
    psf_after: int = 30
    psf_steps: int = 4
    psf_step: float = 0.2
    cutoff: float = 0.01
    tolerance: float = 1e-3
    weight_floor: float = 1.0
    robust: float | None = None
    camera: Camera | None = None
    margin: float | None = None
    widen_roi: bool = True
    patience: tuple[float, ...] = (12, 12, 32)
    min_gain: tuple[float, ...] = (5.0, 5.0, 0.5)
    pause_every: int = 15
    uncertainty: bool = True
    checkpoint_seconds: float = 5.0
    backend: str = "auto"
    device: str = option("auto", metavar="NAME", help="auto, cpu or cuda.")
    dtype: str = "float32"
    deterministic: bool = option(False, help="Bit-identical runs, slower.")
    seed: int = option(0, metavar="N", least=0, help="Seed of whatever is drawn at random.")

    def __post_init__(self) -> None:
        self._make_plain()
        for name in ("blurs", *PER_STAGE):
            value = getattr(self, name)
            if value == getattr(FitConfig, name) and name != "blurs":  # of other stages the last ones are meant
                value = ((value[0],) * len(self.blurs) + value)[-len(self.blurs) :] if self.blurs else value
            object.__setattr__(self, name, value)
        self._need(self.init in INITS, "init", "one of " + ", ".join(INITS))
        self._need(isinstance(self.seed, int) and self.seed >= 0, "seed", "a whole number, 0 or more")
        self._need(self.edge is None or 0 < self.edge < float("inf"), "edge", "a positive length in µm, or None")
        self._need(self.iterations >= 1, "iterations", "at least 1")
        self._need(len(self.blurs) >= 1 and min(self.blurs) >= 0, "blurs", "one or more widths in voxels, 0 or more")
        self._need(self.blurs[-1] == 0, "blurs", "0 for the last stage: the image as it is")
        for name in PER_STAGE:
            values = getattr(self, name)
            positive = name in ("step", "patience", "min_gain")
            good = len(values) == len(self.blurs) and min(values) >= 0 and (not positive or min(values) > 0)
            least = "more than 0" if positive else "0 or more"
            self._need(good, name, f"{len(self.blurs)} values of {least}, one for each of blurs")
        for name in ("staining_spread", "staining_correlation_length", "psf_step", "tolerance", "checkpoint_seconds"):
            self._need(getattr(self, name) > 0, name, "a positive number")
        for name in ("psf_steps", "pause_every"):
            self._need(getattr(self, name) >= 1, name, "at least 1")
        self._need(self.psf_shape in ("axial", "free"), "psf_shape", "'axial' or 'free'")
        self._need(self.contact_weight >= 0, "contact_weight", "0 or more")
        self._need(self.psf_after >= 0, "psf_after", "0 or more steps")
        self._need(0 <= self.cutoff < 1, "cutoff", "from 0 up to, not including, 1")
        self._need(0 <= self.weight_floor <= 1, "weight_floor", "between 0 and 1")
        self._need(self.margin is None or self.margin > 0, "margin", "a positive length in µm, or None")
        self._need(self.camera is None or isinstance(self.camera, Camera), "camera", "a Camera, or None")
        self._need(self.robust is None or self.robust > 0, "robust", "a positive number, or None")
        self._need(self.backend in ("auto", "exact", "nufft"), "backend", "'auto', 'exact' or 'nufft'")
        self._need(self.device in ("auto", "cpu", "cuda"), "device", "'auto', 'cpu' or 'cuda'")
        self._need(self.dtype in ("float32", "float64"), "dtype", "'float32' or 'float64'")

    def __getattr__(self, name: str) -> Any:
        if name in RENAMED:
            return getattr(self, _rename(name))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _make_plain(self) -> None:
        """Make numbers Python's own, and what holds for each stage a tuple of them."""
        for field in dataclasses.fields(self):
            name, value = field.name, plain_number(getattr(self, field.name))
            if name in ("blurs", *PER_STAGE):
                value = self._per_stage(name, value)
            elif isinstance(value, Camera):
                inner = {f.name: plain_number(getattr(value, f.name)) for f in dataclasses.fields(value)}
                value = dataclasses.replace(value, **inner)
            elif field.type in NUMBERS and not (value is None and "None" in str(field.type)):
                self._need(isinstance(value, (int, float)), name, "a number")
            object.__setattr__(self, name, value)

    def _per_stage(self, name: str, value: Any) -> tuple[float, ...]:
        if isinstance(value, (int, float)):
            return (value,)
        try:
            self._need(not isinstance(value, (str, bytes)), name, "numbers, one for each stage")
            return tuple(float(v) for v in value)
        except (TypeError, ValueError):
            raise ConfigError(f"{name} is {shown(value)}; expected numbers, one for each stage.") from None

    def _need(self, good: bool, name: str, expected: str) -> None:
        if not good:
            raise ConfigError(f"{name} is {shown(getattr(self, name))}; expected {expected}.")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitConfig:
        """From :meth:`as_dict`; unknown names are refused."""
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"the settings are {shown(values)}; expected their values by name.",
                remedy="FitConfig().as_dict() gives all of them.",
            )
        known = {f.name for f in dataclasses.fields(cls)} | set(RENAMED)
        unknown = sorted(str(name) for name in set(values) - known)
        if unknown:
            raise ConfigError(
                f"the settings name {', '.join(unknown)}; known are {', '.join(sorted(known - set(RENAMED)))}."
            )
        camera = values.get("camera")
        if isinstance(camera, Mapping):
            try:
                camera = Camera(**camera)
            except TypeError:
                names = ", ".join(field.name for field in dataclasses.fields(Camera))
                raise ConfigError(f"the camera is {shown(camera)}; expected numbers for {names}.") from None
        return cls(**{**values, "camera": camera})

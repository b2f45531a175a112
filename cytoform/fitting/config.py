"""Settings of a fit: a frozen dataclass, checked when it is made and stored with the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..optics import Camera
from ..options import option
from .former_names import FORMER_NAMES, by_present_name, present_name, take_former_names
from .json_values import python_number, short_repr

__all__ = ["FitConfig"]

STAINS = ("membrane", "filled", "both", "auto")
PER_STAGE = ("preconditioning", "step", "smoothness_weight", "patience", "min_gain")
INITS = ("auto", "sphere", "ellipsoid")
NUMBERS = ("int", "float", "float | None", int, float)  # types of the fields that hold one number


@take_former_names
@dataclasses.dataclass(frozen=True)
class FitConfig:
    """Settings of a fit. Lengths in voxels refer to the geometric mean of the voxel's edges.

    The former names `smoothness` (now `preconditioning`), `stiffness` (`smoothness_weight`), `place_start`
    (`align_start`), `contact` (`contact_weight`) and `staining_reach` (`staining_correlation_length`) are still taken,
    with a DeprecationWarning.

    Parameters
    ----------
    init : "auto", "sphere" or "ellipsoid"
        Start if no mesh is given: the sphere or the ellipsoid with the moments of the largest bright object ("auto" is
        "ellipsoid").
    align_start : bool
        Whether to begin from a given mesh stretched and shifted onto the bright object that it overlaps, if that lowers
        the loss. Either way that object joins the region of interest.
    edge : float, optional
        Mean edge length of the mesh in µm; two voxels by default.
    iterations : int
        Most shape steps, all stages together.
    blurs : tuple of float
        Stages from coarse to fine: in each, image and rendering are blurred by a Gaussian of this σ, in voxels. Of more
        or fewer stages than three, the defaults of other settings are those of the last ones.
    preconditioning : tuple of float
        λ of the preconditioner (1 + λL)^-2 that is applied to each stage's gradient, L the mesh's Laplacian. A large λ
        moves the surface as a whole and slows fine shape down; it does not forbid it.
    step : tuple of float
        Longest move of a vertex in an iteration, in voxels, in each stage.
    smoothness_weight : tuple of float
        Regularisation weight of the smoothness energy (:class:`cytoform.fitting.priors.smoothness.Smoothness`) in each
        stage, in units of a negative log probability: the noisier the image, the more it counts. In the last stage a
        factor on it is estimated for every vertex if the residual is noise (empirical Bayes).
    contact_weight : float
        Weight of the energy that keeps two parts of the surface that face each other from passing through each other
        (:class:`cytoform.fitting.priors.smoothness.Contact`), in the same unit.
    stain : "membrane", "filled", "both" or "auto"
        What is stained: the surface; the inside of the body, as in a nucleus; or both, each with its own brightness, as
        where a membrane dye leaks into the cytoplasm. "auto" fits a membrane and a filled body for a few steps and
        takes what explains the image better.
    infer_staining : bool
        Whether to fit the density of the staining at every vertex with the shape; not for filled bodies.
    staining_spread : float
        Expected standard deviation of the density's logarithm; a smaller one may be estimated from the image.
    staining_correlation_length : float
        Range of the correlation of the staining along the surface, in voxels.
    infer_psf : bool
        Whether to fit the PSF's parameters with the shape.
    psf_shape : "axial" or "free"
        "axial" keeps the PSF rotationally symmetric about z and no narrower along z than across, as a microscope's is
        but for aberrations; "free" fits all its parameters. Uneven staining can be mistaken for blur along one
        direction: "axial" is the safer choice.
    psf_after : int
        Steps of the last stage after which the PSF is fitted at each pause, or earlier if the shape has settled.
    psf_steps : int
        Most evaluations of the PSF at a pause.
    psf_step : float
        Longest move of the PSF's parameters in one evaluation (of the surface, if it moves with them, in µm).
    cutoff : float
        Shape steps use the frequencies at which the optical transfer function exceeds this share of its maximum.
    tolerance : float
        Relative error allowed to the fast transform; four times as much where noise is larger.
    weight_floor : float
        Least weight of a dark voxel in the shape loss (brightest: 1).
    robust : float, optional
        Limit of Huber's loss in the last stage, in robust standard deviations of the residuals; its weights are
        computed at each pause. None for plain least squares.
    camera : Camera, optional
        Camera model whose noise (photons and read-out) gives each voxel its weight in the last stage, computed at each
        pause: repeated least squares that converge to the maximum of the likelihood. The image has to be the camera's
        raw counts. None for equal noise.
    margin : float, optional
        Distance that the region of interest extends outside of the surface, µm; from the PSF's width by default.
    widen_roi : bool
        Whether to treat a given region of interest as the cell's outline if most of its rim is bright, as that of a
        segmented cell is: voxels within `margin` of it count too. Otherwise such a region cuts the blurred membrane
        off.
    patience : tuple of float
        Each stage ends once this many steps have passed since it last gained `min_gain`.
    min_gain : tuple of float
        That gain in each stage, as a natural logarithm of the probability of image, surface and staining, with the
        residual taken for noise.
    convergence : float
        The fit ends once volume, area, surface and PSF would move by less than this part of their standard errors, as
        a Newton step predicts.
    pause_every : int
        Most steps between two pauses. At a pause the mesh is remeshed if needed, the PSF is fitted, neighbours are
        found and the noise is estimated. Twice as many in early stages; fewer if the
        surface moves far or its triangles become poor.
    uncertainty : bool
        Whether to compute standard errors at the end (:class:`cytoform.fitting.uncertainty.Uncertainty`).
    checkpoint_seconds : float
        Time between checkpoints if a folder is given, s.
    backend : "auto", "exact" or "nufft"
        Fourier transform of the mesh: the closed formula, the non-uniform FFT, or the one expected to be quicker.
    device : "auto", "cpu" or "cuda"
        Where the transform runs; "auto" is a CUDA device if there is one.
    dtype : "float32" or "float64"
        Working precision of the rendering.
    deterministic : bool
        Whether results are bit-identical from run to run (finufft and FFTs on one thread).
    seed : int
        Seed of all random numbers; stored with the result.

    Raises
    ------
    ConfigError
        If a value is outside its range or of another type. Numbers of numpy are taken as Python's.
    """

    init: str = "auto"
    align_start: bool = True
    edge: float | None = option(None, metavar="µm", help="Mean edge length of the mesh in µm; two voxels by default.")
    iterations: int = option(260, metavar="N", help="Maximal number of steps of the fit.")
    blurs: tuple[float, ...] = (2.0, 1.0, 0.0)
    preconditioning: tuple[float, ...] = (20.0, 5.0, 1.0)
    step: tuple[float, ...] = (2.0, 1.0, 0.5)
    smoothness_weight: tuple[float, ...] = (1.0, 10.0, 25.0)
    contact_weight: float = 30.0
    stain: str = option(
        "membrane",
        metavar="KIND",
        help="What is stained: membrane (default), filled (nuclei), both, or auto.",
    )
    infer_staining: bool = True
    staining_spread: float = 0.35
    staining_correlation_length: float = 15.0
    infer_psf: bool = option(
        True, name="--fixed-psf", off=True, help="Keep the PSF as given, instead of fitting it with the surface."
    )
    psf_shape: str = "axial"
    psf_after: int = 15
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
    convergence: float = 0.5
    pause_every: int = 15
    uncertainty: bool = True
    checkpoint_seconds: float = 5.0
    backend: str = "auto"
    device: str = option("auto", metavar="NAME", help="Processor to compute on: auto, cpu or cuda.")
    dtype: str = "float32"
    deterministic: bool = option(False, help="Make repeated runs identical to the last bit; slower.")
    seed: int = option(0, metavar="N", least=0, help="Seed of the random numbers.")

    def __post_init__(self) -> None:
        """Convert values to plain ones, adapt defaults of each stage to the number of stages, and check all values."""
        self._convert_values()
        for name in ("blurs", *PER_STAGE):
            value = getattr(self, name)
            if value == getattr(FitConfig, name) and name != "blurs":  # another number of stages takes the last values
                value = ((value[0],) * len(self.blurs) + value)[-len(self.blurs) :] if self.blurs else value
            object.__setattr__(self, name, value)
        self._require(self.init in INITS, "init", "one of " + ", ".join(INITS))
        self._require(isinstance(self.seed, int) and self.seed >= 0, "seed", "a whole number, 0 or more")
        self._require(self.edge is None or 0 < self.edge < float("inf"), "edge", "a positive length in µm, or None")
        self._require(self.iterations >= 1, "iterations", "at least 1")
        self._require(len(self.blurs) >= 1 and min(self.blurs) >= 0, "blurs", "one or more widths in voxels, 0 or more")
        self._require(self.blurs[-1] == 0, "blurs", "0 for the last stage: the image as it is")
        for name in PER_STAGE:
            values = getattr(self, name)
            positive = name in ("step", "patience", "min_gain")
            good = len(values) == len(self.blurs) and min(values) >= 0 and (not positive or min(values) > 0)
            least = "more than 0" if positive else "0 or more"
            self._require(good, name, f"{len(self.blurs)} values of {least}, one for each of blurs")
        for name in (
            "convergence",
            "staining_spread",
            "staining_correlation_length",
            "psf_step",
            "tolerance",
            "checkpoint_seconds",
        ):
            self._require(getattr(self, name) > 0, name, "a positive number")
        for name in ("psf_steps", "pause_every"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(self.stain in STAINS, "stain", "one of " + ", ".join(STAINS))
        self._require(self.psf_shape in ("axial", "free"), "psf_shape", "'axial' or 'free'")
        self._require(self.contact_weight >= 0, "contact_weight", "0 or more")
        self._require(self.psf_after >= 0, "psf_after", "0 or more steps")
        self._require(0 <= self.cutoff < 1, "cutoff", "from 0 up to, not including, 1")
        self._require(0 <= self.weight_floor <= 1, "weight_floor", "between 0 and 1")
        self._require(self.margin is None or self.margin > 0, "margin", "a positive length in µm, or None")
        self._require(self.camera is None or isinstance(self.camera, Camera), "camera", "a Camera, or None")
        self._require(self.robust is None or self.robust > 0, "robust", "a positive number, or None")
        self._require(self.backend in ("auto", "exact", "nufft"), "backend", "'auto', 'exact' or 'nufft'")
        self._require(self.device in ("auto", "cpu", "cuda"), "device", "'auto', 'cpu' or 'cuda'")
        self._require(self.dtype in ("float32", "float64"), "dtype", "'float32' or 'float64'")

    if not TYPE_CHECKING:  # a type checker refuses former names

        def __getattr__(self, name: str) -> Any:
            """Return the value of a setting by its former name, with a DeprecationWarning."""
            if name in FORMER_NAMES:
                return getattr(self, present_name(name))
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def fits_staining(self) -> bool:
        """Whether the staining of the surface is fitted: if `infer_staining` is set and the surface is stained."""
        return self.infer_staining and self.stain != "filled"

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings of a pickle, which an earlier version may have made with former names."""
        vars(self).update(by_present_name(state))

    def _convert_values(self) -> None:
        """Convert numbers of numpy to Python's and settings of each stage to tuples of floats, in place.

        Raises
        ------
        ConfigError
            If a value is no number where one is expected.
        """
        for field in dataclasses.fields(self):
            name, value = field.name, python_number(getattr(self, field.name))
            if name in ("blurs", *PER_STAGE):
                value = self._per_stage(name, value)
            elif isinstance(value, Camera):
                inner = {f.name: python_number(getattr(value, f.name)) for f in dataclasses.fields(value)}
                value = dataclasses.replace(value, **inner)
            elif field.type in NUMBERS and not (value is None and "None" in str(field.type)):
                self._require(isinstance(value, (int, float)), name, "a number")
            object.__setattr__(self, name, value)

    def _per_stage(self, name: str, value: Any) -> tuple[float, ...]:
        """Return the value of a setting of each stage as a tuple: one number becomes a tuple of length 1.

        `name` is the setting's, for the ConfigError that is raised if `value` is no number and no sequence of numbers.
        """
        if isinstance(value, (int, float)):
            return (value,)
        try:
            self._require(not isinstance(value, (str, bytes)), name, "numbers, one for each stage")
            return tuple(float(v) for v in value)
        except (TypeError, ValueError):
            raise ConfigError(f"{name} is {short_repr(value)}; expected numbers, one for each stage.") from None

    def _require(self, good: bool, name: str, expected: str) -> None:
        """Raise ConfigError if `good` is False, with the value of setting `name` and what was `expected`."""
        if not good:
            raise ConfigError(f"{name} is {short_repr(getattr(self, name))}; expected {expected}.")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for a JSON file.

        Returns
        -------
        dict of str to object
            Values by the name of the setting; a camera as the values of its fields.
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitConfig:
        """Make settings from plain values, as :meth:`as_dict` returns them.

        Parameters
        ----------
        values : mapping of str to object
            Values by the name of the setting, former names included; missing settings have their defaults.

        Returns
        -------
        FitConfig
            The settings.

        Raises
        ------
        ConfigError
            If a name is unknown or a value cannot be used.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"the settings are {short_repr(values)}; expected their values by name.",
                remedy="FitConfig().as_dict() gives all of them.",
            )
        known = {f.name for f in dataclasses.fields(cls)} | set(FORMER_NAMES)
        unknown = sorted(str(name) for name in set(values) - known)
        if unknown:
            raise ConfigError(
                f"the settings name {', '.join(unknown)}; known are {', '.join(sorted(known - set(FORMER_NAMES)))}."
            )
        camera = values.get("camera")
        if isinstance(camera, Mapping):
            names = ", ".join(field.name for field in dataclasses.fields(Camera))
            try:
                camera = Camera(**camera)
            except TypeError:
                raise ConfigError(f"the camera is {short_repr(camera)}; expected numbers for {names}.") from None
        return cls(**{**by_present_name(values), "camera": camera})

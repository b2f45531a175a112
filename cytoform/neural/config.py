"""What a network and its training are made of, checked when made and stored with what comes out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..errors import ConfigError

__all__ = ["PRESETS", "NetworkConfig", "TrainConfig", "changed", "preset"]


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least {least}.")


def _positive(name: str, value: Any) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} is {value!r}; expected a positive number.")


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(allowed)}.")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The network: coordinates (z, y, x, t) and a latent code in, a signed distance out.

    Attributes
    ----------
    latent : int
        Length of the code.
    width : int
        Units of a hidden layer.
    layers : int
        Hidden layers.
    activation : str
        ``"sine"``, sin(ω0 (W x + b)) (Sitzmann et al. 2020, arXiv 2006.09661), or ``"relu"``.
    omega : float
        ω0 of the sine.
    latent_layers : tuple of int
        Hidden layers that the code enters, counted from 1.
    coordinate_layers : tuple of int or None
        Hidden layers that the coordinates enter, counted from 1; None for all of them and the last, linear one.
    shrink : bool
        Layers give up as many units as the next one takes in by concatenation, as the published class does.

    Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991, section 3.4.
    """

    latent: int = 64
    width: int = 128
    layers: int = 9
    activation: str = "sine"
    omega: float = 30.0
    latent_layers: tuple[int, ...] = (1, 5, 8)
    coordinate_layers: tuple[int, ...] | None = None
    shrink: bool = False

    def __post_init__(self) -> None:
        for name in ("latent", "width", "layers"):
            _whole(name, getattr(self, name), 1)
        _choice("activation", self.activation, ("sine", "relu"))
        _positive("omega", self.omega)
        object.__setattr__(self, "latent_layers", self._numbers("latent_layers", self.latent_layers))
        if self.coordinate_layers is not None:
            places = self._numbers("coordinate_layers", self.coordinate_layers)
            object.__setattr__(self, "coordinate_layers", places)
            if 1 not in places:
                raise ConfigError(f"coordinate_layers is {places}; expected the first layer, 1, among them.")
        if self.shrink and min(self.widths) < 1:
            raise ConfigError(
                f"width {self.width} leaves no units beside a code of {self.latent} and 4 coordinates.",
                remedy="Make width larger, latent smaller, or leave shrink away.",
            )

    def _numbers(self, name: str, value: Any) -> tuple[int, ...]:
        numbers = tuple(sorted({int(n) for n in value}))
        if numbers and not (1 <= numbers[0] and numbers[-1] <= self.layers):
            raise ConfigError(
                f"{name} is {value!r}; expected numbers of layers from 1 to {self.layers}.",
                remedy=f"Pass {name} together with layers.",
            )
        return numbers

    def takes_code(self, layer: int) -> bool:
        """Whether the code enters this layer, counted from 0; the last, linear one has number ``layers``."""
        return layer + 1 in self.latent_layers

    def takes_coordinates(self, layer: int) -> bool:
        """Whether the coordinates enter this layer, counted from 0."""
        return self.coordinate_layers is None or layer + 1 in self.coordinate_layers

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        if not self.shrink:
            return (self.width,) * self.layers
        given = (4 * self.takes_coordinates(n) + self.latent * self.takes_code(n) for n in range(1, self.layers + 1))
        return tuple(self.width - n for n in given)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes
    ----------
    network : NetworkConfig
    optimizer : str
        ``"muon"``: orthogonalised momentum for the hidden matrices (``torch.optim.Muon``) and Adam for all else; or
        ``"adam"``.
    lr : float
        Learning rate of Adam.
    matrix_lr : float
        Muon's learning rate times ω0 (its step in phase; for ReLU ω0 counts as 1).
    code_lr, rotation_lr : float
        Adam's learning rates for codes and rotations.
    schedule : str
        ``"cosine"``, from a short warm-up down to a hundredth, or ``"halve"``, by ½ every ``halve_every`` epochs.
    epochs : int
        An epoch draws as many frames as there are.
    steps : int or None
        Steps in all, in place of ``epochs``: the same work however many sequences there are.
    batch_frames : int
        Frames a step, drawn with repetition.
    frame_points : int
        Points a frame.
    near_fraction : float
        Share of the points that lie inside or within ``near_um`` of the surface.
    near_um : float or None
        By default 0.6 µm, but two voxels at least; 0.1 of the file's unit where no scale is known.
    code_weight : float
        Weight of ‖z‖² in the loss, after a ramp over ``code_ramp`` epochs.
    code_std : float
        Standard deviation of the codes at the start.
    code_start : str
        ``"shapes"``: principal components of the sequences' distances, so that alike shapes begin with alike codes;
        with ``rotation``, of the shapes turned to be alike, and rotations start from those turns;
        ``"normal"``: N(0, code_std²), as the papers have it.
    augment : tuple of str
        ``"mirror"``: each sequence also flipped along its axes, in all 8 ways; ``"time"``: also backwards. Each variant
        has a code of its own. More shapes make the space between them smoother, and unseen ones easier to encode.
    mix : float
        Share of the draws that are a blend of two sequences: distances and codes mixed alike, so that codes in between
        mean shapes in between. Not together with ``rotation``.
    rotation : bool
        One rotation per sequence, learned.
    rotation_std : float
        The rotation's three angles start from N(0, rotation_std²), in radians, unless codes start from the shapes.
    seed : int
    """

    network: NetworkConfig = NetworkConfig()
    optimizer: str = "muon"
    lr: float = 1e-3
    matrix_lr: float = 0.015
    code_lr: float = 1e-3
    rotation_lr: float = 1e-2
    schedule: str = "cosine"
    halve_every: int = 350
    epochs: int = 100
    steps: int | None = None
    batch_frames: int = 8
    frame_points: int = 256
    near_fraction: float = 0.7
    near_um: float | None = None
    code_weight: float = 1e-4
    code_ramp: int = 1
    code_std: float = 0.1
    code_start: str = "shapes"
    augment: tuple[str, ...] = ()
    mix: float = 0.0
    rotation: bool = False
    rotation_std: float = math.pi / 8
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.network, dict):
            object.__setattr__(self, "network", NetworkConfig(**self.network))
        _choice("optimizer", self.optimizer, ("muon", "adam"))
        _choice("schedule", self.schedule, ("cosine", "halve"))
        _choice("code_start", self.code_start, ("shapes", "normal"))
        for name in ("lr", "matrix_lr", "code_lr", "rotation_lr", "code_std"):
            _positive(name, getattr(self, name))
        for name in ("epochs", "batch_frames", "frame_points", "halve_every", "code_ramp"):
            _whole(name, getattr(self, name), 1)
        if self.steps is not None:
            _whole("steps", self.steps, 1)
        _whole("seed", self.seed, 0)
        object.__setattr__(self, "augment", tuple(sorted(set(self.augment))))
        for name in self.augment:
            _choice("augment", name, ("mirror", "time"))
        if not 0.0 <= self.mix <= 1.0:
            raise ConfigError(f"mix is {self.mix!r}; expected a share from 0 to 1.")
        if self.mix and self.rotation:
            raise ConfigError("mix and rotation do not go together.", remedy="Align the data, or leave mix at 0.")
        if not 0.0 < self.near_fraction <= 1.0:
            raise ConfigError(f"near_fraction is {self.near_fraction!r}; expected a number in (0, 1].")
        if self.near_um is not None:
            _positive("near_um", self.near_um)
        for name in ("code_weight", "rotation_std"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} is {value!r}; expected a number of at least 0.")

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TrainConfig:
        """The other way round.

        Raises
        ------
        ConfigError
            When a field is unknown or out of range.
        """
        try:
            return cls(**fields)
        except TypeError as error:
            raise ConfigError(f"the training's options do not fit this version: {error}.") from error


# Ref: Wiesner et al. 2022, doi 10.1007/978-3-031-16440-8_6; 2024, doi 10.1016/j.media.2023.102991, section 5.
_PAPERS = dict(
    optimizer="adam",
    lr=1e-4,
    code_lr=1e-4,
    rotation_lr=1e-4,
    schedule="halve",
    code_ramp=100,
    code_start="normal",
)

PRESETS: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    # Mirror images, time backwards and blends fill the space between few shapes, so that unseen ones have codes in it.
    "encoding": TrainConfig(
        network=NetworkConfig(latent=128),
        steps=20_480,
        batch_frames=16,
        augment=("mirror", "time"),
        mix=0.5,
    ),
    "miccai2022": TrainConfig(
        network=NetworkConfig(latent=192),
        epochs=1250,
        halve_every=100,
        batch_frames=5,
        frame_points=1_000_000,
        code_std=0.1,
        **_PAPERS,  # type: ignore[arg-type]
    ),
    "media2024": TrainConfig(
        epochs=2000,
        halve_every=350,
        batch_frames=5,
        frame_points=1_000_000,
        code_std=0.01,
        rotation=True,
        **_PAPERS,  # type: ignore[arg-type]
    ),
}
"""Settings by name: our own, to reconstruct and generate; our own for cells that shall be encoded later; and the two
papers'. The first paper does not tell its batch; the second's stands in."""


def preset(name: str, **changes: Any) -> TrainConfig:
    """A preset with changes, as :func:`changed` takes them.

    Raises
    ------
    ConfigError
        When the preset or an option is unknown, or out of range.
    """
    _choice("preset", name, tuple(PRESETS))
    return changed(PRESETS[name], **changes)


def changed(base: TrainConfig, **changes: Any) -> TrainConfig:
    """Settings with changes; those that belong to the network (``latent``, ``omega`` ...) find their way.

    ``epochs`` alone take the place of the settings' ``steps``.

    Raises
    ------
    ConfigError
        When an option is unknown, or out of range.
    """
    inner = {field.name for field in dataclasses.fields(NetworkConfig)}
    outer = {field.name for field in dataclasses.fields(TrainConfig)}
    unknown = sorted(set(changes) - inner - outer)
    if unknown:
        raise ConfigError(f"unknown options {unknown}; expected some of {sorted(inner | outer)}.")
    if "epochs" in changes:
        changes = {"steps": None, **changes}
    network = dataclasses.replace(base.network, **{k: v for k, v in changes.items() if k in inner})
    return dataclasses.replace(base, **{"network": network, **{k: v for k, v in changes.items() if k in outer}})

"""Settings of a network and of its training, checked when they are made and stored with the model."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..errors import ConfigError

__all__ = ["PRESETS", "NetworkConfig", "TrainConfig", "changed", "preset"]


def _check_whole_number(name: str, value: Any, least: int) -> None:
    """Raise ConfigError, naming the setting, if a value is not an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number of at least {least}.")


def _check_positive(name: str, value: Any) -> None:
    """Raise ConfigError, naming the setting, if a value is not a finite number above 0."""
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} is {value!r}; expected a positive number.")


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError, naming the setting, if a value is not one of those allowed."""
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(allowed)}.")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Architecture of the network that maps coordinates (z, y, x, t) and a latent code to a signed distance.

    Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991, section 3.4.

    Parameters
    ----------
    latent : int
        Length of the latent code.
    width : int
        Units of a hidden layer.
    layers : int
        Number of hidden layers.
    activation : str
        ``"sine"``, sin(ω0 (W x + b)) (Sitzmann et al. 2020, arXiv 2006.09661), or ``"relu"``.
    omega : float
        ω0 of the sine.
    latent_layers : tuple of int
        Hidden layers that the code enters, counted from 1.
    coordinate_layers : tuple of int or None
        Hidden layers that the coordinates enter, counted from 1; None for all of them and the last, linear one.
    shrink : bool
        Make each hidden layer narrower than ``width`` by the number of inputs (coordinates, code) that are concatenated
        to its output for the next layer, as the published class does.

    Raises
    ------
    ConfigError
        When a number is out of range, a layer does not exist, or ``shrink`` leaves a layer without units.
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
            _check_whole_number(name, getattr(self, name), 1)
        _check_choice("activation", self.activation, ("sine", "relu"))
        _check_positive("omega", self.omega)
        object.__setattr__(self, "latent_layers", self._layer_numbers("latent_layers", self.latent_layers))
        if self.coordinate_layers is not None:
            numbers = self._layer_numbers("coordinate_layers", self.coordinate_layers)
            object.__setattr__(self, "coordinate_layers", numbers)
            if 1 not in numbers:
                raise ConfigError(f"coordinate_layers is {numbers}; expected the first layer, 1, among them.")
        if self.shrink and min(self.widths) < 1:
            raise ConfigError(
                f"width {self.width} leaves no units beside a code of {self.latent} and 4 coordinates.",
                remedy="Make width larger, latent smaller, or leave shrink away.",
            )

    def _layer_numbers(self, name: str, value: Any) -> tuple[int, ...]:
        """Return layer numbers sorted and without repetitions.

        Raises ConfigError, naming the setting, if one lies outside of 1 … ``layers``.
        """
        numbers = tuple(sorted({int(n) for n in value}))
        if numbers and not (1 <= numbers[0] and numbers[-1] <= self.layers):
            raise ConfigError(
                f"{name} is {value!r}; expected numbers of layers from 1 to {self.layers}.",
                remedy=f"Pass {name} together with layers.",
            )
        return numbers

    def takes_code(self, layer: int) -> bool:
        """Tell whether the latent code enters a layer.

        Parameters
        ----------
        layer : int
            Number of the layer, counted from 0; the last, linear layer has number ``layers``.

        Returns
        -------
        bool
            Whether it is one of ``latent_layers``.
        """
        return layer + 1 in self.latent_layers

    def takes_coordinates(self, layer: int) -> bool:
        """Tell whether the coordinates enter a layer.

        Parameters
        ----------
        layer : int
            Number of the layer, counted from 0; the last, linear layer has number ``layers``.

        Returns
        -------
        bool
            Whether it is one of ``coordinate_layers``, or these are None.
        """
        return self.coordinate_layers is None or layer + 1 in self.coordinate_layers

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer: ``width``, with ``shrink`` less the inputs concatenated to its output."""
        if not self.shrink:
            return (self.width,) * self.layers
        concatenated = (
            4 * self.takes_coordinates(n) + self.latent * self.takes_code(n) for n in range(1, self.layers + 1)
        )
        return tuple(self.width - n for n in concatenated)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a training.

    Parameters
    ----------
    network : NetworkConfig
        Architecture of the network; a dict of its fields is taken, too.
    optimizer : str
        ``"muon"``: orthogonalised momentum for the hidden matrices (``torch.optim.Muon``) and Adam for all else; or
        ``"adam"``.
    lr : float
        Learning rate of Adam.
    matrix_lr : float
        Muon's learning rate times ω0 (its step in phase; for ReLU ω0 counts as 1).
    code_lr : float
        Adam's learning rate for the latent codes.
    rotation_lr : float
        Adam's learning rate for the rotations' quaternions.
    schedule : str
        Learning-rate schedule: ``"cosine"``, from a short warm-up down to a hundredth, or ``"halve"``, by ½ every
        ``halve_every`` epochs.
    halve_every : int
        Epochs between two halvings.
    epochs : int
        Length of the training; an epoch draws as many frames as there are.
    steps : int or None
        Steps in all, in place of ``epochs``: the same work however many sequences there are. None for ``epochs``.
    batch_frames : int
        Frames of a step.
    frame_points : int
        Points drawn from each of these frames.
    near_fraction : float
        Share of the points that lie inside the shape or within ``near_um`` of its surface.
    near_um : float or None
        In µm; in the file's unit where no scale is known. None for 0.6 µm, but two voxels at least, or for 0.1 of the
        file's unit.
    code_weight : float
        Regularisation weight of the code z: that of ‖z‖² in the loss, after a ramp over ``code_ramp`` epochs.
    code_ramp : int
        Epochs over which the weight of ‖z‖² rises linearly from 0.
    code_std : float
        Standard deviation of the codes at the start.
    code_start : str
        ``"shapes"``: principal components of the sequences' distances, so that similar shapes begin with similar codes;
        with ``rotation``, of the shapes rotated into register, and the rotations start from those found.
        ``"normal"``: N(0, code_std²), as in the papers.
    augment : tuple of str
        ``"mirror"``: each sequence also flipped along its axes, in all 8 ways; ``"time"``: also with time reversed.
        Each variant has a code of its own. More shapes make the space between them smoother, and unseen ones easier to
        encode.
    mix : float
        Share of the draws that blend two sequences: their distances and their codes are averaged with the same weights,
        so that codes in between mean shapes in between. Not together with ``rotation``.
    rotation : bool
        Learn one rotation per sequence.
    rotation_std : float
        Standard deviation, in radians, of the normal distribution that the three angles of each rotation start from,
        unless the rotations start from the shapes.
    seed : int
        Of all random numbers.

    Raises
    ------
    ConfigError
        When a value is out of range, or two of them exclude each other.
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
        _check_choice("optimizer", self.optimizer, ("muon", "adam"))
        _check_choice("schedule", self.schedule, ("cosine", "halve"))
        _check_choice("code_start", self.code_start, ("shapes", "normal"))
        for name in ("lr", "matrix_lr", "code_lr", "rotation_lr", "code_std"):
            _check_positive(name, getattr(self, name))
        for name in ("epochs", "batch_frames", "frame_points", "halve_every", "code_ramp"):
            _check_whole_number(name, getattr(self, name), 1)
        if self.steps is not None:
            _check_whole_number("steps", self.steps, 1)
        _check_whole_number("seed", self.seed, 0)
        object.__setattr__(self, "augment", tuple(sorted(set(self.augment))))
        for name in self.augment:
            _check_choice("augment", name, ("mirror", "time"))
        if not 0.0 <= self.mix <= 1.0:
            raise ConfigError(f"mix is {self.mix!r}; expected a share from 0 to 1.")
        if self.mix and self.rotation:
            raise ConfigError("mix and rotation exclude each other.", remedy="Align the data, or leave mix at 0.")
        if not 0.0 < self.near_fraction <= 1.0:
            raise ConfigError(f"near_fraction is {self.near_fraction!r}; expected a number in (0, 1].")
        if self.near_um is not None:
            _check_positive("near_um", self.near_um)
        for name in ("code_weight", "rotation_std"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} is {value!r}; expected a number of at least 0.")

    def to_json(self) -> dict[str, Any]:
        """Return all fields as a dict that JSON can hold.

        Returns
        -------
        dict
            Values by the names of the fields; those of the network as a dict within it.
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TrainConfig:
        """Return the settings that :meth:`to_json` made a dict of.

        Parameters
        ----------
        fields : dict
            Values by the names of the fields; those left out have their defaults.

        Returns
        -------
        TrainConfig
            The settings, checked.

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
_PAPERS: dict[str, Any] = dict(
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
    # Mirror images, reversed time and blends fill the space between few shapes, so that unseen ones have codes in it.
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
        **_PAPERS,
    ),
    "media2024": TrainConfig(
        epochs=2000,
        halve_every=350,
        batch_frames=5,
        frame_points=1_000_000,
        code_std=0.01,
        rotation=True,
        **_PAPERS,
    ),
}
"""Settings by name: ours to reconstruct and generate; ours for cells that are encoded later; those of the two papers.

The first paper does not give the frames of a batch; those of the second are taken.
"""


def preset(name: str, **changes: Any) -> TrainConfig:
    """Return the settings of a preset, with changes.

    Parameters
    ----------
    name : str
        ``"default"``, to reconstruct and generate; ``"encoding"``, for cells that are encoded later; ``"miccai2022"``
        and ``"media2024"``, the settings of the two papers.
    **changes
        New values of fields of :class:`TrainConfig`, or of the :class:`NetworkConfig` in it. ``epochs`` without
        ``steps`` sets ``steps`` to None.

    Returns
    -------
    TrainConfig
        The settings, checked.

    Raises
    ------
    ConfigError
        When the preset or an option is unknown, or out of range.
    """
    _check_choice("preset", name, tuple(PRESETS))
    return changed(PRESETS[name], **changes)


def changed(base: TrainConfig, **changes: Any) -> TrainConfig:
    """Return settings with some fields changed; ``base`` stays as it is.

    Parameters
    ----------
    base : TrainConfig
        Where all other fields come from.
    **changes
        New values of fields of :class:`TrainConfig`, or of the :class:`NetworkConfig` in it (``latent``, ``omega`` …).
        ``epochs`` without ``steps`` sets ``steps`` to None.

    Returns
    -------
    TrainConfig
        The changed settings, checked.

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

"""The auto-decoder: a network of signed distances, with latent codes and rotations of the sequences it has learned."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .._typing import Array, Floats
from .._version import __version__
from ..atomic import atomic_path, write_text
from ..errors import ConfigError, FileFormatError, SequenceError
from . import blocks, rotation
from .config import NetworkConfig
from .workers import use_one_thread_after_fork

__all__ = ["AutoDecoder", "LearnedSequences", "TrainingCube"]


BLOCK = 2048  # points that are computed together: their activations stay in a core's cache
_WEIGHTS, _TEXT = ".safetensors", ".json"
_FORMAT = "cytoform auto-decoder 1"
_REMEDY = "Pass the folder that neural train wrote: weights (.safetensors) and description (.json) belong together."


@dataclasses.dataclass(frozen=True)
class TrainingCube:
    """The cube in which a network was trained, its sampling, and the scale of the network's coordinates and distances.

    Parameters
    ----------
    samples : int
        Samples along the side of the cube.
    frames : int
        Frames of a training sequence, the most where they differ; the time −1 is the first, 1 the last.
    half_um : float or None
        Half the cube's side in µm, from its centre to the first or last voxel centre. The network's distances times
        this are in µm. None where the data had no metric scale.
    slope : float
        Change of the network's distance per unit of its coordinates beside a surface: 1 with a metric scale.
    clamp : float or None
        Largest distance in the training data, in the network's unit; None if they were not clamped.
    time_step : float or None
        Seconds between frames; None if unknown.
    """

    samples: int = 64
    frames: int = 30
    half_um: float | None = None
    slope: float = 1.0
    clamp: float | None = None
    time_step: float | None = None

    @property
    def spacing(self) -> float:
        """Side of a voxel of the training data, in µm, or 1 (voxel) without a metric scale."""
        return 1.0 if self.half_um is None else 2.0 * self.half_um / (self.samples - 1)


@dataclasses.dataclass
class LearnedSequences:
    """The latent codes and rotations of the sequences that a network has learned.

    Parameters
    ----------
    codes : (n, latent) tensor
        Latent codes.
    rotations : (n, 4) tensor
        Quaternions (w, x, y, z); see :mod:`cytoform.neural.rotation`.
    names : list of str
        Name of each sequence or variant.
    labels : list of str
        Family of each, where several families were learned by one network; else empty strings.
    originals : int
        How many are sequences as they were given; these come first, mirrored or time-reversed variants after them.
    frames : list of int
        Number of frames of each; empty where it is unknown.
    """

    codes: torch.Tensor
    rotations: torch.Tensor
    names: list[str]
    labels: list[str]
    originals: int = 0
    frames: list[int] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, which: int | str) -> int:
        """Return the number of a sequence that is given by number (negative ones count from the end) or by name.

        Raises
        ------
        SequenceError
            When there is no such sequence.
        """
        if isinstance(which, str):
            if which in self.names:
                return self.names.index(which)
        elif -len(self) <= which < len(self):
            return which % len(self)
        known = ", ".join(self.names[:5]) + (" …" if len(self) > 5 else "")
        raise SequenceError(f"there is no sequence {which!r}; the model knows {len(self)}: {known}.")


class _Layer(nn.Module):
    """Linear layer W [h, x, t] + V z + b of hidden units h, coordinates (x, t) and latent code z.

    Parameters
    ----------
    inputs : int
        Number of units of the previous layer; 0 for the first layer.
    coordinates : bool
        Whether the 4 coordinates enter the layer.
    latent : int
        Length of the code; 0 if the code does not enter the layer.
    units : int
        Number of outputs.
    """

    code: nn.Parameter | None

    def __init__(self, inputs: int, coordinates: bool, latent: int, units: int) -> None:
        super().__init__()
        self.inputs, self.coordinates = inputs, coordinates
        self.matrix = nn.Parameter(torch.empty(units, inputs + 4 * coordinates))
        self.code = nn.Parameter(torch.empty(units, latent)) if latent else None
        self.bias = nn.Parameter(torch.empty(units))

    @property
    def fan_in(self) -> int:
        """Number of inputs of a unit: previous units, coordinates and code."""
        return self.matrix.shape[1] + (0 if self.code is None else self.code.shape[1])

    def initialise(self, bound: float, generator: torch.Generator) -> None:
        """Draw the weights uniformly from ±``bound``, and the bias from ±1/√fan_in, in place."""
        for parameter in (self.matrix, self.code):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        bound = 1.0 / math.sqrt(self.fan_in)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, hidden: torch.Tensor, xyzt: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """Return W [h, x, t] + V z + b for hidden units (…, inputs), coordinates (…, 4) and codes (…, latent)."""
        parts = ([hidden] if self.inputs else []) + ([xyzt] if self.coordinates else [])
        out = torch.cat(parts, -1) @ self.matrix.T + self.bias
        return out if self.code is None else out + code @ self.code.T


class AutoDecoder(nn.Module):
    """Network for the signed distance f(z, y, x, t; code) of a living shape at a position and time, given its code.

    Coordinates run from −1 to 1 between the first and last voxel centre of a cube (one scale for all axes) and between
    the first and last frame. ``print(model)`` shows the number of parameters. Ref: Wiesner et al. 2024,
    doi 10.1016/j.media.2023.102991, section 3; initial weights: Sitzmann et al. 2020, arXiv 2006.09661.

    Parameters
    ----------
    config : NetworkConfig, optional
        Architecture; by default that of :class:`NetworkConfig`.
    seed : int
        Of the random initial weights.

    Attributes
    ----------
    learned : LearnedSequences
        Codes and rotations of the training sequences; empty at first.
    space : TrainingCube
        The cube of the training data, and the scale of coordinates and distances.
    notes : dict
        Settings and results of the training.
    """

    def __init__(self, config: NetworkConfig | None = None, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        units = [0, *config.widths]
        self.layers = nn.ModuleList(
            _Layer(
                units[n],
                config.takes_coordinates(n),
                config.latent if config.takes_code(n) else 0,
                units[n + 1] if n < config.layers else 1,
            )
            for n in range(config.layers + 1)
        )
        self._initialise(seed)
        self.space = TrainingCube()
        self.learned = LearnedSequences(torch.zeros(0, config.latent), torch.zeros(0, 4), [], [])
        self.notes: dict[str, Any] = {}

    @property
    def linear_layers(self) -> list[_Layer]:
        """All layers in order, ``config.layers`` hidden ones and the last, linear one, as a typed list."""
        return cast(list[_Layer], list(self.layers))

    def _initialise(self, seed: int) -> None:
        """Draw the weights of all layers from a seed, in place.

        Sine: U(±1/n) in the first layer and U(±√(6/n)/ω0) in the others, n being the inputs of a unit (Sitzmann et al.
        2020). ReLU: U(±√(6/n)) in the hidden layers, U(±1/√n) in the last.
        """
        generator = torch.Generator().manual_seed(seed)
        for n, layer in enumerate(self.linear_layers):
            if self.config.activation == "relu":
                bound = math.sqrt(6.0 / layer.fan_in) if n < self.config.layers else math.sqrt(1.0 / layer.fan_in)
            else:
                bound = 1.0 / layer.fan_in if n == 0 else math.sqrt(6.0 / layer.fan_in) / self.config.omega
            layer.initialise(bound, generator)

    def __repr__(self) -> str:
        c = self.config
        return (
            f"AutoDecoder({c.layers} layers of {c.width}, {c.activation}, latent {c.latent}: "
            f"{self.n_parameters:,} parameters, {len(self.learned)} sequences)"
        )

    @property
    def n_parameters(self) -> int:
        """Number of weights, without codes and rotations."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, xyzt: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """Return the network's signed distances (…,) at coordinates (…, 4), for given codes.

        Coordinates and code enter the layers that the config names, beside the units of the layer before; each hidden
        layer applies sin(ω0 ·) or ReLU. With sines the result is differentiable any number of times.

        Parameters
        ----------
        xyzt : (…, 4) tensor
            Coordinates −1 … 1 in the order of the arrays' axes, (z, y, x, t) for ours.
        code : (…, latent) or (latent,) tensor
            Latent codes, one for each point or one for all.

        Returns
        -------
        (…,) tensor
            Distances, negative inside, in the network's unit; times ``space.half_um``, if that is known, they are in
            µm.
        """
        hidden = xyzt[..., :0]
        *hidden_layers, last = self.linear_layers
        for layer in hidden_layers:
            argument = layer(hidden, xyzt, code)
            hidden = torch.sin(self.config.omega * argument) if self.config.activation == "sine" else argument.relu()
        value: torch.Tensor = last(hidden, xyzt, code)
        return value[..., 0]

    def decode(self, xyzt: npt.ArrayLike, latent: npt.ArrayLike) -> Array:
        """Return the signed distances at points, without gradients.

        Parameters
        ----------
        xyzt : (n, 4) array
            Coordinates −1 … 1 in the order of the arrays' axes, (z, y, x, t) for ours.
        latent : (n, latent) or (latent,) array
            Latent codes, one for each point or one for all.

        Returns
        -------
        (n,) array in the type of the weights
            In the network's unit: times ``space.half_um`` in µm.

        Raises
        ------
        ConfigError
            When a shape does not fit.
        """
        use_one_thread_after_fork()
        like = self.linear_layers[0].matrix
        points = torch.as_tensor(np.asarray(xyzt), dtype=like.dtype, device=like.device)
        codes = torch.as_tensor(np.asarray(latent), dtype=like.dtype, device=like.device)
        if points.ndim != 2 or points.shape[1] != 4:
            raise ConfigError(f"xyzt has shape {tuple(points.shape)}; expected (n, 4).")
        if codes.shape not in ((self.config.latent,), (len(points), self.config.latent)):
            raise ConfigError(
                f"latent has shape {tuple(codes.shape)}; expected ({self.config.latent},) or "
                f"({len(points)}, {self.config.latent})."
            )
        with torch.no_grad():
            if codes.ndim == 2:
                parts = [self(p, c) for p, c in zip(torch.split(points, BLOCK), torch.split(codes, BLOCK))]
            else:
                folded = blocks.fold_weights(self)
                parts = [blocks.values(folded, p[None], codes[None])[0] for p in torch.split(points, BLOCK)]
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, dtype=np.float32)

    # -----------------------------------------------------------------------------------------------------------------
    # Files

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the weights, and a JSON file of the same name beside them, each atomically.

        The weights' file also holds codes and rotations, the JSON file the architecture, names, scale and notes.

        Parameters
        ----------
        path : path
            Name of the weights' file, with or without ``.safetensors``; or a folder that exists, for
            ``model.safetensors``.

        Returns
        -------
        Path
            Of the weights' file.

        Raises
        ------
        OutputError
            When a file cannot be written.
        """
        from safetensors.torch import save_file

        weights_path = _weights_path(path)
        tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        tensors["codes"] = self.learned.codes.detach().cpu().contiguous()
        tensors["rotations"] = self.learned.rotations.detach().cpu().contiguous()
        text = {
            "format": _FORMAT,
            "version": __version__,
            "network": dataclasses.asdict(self.config),
            "parameters": self.n_parameters,
            "space": dataclasses.asdict(self.space),
            "names": self.learned.names,
            "labels": self.learned.labels,
            "originals": self.learned.originals,
            "frames": self.learned.frames,
            "notes": self.notes,
        }
        with atomic_path(weights_path) as temporary:
            save_file(tensors, temporary)
        write_text(weights_path.with_suffix(_TEXT), json.dumps(text, indent=1))
        return weights_path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AutoDecoder:
        """Read a model from the two files that :meth:`save` wrote.

        Parameters
        ----------
        path : path
            One of the two files, or the folder that holds them as ``model.safetensors`` and ``model.json``.

        Returns
        -------
        AutoDecoder
            On the CPU.

        Raises
        ------
        FileFormatError
            When a file is missing, is not such a model, or the weights do not fit the description.
        """
        weights_path = _weights_path(path)
        text = _read_description(weights_path.with_suffix(_TEXT))
        tensors = _read_weights(weights_path)
        try:
            model = cls(NetworkConfig(**text["network"]))
            weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
            model.to(weights["layers.0.matrix"].dtype)
            model.load_state_dict(weights)
            model.space = TrainingCube(**text["space"])
            model.learned = LearnedSequences(
                tensors["codes"],
                tensors["rotations"],
                list(text["names"]),
                list(text["labels"]),
                int(text["originals"]),
                [int(n) for n in text.get("frames", [])],
            )
            model.notes = dict(text["notes"])
            _check_learned_sizes(model.learned, model.config.latent)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileFormatError(
                f"{weights_path} does not hold the network that {weights_path.stem}{_TEXT} describes: {error}",
                remedy="Keep the two files of one model together.",
            ) from error
        return model

    @classmethod
    def from_reference(
        cls,
        path: str | os.PathLike[str],
        *,
        codes: npt.ArrayLike | str | os.PathLike[str] | None = None,
        rotations: npt.ArrayLike | str | os.PathLike[str] | None = None,
        omega: float = 30.0,
        activation: str = "sine",
    ) -> AutoDecoder:
        """Open the published auto-decoder (github.com/MIAGroupUT/IMPLICIT-CELL-SURFACES), with its codes.

        Nothing in the files is executed (``torch.load`` with ``weights_only=True``). ω0 and the activation are not in
        the files and can be given. Published distances have no metric scale.

        Parameters
        ----------
        path : path
            The .pth of the weights, or an experiment's folder with ``model_parameters`` in it.
        codes : (n, latent) array or path, optional
            Of the sequences that it has learned; a .mat (``lat_vecs``), .pth (``latent_codes``) or .npy file. By
            default those in the checkpoint, or in the files of the published training: ``latent_codes/lat_vecs.mat``
            and others.
        rotations : (n, 3) or (n, 3, 3) array or path, optional
            Three angles in radians for each code, intrinsic about the first, second and third axis, or matrices; by
            default those beside the codes (``rot_angs.mat``), or none.
        omega : float
            ω0 of the sine.
        activation : str
            ``"sine"`` or ``"relu"``.

        Returns
        -------
        AutoDecoder
            With ``learned`` codes and rotations called ``seq_000``, ``seq_001``, …; where no codes were found, without
            them: then the model only decodes codes that are passed to :meth:`decode`.

        Raises
        ------
        FileFormatError
            When a file is not such a file, or codes or rotations do not fit.
        """
        from .published import find_checkpoint, measure_training_cube, read_learned_sequences
        from .reference import read_reference

        checkpoint = find_checkpoint(Path(path))
        config, weights, content = read_reference(checkpoint, omega=omega, activation=activation)
        model = cls(config)
        try:
            model.to(weights["layers.0.matrix"].dtype)
            model.load_state_dict(weights)
        except (RuntimeError, TypeError) as error:
            raise FileFormatError(f"{checkpoint} does not hold an auto-decoder's weights: {error}") from error
        model.learned, searched = read_learned_sequences(checkpoint, content, config.latent, codes, rotations)
        model.learned.codes = model.learned.codes.to(model.linear_layers[0].matrix.dtype)
        model.learned.rotations = model.learned.rotations.to(model.linear_layers[0].matrix.dtype)
        model.space = measure_training_cube(checkpoint, model)
        model.notes = {"source": f"published auto-decoder, {checkpoint.name}"}
        if not len(model.learned):
            model.notes["looked_for"] = searched
        return model

    def check_learned(self) -> None:
        """Raise ConfigError if the model has no codes of learned sequences.

        Raises
        ------
        ConfigError
            Says whether the model was never trained, or which files were searched for the codes of a published one.
        """
        if len(self.learned):
            return
        if "looked_for" not in self.notes:
            raise ConfigError(
                "the model has learned no sequences, so that there are no codes.",
                remedy="Train it: cytoform.neural.train, or cytoform neural train.",
            )
        raise ConfigError(
            f"the model ({self.notes['source']}) came without the codes of the sequences that it has learned; looked "
            f"for {', '.join(self.notes['looked_for'])} beside the weights.",
            remedy="Pass them: AutoDecoder.from_reference(…, codes=FILE), or cytoform neural convert MODEL --codes "
            "FILE; or use model.decode with codes of your own.",
        )

    def code(self, which: int | str | npt.ArrayLike) -> torch.Tensor:
        """Return a latent code (latent,): that of a learned sequence, by number or name, or a given array as a tensor.

        Parameters
        ----------
        which : int, str or (latent,) array
            Number or name of a learned sequence, or the code itself.

        Returns
        -------
        (latent,) tensor
            A given code in the type of the weights.

        Raises
        ------
        ConfigError
            When an array has another shape, or the model has learned no sequences.
        SequenceError
            When there is no such sequence.
        """
        if isinstance(which, (int, np.integer, str)):
            self.check_learned()
            return self.learned.codes[self.learned.index(which if isinstance(which, str) else int(which))]
        code = torch.as_tensor(np.asarray(which))
        if code.shape != (self.config.latent,):
            raise ConfigError(f"code has shape {tuple(code.shape)}; expected ({self.config.latent},).")
        return code.to(self.linear_layers[0].matrix.dtype)

    def rotation(self, which: int | str) -> Floats:
        """Return the rotation matrix (3, 3) of a learned sequence.

        Parameters
        ----------
        which : int or str
            Number or name of the sequence.

        Returns
        -------
        (3, 3) float64 array
            R of the shape's distance f(Rᵀ x).

        Raises
        ------
        SequenceError
            When there is no such sequence.
        """
        return rotation.to_rotation_matrix(self.learned.rotations[self.learned.index(which)].double().numpy())


def _check_learned_sizes(learned: LearnedSequences, latent: int) -> None:
    """Raise ValueError if the codes (n, latent), rotations, names, labels and frames are not equally many."""
    n = len(learned.names)
    fits = learned.codes.shape == (n, latent) and learned.rotations.shape == (n, 4) and len(learned.labels) == n
    if not fits or not 0 <= learned.originals <= n or len(learned.frames) not in (0, n):
        raise ValueError(f"{len(learned.codes)} codes of {latent} and {n} names do not match.")


def _weights_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of the weights' file for a path that the user gave.

    A folder stands for ``model.safetensors`` in it, a .json file for the weights beside it; any other name without the
    suffix gets it.
    """
    given = Path(path)
    if given.is_dir():
        return given / f"model{_WEIGHTS}"
    if given.suffix.lower() == _TEXT:
        return given.with_suffix(_WEIGHTS)
    return given if given.suffix == _WEIGHTS else given.with_name(given.name + _WEIGHTS)


def _read_description(path: Path) -> dict[str, Any]:
    """Read a model's JSON file; raise FileFormatError if it is missing or describes no model of cytoform."""
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist; expected it beside the weights.", remedy=_REMEDY) from error
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}.", remedy=_REMEDY) from error
    if not isinstance(text, dict) or text.get("format") != _FORMAT:
        raise FileFormatError(f"{path} does not describe a model of cytoform.", remedy=_REMEDY)
    return text


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file by name; raise FileFormatError if it is missing or not complete."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # Copies: a tensor that maps the file would keep it from being replaced on Windows.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist.", remedy="Pass the model.safetensors of a training.") from error
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"{path} is not a complete safetensors file: {error}.") from error

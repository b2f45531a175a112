"""The auto-decoder: a network of distances, and what it has learned of each sequence."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

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
from .workers import ready_after_fork

__all__ = ["AutoDecoder", "Learned", "Space"]


BLOCK = 2048  # points a block: its activations stay in a core's cache
_WEIGHTS, _TEXT = ".safetensors", ".json"
_FORMAT = "cytoform auto-decoder 1"
_REMEDY = "Pass the folder that neural train wrote: weights (.safetensors) and description (.json) belong together."


@dataclasses.dataclass(frozen=True)
class Space:
    """What the network's coordinates mean.

    Attributes
    ----------
    samples : int
        Samples along the side of the cube that it was trained on.
    frames : int
        Frames of a training sequence, the most where they differ; −1 is the first, 1 the last.
    half_um : float or None
        Half the cube's side in µm, from its middle to a first or last voxel centre; distances from the network times
        this are in µm. None where the data had no metric scale.
    slope : float
        Change of the network's distance per unit of its coordinates next to a surface: 1 with a metric scale.
    clamp : float or None
        Largest distance that it was shown, in its own unit.
    time_step : float or None
        Seconds between frames.
    """

    samples: int = 64
    frames: int = 30
    half_um: float | None = None
    slope: float = 1.0
    clamp: float | None = None
    time_step: float | None = None

    @property
    def spacing(self) -> float:
        """Side of a voxel of the training grid, in µm, or in voxels without a metric scale."""
        return 1.0 if self.half_um is None else 2.0 * self.half_um / (self.samples - 1)


@dataclasses.dataclass
class Learned:
    """Codes and rotations of the sequences that were learned.

    Attributes
    ----------
    codes : (n, latent) tensor
    rotations : (n, 4) tensor
        Quaternions; see :mod:`cytoform.neural.rotation`.
    names : list of str
    labels : list of str
        Families, where several were learned by one network; else empty texts.
    originals : int
        The first of them are sequences as they were given; the others are mirrored or backwards.
    frames : list of int
        Frames of each.
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
        """Number of a sequence, given by number or name.

        Raises
        ------
        SequenceError
            When there is none.
        """
        if isinstance(which, str):
            if which in self.names:
                return self.names.index(which)
        elif -len(self) <= which < len(self):
            return which % len(self)
        known = ", ".join(self.names[:5]) + (" …" if len(self) > 5 else "")
        raise SequenceError(f"there is no sequence {which!r}; the model knows {len(self)}: {known}.")


class _Layer(nn.Module):
    """W [h, x, t] + V z + b: coordinates beside the previous layer's units, the code apart."""

    code: nn.Parameter | None

    def __init__(self, inputs: int, coordinates: bool, latent: int, units: int) -> None:
        super().__init__()
        self.inputs, self.coordinates = inputs, coordinates
        self.matrix = nn.Parameter(torch.empty(units, inputs + 4 * coordinates))
        self.code = nn.Parameter(torch.empty(units, latent)) if latent else None
        self.bias = nn.Parameter(torch.empty(units))

    @property
    def fan_in(self) -> int:
        return self.matrix.shape[1] + (0 if self.code is None else self.code.shape[1])

    def start(self, bound: float, generator: torch.Generator) -> None:
        for parameter in (self.matrix, self.code):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        bound = 1.0 / math.sqrt(self.fan_in)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, hidden: torch.Tensor, xyzt: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        parts = ([hidden] if self.inputs else []) + ([xyzt] if self.coordinates else [])
        out = torch.cat(parts, -1) @ self.matrix.T + self.bias
        return out if self.code is None else out + code @ self.code.T


class AutoDecoder(nn.Module):
    """Signed distance of a living shape at a place and time, given its code: f(z, y, x, t; code).

    Coordinates run from −1 to 1 between the first and last voxel centre of a cube (one scale for all axes) and between
    the first and last frame. ``print(model)`` tells the number of parameters.

    Parameters
    ----------
    config : NetworkConfig
    seed : int
        Of the weights it starts from.

    Attributes
    ----------
    learned : Learned
        Codes and rotations of the training sequences; none at first.
    space : Space
        What the coordinates mean.
    notes : dict
        What it was trained with.

    Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991, section 3; initial weights: Sitzmann et al. 2020,
    arXiv 2006.09661.
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
        self._start(seed)
        self.space = Space()
        self.learned = Learned(torch.zeros(0, config.latent), torch.zeros(0, 4), [], [])
        self.notes: dict[str, Any] = {}

    def _start(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for n, layer in enumerate(self.layers):
            if self.config.activation == "relu":
                bound = math.sqrt(6.0 / layer.fan_in) if n < self.config.layers else math.sqrt(1.0 / layer.fan_in)
            else:
                bound = 1.0 / layer.fan_in if n == 0 else math.sqrt(6.0 / layer.fan_in) / self.config.omega
            layer.start(bound, generator)

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
        """Distances (…,) at xyzt (…, 4) for codes (…, latent) or (latent,); differentiable any number of times."""
        hidden = xyzt[..., :0]
        for layer in self.layers[:-1]:
            argument = layer(hidden, xyzt, code)
            hidden = torch.sin(self.config.omega * argument) if self.config.activation == "sine" else argument.relu()
        return self.layers[-1](hidden, xyzt, code)[..., 0]

    def decode(self, xyzt: npt.ArrayLike, latent: npt.ArrayLike) -> Array:
        """Signed distances at points, without gradients.

        Parameters
        ----------
        xyzt : (n, 4)
            Coordinates −1 … 1 in the order of the arrays' axes, (z, y, x, t) for ours.
        latent : (n, latent) or (latent,)

        Returns
        -------
        (n,) in the type of the weights
            In the network's own unit: times ``space.half_um`` in µm.

        Raises
        ------
        ConfigError
            When a shape does not fit.
        """
        ready_after_fork()
        like = self.layers[0].matrix
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
                parts = [self(p, c) for p, c in zip(points.split(BLOCK), codes.split(BLOCK))]
            else:
                folded = blocks.fold(self)
                parts = [blocks.values(folded, p[None], codes[None])[0] for p in points.split(BLOCK)]
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, dtype=np.float32)

    # -----------------------------------------------------------------------------------------------------------------
    # Files

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write ``path`` (.safetensors) and a JSON of the same name beside it, each whole or not at all.

        Raises
        ------
        OutputError
            When the place cannot be written.
        """
        from safetensors.torch import save_file

        place = _weights_path(path)
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
        with atomic_path(place) as temporary:
            save_file(tensors, temporary)
        write_text(place.with_suffix(_TEXT), json.dumps(text, indent=1))
        return place

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AutoDecoder:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileFormatError
            When a file is missing, is not such a model, or its weights do not fit its description.
        """
        place = _weights_path(path)
        text = _read_text(place.with_suffix(_TEXT))
        tensors = _read_tensors(place)
        try:
            model = cls(NetworkConfig(**text["network"]))
            weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
            model.to(weights["layers.0.matrix"].dtype)
            model.load_state_dict(weights)
            model.space = Space(**text["space"])
            model.learned = Learned(
                tensors["codes"],
                tensors["rotations"],
                list(text["names"]),
                list(text["labels"]),
                int(text["originals"]),
                [int(n) for n in text.get("frames", [])],
            )
            model.notes = dict(text["notes"])
            _check_learned(model.learned, model.config.latent)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileFormatError(
                f"{place} does not hold the network that {place.with_suffix(_TEXT).name} describes: {error}",
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

        Nothing in the files is executed (``torch.load`` with ``weights_only=True``). What they do not tell, ω0 and the
        activation, can be given. Published distances have no metric scale.

        Parameters
        ----------
        path : path
            The .pth of the weights, or an experiment's folder with ``model_parameters`` in it.
        codes : (n, latent) array or path, optional
            Of the sequences that it has learned; a .mat (``lat_vecs``), .pth (``latent_codes``) or .npy file. By
            default those in the checkpoint or where the published training puts them: ``latent_codes/lat_vecs.mat``
            and such.
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
            With ``learned`` codes and rotations called ``seq_000``, ``seq_001``, …; without them where no codes were
            found: then it only decodes codes of your own.

        Raises
        ------
        FileFormatError
            When a file is not such a file, or codes or rotations do not fit.
        """
        from .published import checkpoint_in, learned_of, measured_space
        from .reference import read_reference

        place = checkpoint_in(Path(path))
        config, weights, content = read_reference(place, omega=omega, activation=activation)
        model = cls(config)
        try:
            model.to(weights["layers.0.matrix"].dtype)
            model.load_state_dict(weights)
        except (RuntimeError, TypeError) as error:
            raise FileFormatError(f"{place} does not hold an auto-decoder's weights: {error}") from error
        model.learned, looked = learned_of(place, content, config.latent, codes, rotations)
        model.learned.codes = model.learned.codes.to(model.layers[0].matrix.dtype)
        model.learned.rotations = model.learned.rotations.to(model.layers[0].matrix.dtype)
        model.space = measured_space(place, model)
        model.notes = {"source": f"published auto-decoder, {place.name}"}
        if not len(model.learned):
            model.notes["looked_for"] = looked
        return model

    def check_learned(self) -> None:
        """Make sure that there are codes of learned sequences.

        Raises
        ------
        ConfigError
            When there are none.
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
        """A code (latent,): that of a learned sequence, by number or name, or the one given."""
        if isinstance(which, (int, np.integer, str)):
            self.check_learned()
            return self.learned.codes[self.learned.index(which if isinstance(which, str) else int(which))]
        code = torch.as_tensor(np.asarray(which))
        if code.shape != (self.config.latent,):
            raise ConfigError(f"code has shape {tuple(code.shape)}; expected ({self.config.latent},).")
        return code.to(self.layers[0].matrix.dtype)

    def rotation(self, which: int | str) -> Floats:
        """Rotation matrix (3, 3) of a learned sequence."""
        return rotation.as_matrix(self.learned.rotations[self.learned.index(which)].double().numpy())


def _check_learned(learned: Learned, latent: int) -> None:
    n = len(learned.names)
    fits = learned.codes.shape == (n, latent) and learned.rotations.shape == (n, 4) and len(learned.labels) == n
    if not fits or not 0 <= learned.originals <= n or len(learned.frames) not in (0, n):
        raise ValueError(f"{len(learned.codes)} codes of {latent} and {n} names do not go together.")


def _weights_path(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    if place.is_dir():
        return place / f"model{_WEIGHTS}"
    if place.suffix.lower() == _TEXT:
        return place.with_suffix(_WEIGHTS)
    return place if place.suffix == _WEIGHTS else place.with_name(place.name + _WEIGHTS)


def _read_text(path: Path) -> dict[str, Any]:
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist; expected it beside the weights.", remedy=_REMEDY) from error
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}.", remedy=_REMEDY) from error
    if not isinstance(text, dict) or text.get("format") != _FORMAT:
        raise FileFormatError(f"{path} does not describe a model of cytoform.", remedy=_REMEDY)
    return text


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # Copies: a tensor that maps the file would keep it from being replaced on Windows.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} does not exist.", remedy="Pass the model.safetensors of a training.") from error
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"{path} is not a complete safetensors file: {error}.") from error

"""Opening of the trained model that a command uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import FileFormatError

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["open_model"]

_PUBLISHED = (".pth", ".pt")


def open_model(path: Path) -> AutoDecoder:
    """Read a trained model.

    Parameters
    ----------
    path : Path
        Folder of a training, or its model.safetensors or model.json.

    Returns
    -------
    AutoDecoder
        The model.

    Raises
    ------
    FileFormatError
        When there is no model, when the training has not ended, and for weights of the published auto-decoder; the
        message says how to convert them.
    BackendError
        When torch is not installed.
    """
    published = path.is_file() and path.suffix.lower() in _PUBLISHED
    if path.is_dir() and not any((path / name).is_file() for name in ("model.safetensors", "checkpoint.safetensors")):
        published = any(path.glob("*.pth")) or (path / "model_parameters").is_dir()
    if published:
        raise FileFormatError(
            f"{path} holds weights of another program (.pth); expected a model of cytoform.",
            remedy=f"Convert the published auto-decoder with: cytoform neural convert {path} --out model. Then pass "
            "that folder.",
        )
    remedy = "Pass the folder that neural train wrote, or the model.safetensors in it."
    if not path.exists():
        raise FileFormatError(f"{path} does not exist.", remedy=remedy)
    if path.is_dir() and not (path / "model.safetensors").is_file():
        if (path / "checkpoint.safetensors").is_file():
            raise FileFormatError(
                f"the training in {path} has not ended, so that there is no model yet.",
                remedy=f"Go on with it: cytoform neural train ... --out {path} --resume.",
            )
        raise FileFormatError(f"{path} holds no model.safetensors.", remedy=remedy)
    if path.is_file() and path.suffix not in (".safetensors", ".json"):
        raise FileFormatError(f"{path} is no model.safetensors.", remedy=remedy)
    from ...neural import AutoDecoder

    return AutoDecoder.load(path)

"""The model that a command is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import FileFormatError
from . import options

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["open_model"]

_PUBLISHED = (".pth", ".pt")


def open_model(path: Path) -> AutoDecoder:
    """A trained model; published weights are told how to become one.

    Raises
    ------
    FileFormatError
        When there is none.
    BackendError
        When torch is missing.
    """
    published = path.is_file() and path.suffix.lower() in _PUBLISHED
    if path.is_dir() and not any((path / name).is_file() for name in ("model.safetensors", "checkpoint.safetensors")):
        published = any(path.glob("*.pth")) or (path / "model_parameters").is_dir()
    if published:
        raise FileFormatError(
            f"{path} holds weights of another program (.pth); expected a model of cytoform.",
            remedy="The published auto-decoder becomes one with: cytoform neural convert "
            f"{path} --out model; then use model in its place.",
        )
    return options.open_model(path)

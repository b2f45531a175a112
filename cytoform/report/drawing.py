"""matplotlib, loaded before other modules of this package import its parts, and without the backend of MPLBACKEND."""

from ..devices import load_matplotlib

__all__ = ["matplotlib"]

matplotlib = load_matplotlib()

"""matplotlib, loaded before anything in this package asks for its parts: without the backend that MPLBACKEND names."""

from ..devices import load_matplotlib

__all__ = ["matplotlib"]

matplotlib = load_matplotlib()

"""Images: volumes, the grids they are sampled on, and the files they come from."""

from .volume import Grid, Volume

__all__ = ["Grid", "Volume"]

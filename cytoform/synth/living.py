"""One living shape: its surface at any time, and its signed distances at points, on grids and as a sequence."""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats32
from ..errors import ConfigError
from ..image.volume import Grid
from ..mesh.surface import SurfaceMesh
from ..sdf.distance import mesh_sdf
from ..sdf.sequence import SDFSequence, SequenceInfo
from .families import FRAMES, LEAST_SHAPE, Family
from .numbers import check_count, check_number
from .primitives import Floats, Samples, surface_distance, volume_centroid

__all__ = ["LivingShape"]


@dataclasses.dataclass(frozen=True)
class _Placed:
    """The surface at one time, and how the shape's own frame lies in it: own = point / scale + centre."""

    mesh: SurfaceMesh
    centre: Floats
    scale: float


class LivingShape(abc.ABC):
    """One cell in time, its volume's centre of gravity at the origin at every moment.

    Attributes
    ----------
    family : Family
    parameters : dict
        The numbers drawn for it, JSON-able.
    box_um : float
        Side of the cube that it is sampled in by default, µm.
    """

    def __init__(self, family: Family, parameters: dict[str, Any]) -> None:
        self.family = family
        self.parameters = parameters
        self.box_um = family.box_um
        self._last: tuple[float, _Placed] | None = None

    def __repr__(self) -> str:
        identity = {k: self.parameters[k] for k in ("seed", "index")}
        return f"{type(self).__name__}({self.family.name!r}, {identity})"

    @property
    def name(self) -> str:
        """Family, seed and number, such as ``dividing-s3-00``."""
        return f"{self.family.name}-s{self.parameters['seed']}-{self.parameters['index']:02d}"

    @abc.abstractmethod
    def _mesh(self, t: float) -> SurfaceMesh:
        """Surface in the shape's own frame."""

    @abc.abstractmethod
    def _level(self, at: Samples, t: float) -> Array:
        """Level function in the shape's own frame, of ``at.shape``."""

    def _volume(self, t: float) -> float | None:
        """Volume that the shape is scaled to, µm³; None where its own frame is in µm already."""
        return None

    def _placed(self, t: float) -> _Placed:
        t = _check_time(t)
        if self._last is None or self._last[0] != t:
            own, volume = self._mesh(t), self._volume(t)
            centre = volume_centroid(own)
            scale = 1.0 if volume is None else (volume / own.volume) ** (1.0 / 3.0)
            self._last = (t, _Placed(SurfaceMesh((own.vertices - centre) * scale, own.faces), centre, scale))
        return self._last[1]

    def surface(self, t: float) -> SurfaceMesh:
        """The surface at time ``t`` in [0, 1] as triangles finer than any detail of the shape, µm."""
        return self._placed(t).mesh

    def implicit(self, points: npt.ArrayLike, t: float) -> Floats:
        """Level function: zero on the surface, negative inside, no distance away from it.

        Parameters
        ----------
        points : (n, 3) float, µm, (z, y, x)
        t : float in [0, 1]

        Returns
        -------
        (n,) float64
        """
        placed = self._placed(t)
        own = _check_points(points) / placed.scale + placed.centre
        return np.asarray(self._level(Samples.points(own), t), dtype=np.float64) * placed.scale

    def sdf(self, points: npt.ArrayLike, t: float) -> Floats:
        """Signed Euclidean distance to the surface, negative inside.

        Parameters
        ----------
        points : (n, 3) float, µm, (z, y, x), the shape's centre of gravity at the origin
        t : float in [0, 1]

        Returns
        -------
        (n,) float64, µm
            Distances to the triangles of :meth:`surface`: exact within three of their edges, too large by at most a
            tenth of an edge beyond. On a grid :meth:`frame` is exact everywhere.

        Raises
        ------
        ConfigError
            When points have another shape or ``t`` lies outside [0, 1].
        """
        where = _check_points(points)
        distance = surface_distance(self.surface(t), where)
        return np.where(self.implicit(where, t) < 0, -distance, distance)

    def grid(self, shape: int = 64, box_um: float | None = None) -> Grid:
        """The cube of ``shape``³ voxels and side ``box_um`` around the origin."""
        n = check_count("shape", shape, LEAST_SHAPE)
        box = self.box_um if box_um is None else box_um
        check_number("box_um", box, 1.0, 1000.0)
        spacing = box / n
        return Grid((n, n, n), spacing, (-0.5 * (n - 1) * spacing,) * 3)  # type: ignore[arg-type]

    def frame(self, t: float, grid: Grid, *, clamp_um: float | None = None) -> Floats32:
        """Signed distances on a grid, (z, y, x) float32, µm; outside none is larger than ``clamp_um``.

        They are exact for :meth:`surface`, which does not depend on the grid.

        Raises
        ------
        ConfigError
            When the shape does not fit into the grid.
        """
        mesh = self.surface(t)
        overhang = grid.overhang(mesh.bounds)
        if overhang.max() > 0:
            raise ConfigError(
                f"{self.name} sticks out of the box of {grid.extent[0]:g} µm by {overhang.max():.2g} µm at t {t:.3g}.",
                remedy=f"Raise box_um above {grid.extent[0] + 2 * overhang.max():.3g}.",
            )
        return mesh_sdf(mesh, grid, clamp=clamp_um)

    def sequence(
        self,
        n_frames: int = FRAMES,
        shape: int = 64,
        box_um: float | None = None,
        clamp_um: float | None = None,
    ) -> SDFSequence:
        """The shape in time as signed distances on a grid, held in memory.

        Parameters
        ----------
        n_frames : int
            Evenly spaced from t = 0 to t = 1; at least 2.
        shape : int
            Voxels along each side, at least 8.
        box_um : float, optional
            Side of the cube, µm; the family's by default.
        clamp_um : float, optional
            Largest distance outside that is kept, µm.

        Returns
        -------
        SDFSequence
            n_frames · shape³ · 4 bytes. For more than fits use :func:`write_family`, which holds one frame at a time.

        Raises
        ------
        ConfigError
            When a number is out of range or the shape does not fit into the box.
        """
        grid, frames, info = self.plan(n_frames, shape, box_um, clamp_um)
        data = np.empty((n_frames, *grid.shape), dtype=np.float32)
        for index, frame in enumerate(frames):
            data[index] = frame
        return SDFSequence(data, info)

    def plan(
        self, n_frames: int, shape: int, box_um: float | None, clamp_um: float | None
    ) -> tuple[Grid, Iterator[Floats32], SequenceInfo]:
        """What :meth:`sequence` holds, frame by frame: grid, frames as they are asked for, and what is told of them."""
        n = check_count("n_frames", n_frames, 2)
        grid = self.grid(shape, box_um)
        if clamp_um is not None:
            check_number("clamp_um", clamp_um, 1e-6, 1e6)
        settings = {**self.family.settings, "box_um": grid.extent[0], "n_frames": n, "shape": grid.shape[0]}
        settings |= {"clamp_um": clamp_um, "seed": self.parameters["seed"], "index": self.parameters["index"]}
        info = SequenceInfo(
            spacing=grid.spacing,
            time_step=self.family.time_step_s * (FRAMES - 1) / (n - 1),
            clamp=clamp_um,
            name=self.name,
            source="cytoform.synth " + json.dumps(settings, sort_keys=True),
        )
        return grid, (self.frame(i / (n - 1), grid, clamp_um=clamp_um) for i in range(n)), info


def _check_time(t: float) -> float:
    check_number("t", float(t), 0.0, 1.0)
    return float(t)


def _check_points(points: npt.ArrayLike) -> Floats:
    where = np.asarray(points, dtype=np.float64)
    if where.ndim != 2 or where.shape[1] != 3 or not np.isfinite(where).all():
        raise ConfigError(f"points has shape {where.shape}; expected (n, 3) finite numbers in µm, (z, y, x).")
    return where

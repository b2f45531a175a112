"""Base class of a living shape: its surface at any time, signed distances at points, on grids and as a sequence."""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Floats32
from ..errors import ConfigError
from ..image.volume import Grid
from ..mesh.surface import SurfaceMesh
from ..sdf.distance import mesh_sdf
from ..sdf.sequence import SDFSequence, SequenceInfo
from .families import FRAMES, LEAST_SHAPE, Family
from .numbers import check_count, check_number
from .primitives import Samples, surface_distance, volume_centroid

__all__ = ["LivingShape"]


@dataclasses.dataclass(frozen=True)
class _CentredSurface:
    """Surface at one time, scaled to µm and centred, with the transform from µm to the shape's local coordinates.

    Parameters
    ----------
    mesh : SurfaceMesh
        Centroid at the origin, µm.
    centre : (3,) float64
        Centroid in local coordinates.
    scale : float
        µm per local unit: local = point / scale + centre.
    """

    mesh: SurfaceMesh
    centre: Floats
    scale: float


class LivingShape(abc.ABC):
    """Base class of one simulated cell over time, with its centroid at the origin at every moment.

    A subclass gives its surface (``_mesh``) and level function (``_level``) at a time in local coordinates, with any
    centre and unit, and the volume that it is scaled to (``_volume``).

    Parameters
    ----------
    family : Family
        Family that it was drawn from.
    parameters : dict
        Numbers drawn for it, plain values for JSON; with ``family``, ``seed`` and ``index``.

    Attributes
    ----------
    box_um : float
        Side of the cube that it is sampled in by default, µm.
    """

    def __init__(self, family: Family, parameters: dict[str, Any]) -> None:
        self.family = family
        self.parameters = parameters
        self.box_um = family.box_um
        self._last: tuple[float, _CentredSurface] | None = None

    def __repr__(self) -> str:
        identity = {k: self.parameters[k] for k in ("seed", "index")}
        return f"{type(self).__name__}({self.family.name!r}, {identity})"

    @property
    def name(self) -> str:
        """Name of its file: family, seed and number, such as ``dividing-s3-00``."""
        return f"{self.family.name}-s{self.parameters['seed']}-{self.parameters['index']:02d}"

    @abc.abstractmethod
    def _mesh(self, t: float) -> SurfaceMesh:
        """Return the closed surface at time ``t`` in [0, 1], in local coordinates (z, y, x)."""

    @abc.abstractmethod
    def _level(self, at: Samples, t: float) -> Array:
        """Evaluate the level function: zero on the surface, negative inside.

        Parameters
        ----------
        at : Samples
            Points in local coordinates.
        t : float
            Time in [0, 1].

        Returns
        -------
        array of ``at.shape``
            In local units of length, rising at roughly 1 per unit near the surface.
        """

    def _volume(self, t: float) -> float | None:
        """Return the volume that the shape is scaled to at time ``t``, µm³; None where local coordinates are µm."""
        return None

    def _centred_surface(self, t: float) -> _CentredSurface:
        """Return the surface at time ``t``, scaled to its volume in µm³ and centred; that of the last time is kept."""
        t = _check_time(t)
        if self._last is None or self._last[0] != t:
            local, volume = self._mesh(t), self._volume(t)
            centre = volume_centroid(local)
            scale = 1.0 if volume is None else (volume / local.volume) ** (1.0 / 3.0)
            mesh = SurfaceMesh((local.vertices - centre) * scale, local.faces)
            self._last = (t, _CentredSurface(mesh, centre, scale))
        return self._last[1]

    def surface(self, t: float) -> SurfaceMesh:
        """Return the surface at a time, of triangles finer than any detail of the shape.

        Parameters
        ----------
        t : float
            Time in [0, 1], from the first frame to the last.

        Returns
        -------
        SurfaceMesh
            Closed, µm, (z, y, x), centroid at the origin.

        Raises
        ------
        ConfigError
            When ``t`` lies outside [0, 1].
        """
        return self._centred_surface(t).mesh

    def implicit(self, points: npt.ArrayLike, t: float) -> Floats:
        """Evaluate the level function: zero on the surface, negative inside, no distance away from the surface.

        Parameters
        ----------
        points : (n, 3) float
            Positions in µm, (z, y, x), relative to the shape's centroid.
        t : float
            Time in [0, 1].

        Returns
        -------
        (n,) float64
            Values in µm, rising at roughly 1 per µm near the surface.

        Raises
        ------
        ConfigError
            When points have another shape or ``t`` lies outside [0, 1].
        """
        centred = self._centred_surface(t)
        local = _check_points(points) / centred.scale + centred.centre
        return np.asarray(self._level(Samples.points(local), t), dtype=np.float64) * centred.scale

    def sdf(self, points: npt.ArrayLike, t: float) -> Floats:
        """Compute the signed Euclidean distance to the surface, negative inside.

        Parameters
        ----------
        points : (n, 3) float
            Positions in µm, (z, y, x), relative to the shape's centroid.
        t : float
            Time in [0, 1].

        Returns
        -------
        (n,) float64
            Distances in µm to the triangles of :meth:`surface`: exact within three of their edges, too large by at most
            a tenth of an edge beyond. On a grid :meth:`frame` is exact everywhere.

        Raises
        ------
        ConfigError
            When points have another shape or ``t`` lies outside [0, 1].
        """
        positions = _check_points(points)
        distance = surface_distance(self.surface(t), positions)
        return np.where(self.implicit(positions, t) < 0, -distance, distance)

    def grid(self, shape: int = 64, box_um: float | None = None) -> Grid:
        """Return the grid of a cube around the origin.

        Parameters
        ----------
        shape : int
            Voxels along each side, at least 8.
        box_um : float, optional
            Side of the cube, µm; the family's by default.

        Returns
        -------
        Grid
            Of ``shape``³ cubic voxels.

        Raises
        ------
        ConfigError
            When a number is out of range.
        """
        n = check_count("shape", shape, LEAST_SHAPE)
        box = self.box_um if box_um is None else box_um
        check_number("box_um", box, 1.0, 1000.0)
        spacing = box / n
        return Grid((n, n, n), (spacing, spacing, spacing), (-0.5 * (n - 1) * spacing,) * 3)

    def frame(self, t: float, grid: Grid, *, clamp_um: float | None = None) -> Floats32:
        """Compute the exact signed distances to :meth:`surface` at the samples of a grid.

        Parameters
        ----------
        t : float
            Time in [0, 1].
        grid : Grid
            Samples, µm, with the shape's centroid at the origin.
        clamp_um : float, optional
            Largest distance outside, µm; None for no limit.

        Returns
        -------
        (z, y, x) float32
            Distances in µm, negative inside.

        Raises
        ------
        ConfigError
            When the shape does not fit into the grid, or ``t`` lies outside [0, 1].
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
        """Sample the signed distances of all frames on one grid, in memory.

        Parameters
        ----------
        n_frames : int
            Number of frames, evenly spaced from t = 0 to t = 1; at least 2.
        shape : int
            Voxels along each side, at least 8.
        box_um : float, optional
            Side of the cube, µm; the family's by default.
        clamp_um : float, optional
            Largest distance outside, µm; None for no limit.

        Returns
        -------
        SDFSequence
            It holds n_frames · shape³ · 4 bytes. For more than fits into memory use :func:`write_family`, which holds
            one frame at a time.

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
        """Return grid, frames and attributes of :meth:`sequence`, with frames computed only when they are iterated.

        Parameters
        ----------
        n_frames : int
            Number of frames, evenly spaced from t = 0 to t = 1; at least 2.
        shape : int
            Voxels along each side, at least 8.
        box_um : float or None
            Side of the cube, µm; None for the family's.
        clamp_um : float or None
            Largest distance outside, µm; None for no limit.

        Returns
        -------
        grid : Grid
            Samples of every frame.
        frames : iterator of (z, y, x) float32
            Signed distances in µm, one frame after another.
        info : SequenceInfo
            Voxel size, time step, clamp, name, and the settings as source.

        Raises
        ------
        ConfigError
            When a number is out of range; while iterating, when the shape does not fit into the box.
        """
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
    """Return a time as float; raise ConfigError if it lies outside [0, 1]."""
    check_number("t", float(t), 0.0, 1.0)
    return float(t)


def _check_points(points: npt.ArrayLike) -> Floats:
    """Return points as (n, 3) float64; raise ConfigError if they have another shape or are not finite."""
    positions = np.asarray(points, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        raise ConfigError(f"points has shape {positions.shape}; expected (n, 3) finite numbers in µm, (z, y, x).")
    return positions

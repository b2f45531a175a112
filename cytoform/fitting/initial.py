"""A start without hand work: the largest bright object of an image as a sphere or an ellipsoid."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from ..errors import FitError, VolumeError
from ..image.volume import Volume
from ..mesh import shapes
from ..mesh.remesh import needs_remesh, remesh
from ..mesh.surface import SurfaceMesh
from ..optics import GaussianPSF

__all__ = ["BrightObject", "Moments", "guess_psf", "largest_object", "object_moments", "start_mesh", "typical_voxel"]

_LOG = logging.getLogger(__name__)
FAINT, GLARING = 1e-12, 1e12  # largest values of an image between which it is taken as it is
SMOOTHING = 1.5  # σ of the smoothing before the threshold, in finest voxels
FLAT = 0.6  # an object counts as flat when its thinnest spread is below this part of its middle one
NECK = 0.5  # a bridge narrower than this part of the object's greatest depth leads to a neighbour
CLOSING = 4.0  # breaks in the membrane up to twice this many finest voxels do not keep the inside from being filled
TRIM = 1.25  # parts outside the ellipsoid scaled by this do not shape the start
FLAT_TRIM = 1.08  # the same for the outline of a flat object
HALO = 4.0  # finest voxels around a bright neighbour that its blur lights up
RIM = 1.5  # the start lies so many finest voxels inside the object's outline
NEIGHBOUR = 0.02  # what is cut off counts as a neighbour from this part of the whole
CUT = 0.003  # the same where it touches the border of the image: more of it lies outside
LUMEN = 0.005  # an inside takes at least this part of a cell
LARGE = 0.3  # what is cut off is a cell from this part of what is left, whether an inside is seen or not
CLIP = 1.1  # next to a neighbour an object ends where its outline, scaled by this, does
CLIP_REACH = 0.3  # next to: within this part of the object's middle semi-axis
NEAR = 12.0  # what is bright within so many finest voxels of a given start may be the cell itself
SMALLEST = 100  # voxels that an object needs


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """An ellipsoid: centre (3,) µm, semi-axes (3,) µm and their directions, rows of (3, 3), (z, y, x)."""

    centre: npt.NDArray[np.float64]
    semi_axes: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    def distance(self, points: npt.NDArray) -> npt.NDArray[np.float64]:
        """Radius in units of the ellipsoid's: 1 on its surface. points (..., 3) µm."""
        local = (points - self.centre) @ self.axes.T / self.semi_axes
        return np.linalg.norm(local, axis=-1)


def typical_voxel(spacing: tuple[float, float, float]) -> float:
    """Geometric mean of the voxel's edges, µm: the unit of the fit's lengths in voxels."""
    return float(np.prod(spacing) ** (1.0 / 3.0))


def guess_psf(spacing: tuple[float, float, float]) -> GaussianPSF:
    """A first guess: 1.5 voxels wide across, twice that along z and no less than one slice."""
    across = 1.5 * float(np.sqrt(spacing[1] * spacing[2]))
    return GaussianPSF.from_sigma((max(2.0 * across, spacing[0]), across, across))


@dataclasses.dataclass(frozen=True, eq=False)
class BrightObject:
    """The largest bright object of an image, all (z, y, x) bool.

    Attributes
    ----------
    mask : the object, its inside filled
    others : what else is bright, its neighbours
    """

    mask: npt.NDArray[np.bool_]
    others: npt.NDArray[np.bool_]


def largest_object(volume: Volume) -> BrightObject:
    """The largest bright object of an image, and its neighbours.

    Smoothing, Otsu's threshold, closing of small breaks, filling of holes, the part with the most voxels, and an
    opening that cuts off what is joined to it by a narrow bridge and is another cell.

    Raises
    ------
    VolumeError
        When the image is constant.
    FitError
        When nothing of more than a hundred voxels stands out.
    """
    data = np.asarray(volume.data)
    if data.min() == data.max():
        raise VolumeError(
            f"every voxel of the image is {data.flat[0]:g}; expected an image with a stained cell.",
            remedy="Is it the right channel or time point?",
        )
    spacing = np.asarray(volume.spacing)
    smooth, bright = bright_part(volume)
    part = _largest_part(filled(bright, spacing))
    if part.sum() < SMALLEST:
        raise FitError(
            "no bright object of at least a hundred voxels was found in the image.",
            remedy="Give a start: --init MESH, or mesh= in Python.",
        )
    mask = _without_neighbours(part, part & ~bright, smooth, spacing)
    if (bright & ~mask).any():
        mask = _clipped(mask, bright & ~mask, volume)
    return BrightObject(mask, bright & ~mask)


def bright_part(volume: Volume) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The image, smoothed, and what of it is brighter than Otsu's threshold, (z, y, x) each."""
    spacing, data = np.asarray(volume.spacing), np.asarray(volume.data)
    size = float(np.abs(data).max())
    if data.dtype.kind == "f" and not FAINT < size < GLARING:  # squares of such values are none in float32
        data = data / size
    smooth = ndimage.gaussian_filter(np.asarray(data, np.float32), SMOOTHING * float(spacing.min()) / spacing)
    return smooth, smooth > threshold_otsu(smooth)


def neighbours_of(mask: npt.NDArray[np.bool_], volume: Volume) -> BrightObject:
    """An object that is known, and its neighbours: what else is bright and not next to its mask."""
    spacing, (_, bright) = np.asarray(volume.spacing), bright_part(volume)
    near = ndimage.distance_transform_edt(~mask, sampling=spacing) <= NEAR * float(spacing.min())
    return BrightObject(mask, bright & ~near)


def halo_of(others: npt.NDArray[np.bool_], spacing: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where the light of bright neighbours reaches, (z, y, x) bool."""
    if not others.any():
        return others
    return ndimage.distance_transform_edt(~others, sampling=spacing) <= HALO * float(np.min(spacing))


def _clipped(mask: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_], volume: Volume) -> npt.NDArray[np.bool_]:
    """Without what sticks out of the object's ellipsoid towards a neighbour."""
    moments = object_moments(mask, volume)
    outline = Moments(moments.centre, moments.semi_axes + RIM * min(volume.spacing), moments.axes)
    near = ndimage.distance_transform_edt(~others, sampling=volume.spacing) <= CLIP_REACH * outline.semi_axes[1]
    where = np.argwhere(mask & near)
    across = ((volume.grid.to_um(where) - outline.centre) @ outline.axes.T / outline.semi_axes)[:, 1:]
    out = where[np.linalg.norm(across, axis=1) > CLIP]
    kept = mask.copy()
    kept[tuple(out.T)] = False
    return _largest_part(kept)


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    parts, n = ndimage.label(mask)
    return parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])) if n else mask


def _without_neighbours(
    mask: npt.NDArray[np.bool_], dark: npt.NDArray[np.bool_], image: npt.NDArray, spacing: npt.NDArray
) -> npt.NDArray[np.bool_]:
    """Cut an object off others that touch it: an opening around its deepest point, then a watershed of the image.

    What the opening leaves out and the object's core are the seeds of the watershed: it moves the cut to the bright
    membranes between the two. A part that ends within the image is a neighbour only where it has an inside of its own,
    which is `dark`, or is large: fins, tails and protrusions have none.

    The depth of a flat object is that of its outline seen along its thin axis: cells that touch along their rims have
    contacts as thick as themselves, but not as wide, and the dimples of a biconcave cell do not divide it.
    """
    spread = spacing * np.argwhere(mask).std(axis=0)
    thin = int(np.argmin(spread))
    flat = spread[thin] < FLAT * float(np.median(spread))
    solid, sampling = (mask.any(axis=thin), np.delete(spacing, thin)) if flat else (mask, spacing)
    depth = ndimage.distance_transform_edt(np.pad(solid, 1), sampling=sampling)[(slice(1, -1),) * solid.ndim]
    radius = NECK * float(depth.max())
    cores, _ = ndimage.label(depth > radius)
    core = cores == cores[np.unravel_index(int(np.argmax(depth)), depth.shape)]
    opened = ndimage.distance_transform_edt(~core, sampling=sampling) <= radius
    if flat:
        core, opened = np.expand_dims(core, thin), np.expand_dims(opened, thin)
    rest, _ = ndimage.label(mask & ~opened)
    share = np.bincount(rest.ravel(), weights=mask.ravel()) / mask.sum()  # the first is the body that is left
    cut = np.zeros(len(share), dtype=bool)
    for axis in range(3):
        for side in (0, -1):
            cut[np.unique(np.take(rest, side, axis=axis))] = True
    hollow = np.bincount(rest.ravel(), weights=dark.ravel()) >= LUMEN * share * mask.sum()
    large = (share >= np.where(cut, CUT, NEIGHBOUR)) & (cut | hollow | (share >= LARGE * share[0]))
    large[0] = False
    if not large.any():
        return mask
    seeds = np.where(mask & core, 1, np.where(large[rest], 2, 0))
    inner = watershed(image, seeds, mask=mask) == 1
    # the cut runs along the ridge of the membrane; its outer half, as thick as elsewhere, belongs to the object too
    outward = ndimage.distance_transform_edt(~inner, sampling=spacing)
    away = ndimage.distance_transform_edt(~large[rest], sampling=spacing) > radius
    outline = mask & ~ndimage.binary_erosion(mask) & away
    half = float(np.median(outward[outline])) if outline.any() else 0.0
    return _largest_part(mask & ~large[rest] & ((outward <= half) | away))


def filled(mask: npt.NDArray[np.bool_], spacing: npt.NDArray) -> npt.NDArray[np.bool_]:
    """Fill what a membrane encloses, breaks up to some width notwithstanding; a cleft between two cells stays open.

    The membrane is thickened step by step; a dark inside that is cut off by then, grown back by as much, is filled.
    """
    finest = float(spacing.min())
    room = [int(np.ceil(CLOSING * finest / d)) + 1 for d in spacing]
    cut = tuple(slice(n, -n) for n in room)
    wide = np.pad(mask, [(n, n) for n in room])
    off = ndimage.distance_transform_edt(~wide, sampling=spacing)
    inside, known = wide.copy(), wide.copy()
    for step in range(1 + int(CLOSING)):
        reach = step * finest
        thick = off <= reach
        holes = ndimage.binary_fill_holes(thick) & ~thick
        if (holes & ~known).any():
            known |= holes
            inside |= ndimage.distance_transform_edt(~holes, sampling=spacing) <= reach
    return inside[cut]


def object_moments(mask: npt.NDArray[np.bool_], volume: Volume) -> Moments:
    """Ellipsoid of an object's axes, a little inside its outline; what sticks out of it (neighbours) is left out."""
    points = volume.grid.to_um(np.argwhere(mask))
    finest = min(volume.spacing)
    centre, axes, spread = _principal(points)
    if spread[0] < FLAT * spread[1]:
        # seen along its thin axis: neither the thick rim of a biconcave cell nor a neighbour's rim counts twice
        plane = np.unique(np.round((points - centre) @ axes[1:].T / finest), axis=0) * finest
        middle, turn, wide = _trimmed(plane, 2.0, FLAT_TRIM)
        centre = centre + middle @ axes[1:]
        axes = np.concatenate([axes[:1], turn @ axes[1:]])
        semi = np.concatenate([np.sqrt(5.0) * spread[:1], wide])
    else:
        centre, axes, semi = _trimmed(points, np.sqrt(5.0), TRIM)
    # the threshold lies outside the membrane, and a start inside it meets no neighbour on its way
    return Moments(centre, np.maximum(semi - RIM * finest, 0.5 * semi), axes)


def _principal(points: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Mean, principal directions (rows) and standard deviations along them, smallest first."""
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((points - centre).T))
    return centre, vectors.T, np.sqrt(np.maximum(values, 1e-12))


def _trimmed(
    points: npt.NDArray, factor: float, trim: float, *, rounds: int = 50
) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Centre, axes and semi-axes of the body that most of the points fill.

    An even ellipse has semi-axes of 2 standard deviations, an even ellipsoid of √5 (`factor`). Points well outside are
    dropped and it is redone.
    """
    kept = np.ones(len(points), dtype=bool)
    for _ in range(rounds):
        centre, axes, spread = _principal(points[kept])
        again = np.linalg.norm((points - centre) @ axes.T / (factor * spread), axis=1) <= trim
        if (again == kept).all() or again.sum() < SMALLEST:
            break
        kept = again
    return centre, axes, factor * spread


def start_mesh(volume: Volume, found: BrightObject, init: str, edge: float) -> SurfaceMesh:
    """Sphere or ellipsoid around an object.

    Parameters
    ----------
    found : BrightObject
    init : "auto", "ellipsoid" or "sphere"
    edge : float
        Mean edge length in µm.
    """
    moments = object_moments(found.mask, volume)
    if init == "sphere":
        radius = float(np.prod(moments.semi_axes) ** (1.0 / 3.0))
        mesh = shapes.sphere_of_edge(radius, tuple(moments.centre), edge)
    else:
        mesh = shapes.ellipsoid(tuple(moments.semi_axes), tuple(moments.centre), axes=moments.axes, edge=edge)
        if needs_remesh(mesh, edge):
            mesh = remesh(mesh, edge)
    _LOG.info("start: centre %s µm, semi-axes %s µm", moments.centre.round(2), moments.semi_axes.round(2))
    return mesh

"""Find the defects of a mesh of touching cells: open and pinched regions, faces that cross, bad windings."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..._typing import Floats, Ints
from .. import topology
from ..crossing import crossing_faces
from ..multimaterial import MultiMaterialMesh
from ..volumes import region_volumes

__all__ = ["CellsValidity", "check_cells", "region_sheets"]


@dataclasses.dataclass(frozen=True)
class CellsValidity:
    """The defects of a mesh of touching cells; all are empty for a sound one.

    Parameters
    ----------
    open_edges : (n, 3) int64
        Region and the two vertices of each edge at which a region has an odd number of faces.
    pinched_edges : (n, 3) int64
        Region and vertices of each edge at which a region has four faces or more: it touches itself along the edge.
    pinched_vertices : (n, 2) int64
        Region and vertex where a region touches itself only at a vertex.
    duplicate_faces : (n,) int64
        Faces that have the same three corners as an earlier one.
    empty_faces : (n,) int64
        Faces without area.
    crossing_faces : (n, 2) int64
        Pairs of faces that cross, touch without a common vertex, or are folded at an edge.
    bad_windings : (n, 3) int64
        Region and vertices of each edge along which both faces of a region run the same way.
    negative_regions : (n,) int64
        Regions whose volume is not positive.
    """

    open_edges: Ints
    pinched_edges: Ints
    pinched_vertices: Ints
    duplicate_faces: Ints
    empty_faces: Ints
    crossing_faces: Ints
    bad_windings: Ints
    negative_regions: Ints

    @property
    def open_regions(self) -> tuple[int, ...]:
        """Regions that are not closed, ascending; 0 for the outside."""
        return tuple(int(r) for r in np.unique(self.open_edges[:, 0]))

    @property
    def sound(self) -> bool:
        """Whether there is no defect at all."""
        return not self.describe()

    @property
    def closed(self) -> bool:
        """Whether every region is a closed surface wound outward with a volume, however it touches or crosses."""
        return not (len(self.open_edges) or len(self.bad_windings) or len(self.negative_regions))

    def describe(self) -> tuple[str, ...]:
        """Return one sentence for each kind of defect that was found.

        Returns
        -------
        tuple of str
            Empty for a sound mesh.
        """
        names = {
            "open_edges": f"edges at which a region is open (regions {_names(self.open_regions)})",
            "pinched_edges": "edges along which a region touches itself",
            "pinched_vertices": "vertices at which a region touches itself",
            "duplicate_faces": "faces with the corners of another one",
            "empty_faces": "faces without area",
            "crossing_faces": "pairs of faces that cross or are folded",
            "bad_windings": "edges at which the windings of a region's faces disagree",
            "negative_regions": f"regions without a positive volume ({_names(self.negative_regions.tolist())})",
        }
        return tuple(f"{len(getattr(self, name))} {what}" for name, what in names.items() if len(getattr(self, name)))


def _names(numbers: tuple[int, ...] | list[int]) -> str:
    """Return numbers in words, the first ten of them."""
    return ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")


@dataclasses.dataclass(frozen=True)
class Sheets:
    """Every face twice, once for each region that it bounds.

    Parameters
    ----------
    region : (2 n_faces,) int64
        Index of the region in `numbers`.
    faces : (2 n_faces, 3) int64
        The face, wound outward as seen from the region.
    numbers : (n_regions,) int64
        Region numbers, the outside (0) included.
    """

    region: Ints
    faces: Ints
    numbers: Ints


def region_sheets(mesh: MultiMaterialMesh) -> Sheets:
    """Return every face once for each of its two regions, wound outward from it.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    Sheets
        Faces by region; of face f at f and f + n_faces.
    """
    numbers, index = np.unique(mesh.labels, return_inverse=True)
    index = index.reshape(-1, 2)
    faces = np.concatenate([mesh.faces, mesh.faces[:, [0, 2, 1]]])
    return Sheets(np.concatenate([index[:, 0], index[:, 1]]), faces, numbers.astype(np.int64))


def check_cells(mesh: MultiMaterialMesh) -> CellsValidity:
    """Find all defects of a mesh of touching cells.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells; nothing is changed.

    Returns
    -------
    CellsValidity
        What was found.
    """
    sheets = region_sheets(mesh)
    n = mesh.n_vertices
    starts, ends = sheets.faces.reshape(-1), np.roll(sheets.faces, -1, axis=1).reshape(-1)
    region = np.repeat(sheets.region, 3)
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    edges, edge = np.unique(low * n + high, return_inverse=True)
    keys, inverse, counts = np.unique(region * len(edges) + edge, return_inverse=True, return_counts=True)
    forward = np.bincount(inverse, weights=starts == low, minlength=len(keys))
    rows = np.stack(
        [sheets.numbers[keys // len(edges)], edges[keys % len(edges)] // n, edges[keys % len(edges)] % n], 1
    )
    _, first = np.unique(np.sort(mesh.faces, axis=1), axis=0, return_index=True)
    sound = topology.zero_area_faces(mesh)
    return CellsValidity(
        open_edges=rows[counts % 2 == 1],
        pinched_edges=rows[(counts % 2 == 0) & (counts > 2)],
        pinched_vertices=_pinched_vertices(sheets, inverse, counts, starts, n),
        duplicate_faces=np.setdiff1d(np.arange(mesh.n_faces), first),
        empty_faces=np.flatnonzero(sound),
        crossing_faces=crossing_faces(mesh.vertices, mesh.faces),
        bad_windings=rows[(counts % 2 == 0) & (2 * forward != counts)],
        negative_regions=_negative_regions(mesh, sheets),
    )


def _pinched_vertices(sheets: Sheets, edge: Ints, counts: Ints, starts: Ints, n_vertices: int) -> Ints:
    """Return region and vertex, (n, 2), where the faces of a region form several fans.

    edge (6 n_faces,) numbers the edges of each region, counts their faces, starts (6 n_faces,) the corners.
    """
    corners = np.arange(len(edge))
    order = np.argsort(edge, kind="stable")
    begin = np.cumsum(counts) - counts
    links = []
    for k in range(1, int(counts.max())):  # all faces at an edge hang together there
        some = begin[counts > k]
        links.append(np.stack([order[some], order[some + k]], axis=1))
    a, b = np.concatenate(links).T
    following = 3 * (corners // 3) + (corners + 1) % 3
    alike = starts[a] == starts[b]
    pairs = np.concatenate([
        np.stack([a, np.where(alike, b, following[b])], axis=1),
        np.stack([following[a], np.where(alike, following[b], b)], axis=1),
    ])  # fmt: skip
    graph = coo_matrix((np.ones(len(pairs), dtype=np.int8), pairs.T), shape=(len(edge), len(edge)))
    fan = connected_components(graph, directed=False)[1]
    _, one = np.unique(fan, return_index=True)
    at, fans = np.unique(np.repeat(sheets.region, 3)[one] * n_vertices + starts[one], return_counts=True)
    at = at[fans > 1]
    return np.stack([sheets.numbers[at // n_vertices], at % n_vertices], axis=1)


def _negative_regions(mesh: MultiMaterialMesh, sheets: Sheets) -> Ints:
    """Return the regions, without the outside, whose volume is not positive."""
    inner = sheets.numbers[sheets.numbers > 0]
    pairs = np.searchsorted(inner, mesh.labels) + 1
    pairs[mesh.labels == 0] = 0
    volumes: Floats = region_volumes(mesh.vertices.astype(np.float64), mesh.faces, pairs, len(inner))
    return inner[volumes <= 0]

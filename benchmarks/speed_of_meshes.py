"""How the work on a mesh grows with its triangles: seconds, and the ratio to four times fewer.

    python benchmarks/speed_of_meshes.py

A ratio near 4 is work in proportion to the triangles; 16 would be work in proportion to all pairs. What a fit does
every dozen steps (remeshing, the search for self-intersections) and what a start does (voxelising) should stay below
`LIMIT`; the exit code is 1 where one does not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh import topology
from cytoform.mesh.remesh import remesh
from cytoform.mesh.shapes import sphere_of_edge
from cytoform.mesh.surface import SurfaceMesh

EDGES = (1.5, 0.75, 0.375)  # µm, on a sphere of radius 10 µm: about 1,280, 5,120 and 20,480 triangles
LIMIT = 7.0
REPEATS = 3
GRID = Grid((128, 128, 128), 0.2, (-12.7, -12.7, -12.7))

WORK: dict[str, Callable[[SurfaceMesh, float], object]] = {
    "remesh": lambda mesh, edge: remesh(mesh, edge),
    "self_intersections": lambda mesh, edge: topology.self_intersections(mesh),
    "mesh_to_mask, 128³": lambda mesh, edge: mesh_to_mask(mesh, GRID),
}


def seconds(work: Callable[[SurfaceMesh, float], object], mesh: SurfaceMesh, edge: float) -> float:
    """Least time of a few repeats."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work(mesh, edge)
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> int:
    """Print a row for each piece of work and size."""
    meshes = [(sphere_of_edge(10.0, (0.0, 0.0, 0.0), edge), edge) for edge in EDGES]
    steep = []
    print(f"{'work':20s} {'triangles':>10s} {'s':>8s} {'ratio':>6s}")
    for name, work in WORK.items():
        before = None
        for mesh, edge in meshes:
            now = seconds(work, mesh, edge)
            ratio = None if before is None else now / before
            print(f"{name:20s} {mesh.n_faces:10d} {now:8.3f} {'' if ratio is None else f'{ratio:6.1f}'}")
            if ratio is not None and ratio > LIMIT:
                steep.append(f"{name} at {mesh.n_faces} triangles")
            before = now
    if steep:
        print("steeper than", LIMIT, "for four times as many:", ", ".join(steep))
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())

"""Follow a mesh through a fit: how often a reader comes back to a file that was left.

    python benchmarks/walk.py

A small fit from a mesh runs with a profiler. Every function of the package that is given a mesh is noted when it is
called for the first time, as someone who follows the mesh reads it once; the methods of the mesh itself are left out. A
stay is a run of such functions in one file, a return a stay in a file that was read before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cytoform as cf
from cytoform.mesh import shapes

ROOT = Path(cf.__file__).parent
AT_HOME = ("mesh/surface.py", "mesh/base.py")


def stays(run: Callable[[], Any]) -> list[str]:
    """The files that a mesh stays in, one after another, while something runs."""
    seen: set[tuple[str, str]] = set()
    path: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        place = Path(code.co_filename)
        if event != "call" or code.co_name.startswith("<") or not place.is_relative_to(ROOT):
            return
        file, names = str(place.relative_to(ROOT)), code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if file in AT_HOME or not any(isinstance(frame.f_locals.get(name), cf.SurfaceMesh) for name in names):
            return
        if (file, code.co_qualname) not in seen:
            seen.add((file, code.co_qualname))
            if not path or path[-1] != file:
                path.append(file)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return path


def main() -> None:
    grid = cf.Grid((24, 24, 24), 0.2)
    truth, begin = (shapes.icosphere(radius, grid.centre, subdivisions=3) for radius in (1.3, 1.1))
    psf = cf.GaussianPSF.from_sigma((0.3, 0.3, 0.3))
    image, config = cf.Volume(cf.render(truth, psf, grid), 0.2), cf.FitConfig(iterations=60)
    cf.fit(image, begin, psf, config)  # kernels are compiled
    path = stays(lambda: cf.fit(image, begin, psf, config))
    print(" > ".join(path))
    print(f"{len(path)} stays in {len(set(path))} files, {len(path) - len(set(path))} returns")


if __name__ == "__main__":
    main()

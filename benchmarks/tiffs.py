"""Which TIFF files of a folder are read, and as tifffile reads them.

    python benchmarks/tiffs.py FOLDER

Each file is described with its extremes, and read with a voxel size of 1 µm, channel 0 and time point 0 where there are
several. Voxels and extremes are compared with tifffile's own ``asarray``. A file that is refused is told with the
reason; flat pictures are refused by right, their extremes are compared all the same.
"""

from __future__ import annotations

import collections
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cytoform.errors import CytoformError
from cytoform.image.io import ImageInfo, image_info, read_volume

ENDINGS = (".tif", ".tiff", ".lsm", ".stk", ".btf", ".tf8", ".svs", ".qptiff", ".ndpi")
WIDTH = 110  # characters of a reason


def own(path: Path) -> tuple[Any, str]:
    """tifffile's own pixels and axes of the first image, or None where it fails."""
    try:
        with tifffile.TiffFile(path) as file:
            return file.series[0].asarray(), file.series[0].axes
    except Exception as error:  # whatever tifffile makes of it
        return None, str(error)


def first(array: Any, axes: str) -> Any:
    """Channel 0 at time point 0, without axes of length 1."""
    return np.squeeze(array[tuple(0 if a in "TCS" else slice(None) for a in axes)])


def same_extremes(info: ImageInfo, array: Any) -> bool:
    """Whether the extremes are those of the pixels; True where none were looked for."""
    if info.minimum is None or array is None or not array.size:
        return True
    expected = np.asarray([array.min(), array.max()], dtype=float)
    return bool(np.array_equal([info.minimum, info.maximum], expected, equal_nan=True))


def outcome(path: Path) -> tuple[str, str, str]:
    """Axes, outcome in a word, and its reason."""
    array, axes = own(path)
    try:
        info = image_info(path, extremes=True)
    except CytoformError as error:
        return "", "refused", str(error).replace(str(path), "it")
    shown = f"{info.axes} {'×'.join(str(n) for n in info.shape)}"
    remark = " | ".join(info.remarks)
    if not same_extremes(info, array):
        return shown, "DIFFERS", f"extremes {info.minimum} to {info.maximum}, tifffile has others"
    try:
        channel = 0 if info.channels > 1 else None
        volume = read_volume(path, spacing=1.0, channel=channel, time=0 if info.times > 1 else None)
    except CytoformError as error:
        return shown, "flat" if "2D image" in str(error) else "refused", str(error).replace(str(path), "it")
    if array is None:
        return shown, "read", "tifffile alone does not read it: " + axes
    if np.shape(array) == info.shape:
        axes = info.axes  # names that tifffile does not have
    equal = np.array_equal(np.squeeze(volume.data), first(array, axes))
    return shown, "read" if equal else "DIFFERS", remark


def main(folder: Path) -> int:
    """Print a table of outcomes and their number; 1 where pixels differ."""
    logging.disable(logging.WARNING)
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS)
    counts: collections.Counter[str] = collections.Counter()
    for path in paths:
        begin = time.monotonic()
        axes, word, reason = outcome(path)
        counts[word] += 1
        seconds = time.monotonic() - begin
        print(f"{path.name[:40]:<40} {axes[:28]:<28} {word:<8} {seconds:5.1f} s  {reason[:WIDTH]}")
    print(f"{len(paths)} files: " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
    return int(counts["DIFFERS"] > 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))

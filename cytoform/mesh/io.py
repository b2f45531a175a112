"""Meshes from and to files. Files hold (x, y, z), memory (z, y, x): the swap happens here and nowhere else.

==========  ===================================================  ================================================
extension   reads                                                writes
==========  ===================================================  ================================================
``.ply``    text and binary, polygons and triangle strips        binary; text where faces have a density or labels
``.obj``    polygons                                             positions and faces
``.stl``    text and binary                                      binary, float32
``.vtp``    text, base64 and raw, compressed or not; polygons    base64 and zlib; density and region labels
            and triangle strips, several pieces
``.rec``    multimaterial, text and binary                       multimaterial, text, without density
==========  ===================================================  ================================================

Each module of :mod:`cytoform.mesh.formats` turns one kind of bytes into its parts and back;
:func:`cytoform.mesh.formats.register` adds further ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._typing import Array, PathLike
from ..atomic import atomic_path
from ..errors import CytoformError, FileFormatError, MeshError
from . import geometry
from .base import check_faces
from .formats.kinds import UNSUPPORTED, identify_kind
from .formats.parts import EXPORT_AGAIN, MeshFormat, Parts, plural
from .formats.registry import REGISTRY
from .formats.text import to_utf8
from .protocol import Mesh
from .surface import SurfaceMesh

if TYPE_CHECKING:
    from .multimaterial import MultiMaterialMesh

__all__ = ["read_mesh", "read_surface", "write_mesh"]


_LOG = logging.getLogger(__name__)
_HEAD_BYTES = 4096  # bytes that are read to find out what a file is


def read_mesh(path: PathLike, *, dtype: npt.DTypeLike = np.float64) -> SurfaceMesh | MultiMaterialMesh:
    """Read a mesh from a file; coordinates are taken as µm.

    Vertices at exactly equal positions are merged (texture seams, the loose triangles of STL; not in REC), polygons are
    divided into triangles. Vertices that no face uses, faces with the same point at two corners, and what is no surface
    (lines, single points) are left out with a warning in the log; colours, normals, textures and materials without.

    Parameters
    ----------
    path : path
        An ``.obj``, ``.ply``, ``.stl``, ``.vtp`` or ``.rec`` file, (x, y, z), or one of a registered format.
    dtype : float32 or float64, optional
        Number type of the vertices; float64 by default.

    Returns
    -------
    SurfaceMesh or MultiMaterialMesh
        The latter for ``.rec`` and for ``.ply`` and ``.vtp`` files with region labels; vertices are (z, y, x).

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short or of another kind.
    MeshError
        When there are no faces, an index is out of range or a vertex of a face is not finite.
    """
    path = Path(path)
    mesh_format = _format_of(path, writing=False)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise FileFormatError(f"cannot read {path}: {what}; expected a mesh.", remedy="Check the path.")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a mesh.", remedy=EXPORT_AGAIN)
    try:
        assert mesh_format.read is not None
        parts = mesh_format.read(path)
        mesh = _mesh_from_parts(parts, dtype, merge=mesh_format.merge)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror or error}.", remedy="Check the file.") from error
    except MemoryError as error:
        message = f"cannot read {path} of {path.stat().st_size} bytes: there is not enough memory."
        raise FileFormatError(message, remedy="Make the mesh coarser, for example with MeshLab.") from error
    except Exception as error:  # whatever a broken file makes a parser do
        raise _read_error(path, error) from error
    for remark in dict.fromkeys(parts.remarks):
        _LOG.warning("%s: %s.", path, remark)
    return mesh


def _read_error(path: Path, error: Exception) -> CytoformError:
    """Return the error to raise for a file whose reader raised `error`, with the file's path in its message.

    Where the first bytes show that the file is of another kind than its extension says, the message tells that kind.
    """
    with open(path, "rb") as file:
        found = identify_kind(to_utf8(file.read(_HEAD_BYTES)))
    if found is not None and path.suffix.lower() != found.suffix:
        return FileFormatError(f"{path} is {found.what}; expected a {path.suffix.lower()} file.", remedy=found.remedy)
    if isinstance(error, MeshError):
        return MeshError(f"{path}: {error.message}", remedy=error.remedy)
    if isinstance(error, CytoformError):
        return FileFormatError(f"{path}: {error.message}", remedy=error.remedy or EXPORT_AGAIN)
    reason = (str(error) or type(error).__name__).rstrip(".")
    return FileFormatError(f"{path} is damaged, cut short or of another kind: {reason}.", remedy=EXPORT_AGAIN)


def read_surface(path: PathLike) -> SurfaceMesh:
    """Read one surface, a mesh without region labels, from a file; coordinates are taken as µm.

    Parameters
    ----------
    path : path
        A file as for :func:`read_mesh`.

    Returns
    -------
    SurfaceMesh
        Its vertices are float64, (z, y, x).

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short or of another kind.
    MeshError
        When the file holds a cluster of cells, there are no faces, an index is out of range or a vertex of a face is
        not finite.
    """
    mesh = read_mesh(path)
    if not isinstance(mesh, SurfaceMesh):
        raise MeshError(
            f"{path} is a cluster of cells with region labels; expected one surface.",
            remedy="Export one cell as .ply, .obj or .stl.",
        )
    return mesh


def write_mesh(
    path: PathLike,
    mesh: Mesh,
    vertex_data: Mapping[str, npt.ArrayLike] | None = None,
    *,
    face_data: Mapping[str, npt.ArrayLike] | None = None,
) -> None:
    """Write a mesh in µm, (x, y, z), completely or not at all.

    PLY and VTP keep the vertices' precision, the density (where it is not 1 everywhere) and region labels; OBJ and STL
    keep the surface alone, REC the surface and its labels (a log message tells what is left out). PLY is read by most
    programs; ParaView and PyVista see only its surface, but all of the data in VTP.

    Parameters
    ----------
    path : path
        ``.ply``, ``.obj``, ``.stl``, ``.vtp`` or ``.rec``, or a registered format; its folder exists.
    mesh : SurfaceMesh or MultiMaterialMesh
        The mesh to write.
    vertex_data : mapping of str to (n_vertices,) float, optional
        Further numbers at the vertices, in PLY and VTP, under names without spaces. :func:`read_mesh` leaves them out.
    face_data : mapping of str to (n_faces,) float, optional
        The same at the faces, in VTP.

    Raises
    ------
    FileFormatError
        When the extension is unknown.
    MeshError
        When the format cannot hold the mesh (region labels in OBJ and STL, none in REC), or `vertex_data` or
        `face_data` has another shape or a name that is not allowed.
    OutputError
        When the file cannot be written there.
    """
    path = Path(path)
    mesh_format = _format_of(path, writing=True)
    assert mesh_format.write is not None
    density, jump, labels = _face_data_to_write(path, mesh, mesh_format)
    parts = Parts(mesh.vertices[:, ::-1], mesh.faces, density, labels, jump=jump)
    parts.vertex_data = _check_further_data("vertex", vertex_data or {}, mesh.n_vertices)
    parts.face_data = _check_further_data("face", face_data or {}, mesh.n_faces)
    if parts.vertex_data and not mesh_format.vertex_data:
        _LOG.warning("%s: %s files hold no data at vertices; they are left out", path, path.suffix.lower())
    if parts.face_data and path.suffix.lower() != ".vtp":
        _LOG.warning("%s: %s files hold no further data at faces; they are left out", path, path.suffix.lower())
    with atomic_path(path) as temporary:
        temporary.write_bytes(mesh_format.write(parts, np.dtype(mesh.vertices.dtype)))


def _face_data_to_write(
    path: Path, mesh: Mesh, mesh_format: MeshFormat
) -> tuple[Array | None, Array | None, Array | None]:
    """Return density and jump (n_faces,) and region labels (n_faces, 2) to write; None for one that is not written.

    Density 1 everywhere is not written, except for a cluster. Raise MeshError if the format cannot hold region labels
    that the mesh has, or needs some that it lacks; log a warning if it cannot hold the density.
    """
    labels, suffix = getattr(mesh, "labels", None), path.suffix.lower()
    if labels is not None and mesh_format.labels == "none":
        raise MeshError(f"{suffix} files hold no region labels, the mesh has them.", remedy="Write .vtp, .ply or .rec.")
    if labels is None and mesh_format.labels == "required":
        raise MeshError(
            f"{suffix} files need two region labels a face, the mesh has none.", remedy="Write .ply or .obj."
        )
    density = np.asarray(mesh.density)
    # A cluster's usual density is not 1 everywhere, so it is always written for those.
    kept = density if labels is not None or not np.all(density == 1) else None
    if kept is not None and labels is None and not mesh_format.density:
        _LOG.warning("%s: %s files hold no density; it is left out", path, suffix)
    if mesh.jump is not None and not mesh_format.density:
        _LOG.warning("%s: %s files hold no brightness of the inside; it is left out", path, suffix)
    return kept, mesh.jump, labels


def _check_further_data(what: str, data: Mapping[str, npt.ArrayLike], count: int) -> dict[str, Array]:
    """Return numbers at `count` vertices or faces as float64 arrays; raise MeshError if a shape or a name is wrong."""
    found = {name: np.asarray(values, dtype=np.float64) for name, values in data.items()}
    taken = ("x", "y", "z") if what == "vertex" else ("density", "jump", "labels")
    for name, values in found.items():
        if values.shape != (count,) or not (name.isidentifier() and name.isascii()) or name in taken:
            raise MeshError(
                f"{what} data {name!r} has shape {values.shape}; expected ({count},), and a name of ASCII "
                f"letters, digits and underscores other than {', '.join(taken[:2])} and {taken[2]}."
            )
    return found


def _format_of(path: Path, *, writing: bool) -> MeshFormat:
    """Return the registered format that can read or (`writing`) write a file, by its extension.

    Raise FileFormatError if there is none; the message tells what an extension known from elsewhere stands for.
    """
    for mesh_format in REGISTRY.claiming(path):
        if (mesh_format.write if writing else mesh_format.read) is not None:
            return mesh_format
    suffix, expected = path.suffix.lower(), f"expected one of {', '.join(REGISTRY.suffixes())}"
    if not writing and suffix in UNSUPPORTED:
        what, remedy = UNSUPPORTED[suffix]
        raise FileFormatError(f"{path} is {what} by its extension, {suffix}; {expected}.", remedy=remedy)
    raise FileFormatError(
        f"{path} has the extension {suffix or '(none)'!r}; {expected}.",
        remedy="Choose another extension." if writing else "Convert the mesh, for example with MeshLab.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# From parts to a mesh


def _mesh_from_parts(parts: Parts, dtype: npt.DTypeLike, *, merge: bool) -> SurfaceMesh | MultiMaterialMesh:
    """Return the mesh of a file's :class:`Parts`, turned from (x, y, z) to (z, y, x).

    Unused points, faces with the same point at two corners and (without labels) repeated faces are left out, each with
    an entry in `parts.remarks`. `merge` makes vertices at equal positions one. Raise MeshError if no face is left.
    """
    faces = check_faces(parts.faces, len(parts.points))
    points, faces = _drop_unused_points(parts.points, faces)
    unused = len(parts.points) - len(points)
    if unused:
        parts.remarks.append(f"{plural(unused, 'vertex')} that no face uses {_is_or_are(unused)} left out")
    if merge:
        points, faces = _merge_equal_points(points, faces)
    good = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    if not good.any():
        raise MeshError(
            f"none of its {len(faces)} faces has an area: two corners of each are the same point.",
            remedy="Export it again with more digits, or with coordinates nearer to 0.",
        )
    if not good.all():
        left = int((~good).sum())
        parts.remarks.append(f"{plural(left, 'face')} with the same point at two corners {_is_or_are(left)} left out")
        points, faces = _drop_unused_points(points, faces[good])
    density, jump, labels = (None if a is None else a[good] for a in (parts.density, parts.jump, parts.labels))
    if labels is None:  # in a cluster two coinciding faces may separate three regions
        first = np.argmin(faces, axis=1)[:, None]  # the same corners in the same sense, whichever comes first
        rotated = np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1)
        once = np.sort(np.unique(rotated, axis=0, return_index=True)[1])
        if again := len(faces) - len(once):
            parts.remarks.append(
                f"{plural(again, 'face')} that {_is_or_are(again)} there already {_is_or_are(again)} left out"
            )
            points, faces = _drop_unused_points(points, faces[once])
            density, jump = (None if a is None else a[once] for a in (density, jump))
    vertices = np.ascontiguousarray(points[:, ::-1], dtype=dtype)
    given = {name: array for name, array in (("density", density), ("jump", jump)) if array is not None}
    if labels is not None:
        from .multimaterial import MultiMaterialMesh

        return MultiMaterialMesh(vertices, faces, labels, **given)
    return SurfaceMesh(vertices, faces, **given)


def _is_or_are(n: int) -> str:
    """Return "is" for one thing, "are" for more."""
    return "is" if n == 1 else "are"


def _drop_unused_points(points: Array, faces: Array) -> tuple[Array, Array]:
    """Return points and faces without the points that no face uses; faces are renumbered."""
    used = geometry.used_vertices(faces, len(points))
    return (points, faces) if used.all() else (points[used], (np.cumsum(used) - 1)[faces])


def _merge_equal_points(points: Array, faces: Array) -> tuple[Array, Array]:
    """Return points and faces with points at exactly equal positions merged, in the order of their first appearance."""
    points = points + 0.0  # -0.0 becomes 0.0
    _, first, inverse = np.unique(points, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(points):
        return points, faces
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return points[first[order]], rank[inverse.reshape(-1)][faces]

"""Files that cannot be read as meshes: what they are, and how the user can proceed."""

from __future__ import annotations

import dataclasses

__all__ = ["UNSUPPORTED", "Kind", "identify_kind"]

_MESHLAB = "Open it in MeshLab or Blender and export it as .ply or .obj."
_PARAVIEW = "Open it in ParaView, apply “Extract Surface” and save it as .vtp."
_MESHIO = (
    "Convert it to .ply, for example with meshio (`meshio convert FILE mesh.ply`), or save it as .vtp in ParaView."
)
_IMAGE = "Expected a mesh, not an image."
_POINTS = "Reconstruct a surface from them and export it as .ply, for example with MeshLab."
_CAD = "Mesh it in the CAD program and export it as .stl."
_UNPACK = "Unpack it first."

# What files with other extensions are, and how the user can proceed.
UNSUPPORTED: dict[str, tuple[str, str]] = {
    ".off": ("an OFF mesh", "Convert it to .ply, for example with MeshLab or trimesh (`trimesh.load(…).export(…)`)."),
    **dict.fromkeys((".vtu", ".pvtu", ".vtm", ".vtmb", ".pvtp", ".pvd", ".vtkhdf"), ("a VTK file", _PARAVIEW)),
    **dict.fromkeys((".vti", ".vtr", ".vts"), ("a VTK grid", "Apply “Contour” in ParaView and save it as .vtp.")),
    **dict.fromkeys((".gltf", ".glb"), ("a glTF scene", _MESHLAB)),
    **dict.fromkeys((".dae", ".fbx", ".blend", ".3ds", ".x3d", ".wrl", ".usd", ".usdz"), ("a 3D scene", _MESHLAB)),
    **dict.fromkeys((".3mf", ".amf"), ("a file for 3D printers", _MESHLAB)),
    **dict.fromkeys((".msh", ".mesh", ".inp", ".med", ".xdmf"), ("a mesh for finite elements", _MESHIO)),
    **dict.fromkeys((".step", ".stp", ".iges", ".igs", ".brep"), ("a CAD model", _CAD)),
    **dict.fromkeys((".xyz", ".pcd", ".pts", ".las", ".laz"), ("a cloud of points", _POINTS)),
    **dict.fromkeys((".tif", ".tiff", ".zarr", ".h5", ".hdf5", ".mat", ".npy", ".nii", ".czi", ".nd2", ".lif", ".png"),
                    ("an image or an array", _IMAGE)),
    **dict.fromkeys((".gz", ".zip", ".xz", ".bz2", ".zst", ".7z", ".rar", ".tar"), ("a compressed file", _UNPACK)),
    ".mtl": ("the materials of an OBJ file", "Give the .obj file beside it."),
    ".npz": ("an archive of arrays", "Build the mesh in Python: cytoform.SurfaceMesh(vertices, faces)."),
    ".ims": ("an Imaris file", "Export the surface from Imaris as .wrl or .obj, and as .ply from MeshLab."),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a file is by its first bytes.

    Parameters
    ----------
    start : bytes
        The first bytes of such files.
    what : str
        What such a file is, for messages, with an article: "a ZIP archive".
    suffix : str
        The extension that it should have, with the dot; "" where there is none.
    remedy : str
        A sentence on what the user can do.
    """

    start: bytes
    what: str
    suffix: str
    remedy: str


def _misnamed_kind(start: bytes, what: str, suffix: str) -> Kind:
    """Return a kind of file that can be read once it has the right extension: the remedy is to rename it."""
    return Kind(start, what, suffix, f"Rename it so that it ends with {suffix}.")


_PAGE = "Download the file itself (on GitHub: “Raw”)."
_KINDS = (
    _misnamed_kind(b"ply\n", "a PLY file", ".ply"),
    _misnamed_kind(b"ply\r", "a PLY file", ".ply"),
    _misnamed_kind(b"solid ", "an STL file", ".stl"),
    _misnamed_kind(b"# vtk DataFile", "a legacy VTK file", ".vtk"),
    Kind(b"OFF", UNSUPPORTED[".off"][0], ".off", UNSUPPORTED[".off"][1]),
    Kind(b"glTF", UNSUPPORTED[".glb"][0], ".glb", UNSUPPORTED[".glb"][1]),
    Kind(b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "", "Fetch it with `git lfs pull`."),
    Kind(b"<!DOCTYPE html", "a web page", ".html", _PAGE),
    Kind(b"<html", "a web page", ".html", _PAGE),
    Kind(b"PK\x03\x04", "a ZIP archive", ".zip", _UNPACK),
    Kind(b"\x1f\x8b", "compressed with gzip", ".gz", _UNPACK),
    Kind(b"\x89HDF", "an HDF5 file", ".h5", _IMAGE),
    Kind(b"II*\0", "a TIFF image", ".tif", _IMAGE),
    Kind(b"MM\0*", "a TIFF image", ".tif", _IMAGE),
    Kind(b"\x89PNG", "a PNG image", ".png", _IMAGE),
)


def identify_kind(head: bytes) -> Kind | None:
    """Return what a file is by its first bytes `head` (500 or more); None if they do not tell."""
    text = head.lstrip()
    if b"<VTKFile" in text[:500]:
        if b"PolyData" in text:
            return _misnamed_kind(b"", "a VTK file", ".vtp")
        return Kind(b"", "a VTK file", ".vtp", _PARAVIEW)
    return next((kind for kind in _KINDS if text.startswith(kind.start)), None)

"""Files of other kinds: by their extension and by their first bytes, each with the way on."""

import gzip

import pytest

from cytoform.errors import FileFormatError
from cytoform.mesh.io import read_mesh


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("a.off", "an OFF mesh", "MeshLab or trimesh"),
        ("a.VTU", "a VTK file", "Extract Surface"),
        ("a.glb", "a glTF scene", "Blender"),
        ("a.3mf", "for 3D printers", "MeshLab"),
        ("a.dae", "a 3D scene", "Blender"),
        ("a.msh", "for finite elements", "meshio"),
        ("a.step", "a CAD model", "CAD program"),
        ("a.xyz", "a cloud of points", "Reconstruct a surface"),
        ("a.tif", "an image", "not an image"),
        ("a.obj.gz", "a compressed file", "Unpack"),
    ],
)
def test_by_the_extension(tmp_path, name, what, remedy):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(FileFormatError, match=f"{what}.*expected one of .obj") as caught:
        read_mesh(tmp_path / name)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a.obj",
            b"ply\nformat ascii 1.0\n",
            "is a PLY file; expected a .obj file. Rename it so that it ends with .ply",
        ),
        ("a.ply", b"solid x\nfacet normal 0 0 1\n", "is an STL file; expected a .ply file"),
        ("a.stl", b"\xef\xbb\xbf<?xml version='1.0'?>\n<VTKFile type='PolyData'>", "is a VTK file; .*ends with .vtp"),
        ("a.ply", b"<?xml version='1.0'?>\n<VTKFile type='UnstructuredGrid'>", "is a VTK file; .*Extract Surface"),
        (
            "a.ply",
            b"# vtk DataFile Version 3.0\n",
            "is a legacy VTK file; expected a .ply file. Rename it so that it ends with .vtk",
        ),
        ("a.ply", b"OFF\n4 4 6\n", "is an OFF mesh"),
        ("a.obj", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS.*git lfs pull"),
        ("a.ply", b"\n<!DOCTYPE html>\n<html>", "is a web page; .*Raw"),
        ("a.rec", gzip.compress(b"4\n", mtime=0), "compressed with gzip"),
        ("a.vtp", b"PK\x03\x04....", "a ZIP archive"),
        ("a.stl", b"II*\0" + bytes(100), "a TIFF image"),
    ],
)
def test_by_the_first_bytes(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        read_mesh(tmp_path / name)

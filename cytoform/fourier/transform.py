"""The Fourier transform of a triangle mesh and its vector-Jacobian product, by either back end.

û(ξ) = Σ over faces of density · ∫ exp(-i x·ξ) dS, where the integral of a face is 2 A G, a function of its corners'
phases (:mod:`cytoform.kernels.triangle`). The derivative for a corner is 2 A ∂G/∂phase ξ + 2 G ∂A/∂corner. Ref:
Ichbiah, Sinha, Delbary, Turlier, ICCV 2025, Eqs. 5 to 9.

A mesh with a jump of brightness at its faces adds the bodies that it bounds (:mod:`.filled`): (i / |ξ|²) Σ jump ·
(ξ·n) ∫ exp(-i x·ξ) dS. As a moved boundary changes an integral by the integrand times its normal velocity, the
derivative for vertex p is Σ over faces of jump · n ∫ φ_p c dS, with c the cotangent's image and φ_p the linear hat
function of p.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import devices as _devices
from .._typing import Array, Floats
from ..errors import BackendError, ConfigError, GridError
from ..image.band import Band
from ..image.volume import Grid
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..mesh.scene import Scene
from ..mesh.simplices import Simplices
from . import cost, exact, nufft, on_device
from .filled import Filling
from .gradient import MeshGradient, sum_at_vertices
from .quadrature import Shells
from .scene import SceneOnBand
from .simplices import SimplicesOnBand

__all__ = ["BackendName", "MeshGradient", "MeshOnBand", "MeshTransform", "Shells", "choose_backend", "device_for",
           "mesh_ft", "mesh_ft_vjp"]  # fmt: skip

BackendName = Literal["auto", "exact", "nufft"]
# Least tolerance of the back end nufft; below it only the closed formula is accurate enough.
TIGHTEST_NUFFT = 1e-12


def choose_backend(name: str, *, tolerance: float, device: str) -> Literal["auto", "exact", "nufft"]:
    """Check the choice of a back end, and resolve "auto" where only one back end can be used.

    Parameters
    ----------
    name : str
        "auto", "exact" or "nufft".
    tolerance : float
        Relative error allowed to the transform.
    device : "cpu" or "cuda"
        Where the transform runs.

    Returns
    -------
    "auto", "exact" or "nufft"
        "auto" where both back ends can be used; :func:`cytoform.fourier.cost.faster` then chooses for each mesh.

    Raises
    ------
    ConfigError
        For an unknown name, or a tolerance that nufft cannot keep.
    BackendError
        When nufft was asked for and finufft is missing, or on a CUDA device.
    """
    if name not in ("auto", "exact", "nufft"):
        raise ConfigError(f"backend is {name!r}; expected 'auto', 'exact' or 'nufft'.")
    if name == "auto":
        able = device == "cpu" and tolerance >= TIGHTEST_NUFFT and _devices.has_finufft()
        return "auto" if able else "exact"
    if name == "nufft":
        if not _devices.has_finufft():
            raise BackendError(
                "backend='nufft' was asked for and finufft is not installed.",
                remedy="Install it (pip install finufft), or use backend='exact'.",
            )
        if device == "cuda":
            raise BackendError(
                "backend='nufft' runs on the CPU only.", remedy="Use backend='exact' with device='cuda'."
            )
        if tolerance < TIGHTEST_NUFFT:
            raise ConfigError(
                f"tolerance is {tolerance:g}; backend='nufft' can keep {TIGHTEST_NUFFT:g} at best.",
                remedy="Use backend='exact'.",
            )
    return name  # type: ignore[return-value]


def device_for(device: str, backend: str) -> Literal["cpu", "cuda"]:
    """Return the device on which a transform runs: "auto" gives "cuda" where there is one, "cpu" for nufft.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"
        Choice of the user.
    backend : "auto", "exact" or "nufft"
        Back end; "nufft" runs on the CPU only.

    Returns
    -------
    "cpu" or "cuda"
        The device.
    """
    return "cpu" if device == "auto" and backend == "nufft" else _devices.resolve_device(device)


@dataclasses.dataclass(frozen=True)
class MeshTransform:
    """Settings of the transform of meshes on a band, the same for value and adjoint.

    Parameters
    ----------
    band : Band
        Modes that are computed; positions are relative to ``band.grid.origin``.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the transform runs; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Relative error allowed; 1e-5 for float32 and 1e-8 for float64 by default.
    normalize : bool
        Divide by the total intensity, so that û(0) = 1: the weighted area Σ density · area (Eq. 5), plus Σ brightness ·
        volume of what is filled.
    deterministic : bool
        Give bit-identical results from run to run.
    shells : Shells, optional
        Weights of the band's modes, as behind optics: the tolerance then holds for the spectrum times these weights,
        and high modes need fewer points. All weights are 1 by default.

    Raises
    ------
    ConfigError, BackendError
        For a tolerance that is not between 0 and 1, or a back end that cannot be used.
    """

    band: Band
    backend: str = "auto"
    device: str = "auto"
    tolerance: float | None = None
    normalize: bool = False
    deterministic: bool = False
    shells: Shells | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ConfigError(f"tolerance is {self.tolerance}; expected a number between 0 and 1, such as 1e-5.")
        choose_backend(self.backend, tolerance=self.tolerance or 1e-5, device=device_for(self.device, self.backend))

    @property
    def runs_on(self) -> Literal["cpu", "cuda"]:
        """Device on which the transform runs."""
        return device_for(self.device, self.backend)

    def backend_for(self, corners: Array, dtype: npt.DTypeLike) -> Literal["exact", "nufft"]:
        """Return the back end for an object: for "auto" the one that the cost model expects to be quicker.

        Parameters
        ----------
        corners : (n, k + 1, 3) float64
            Corners of its faces, segments or other simplices, µm, relative to the grid's origin.
        dtype : float32 or float64
            Working precision.

        Returns
        -------
        "exact" or "nufft"
            The back end.
        """
        tolerance = self.tolerance_for(dtype)
        name = choose_backend(self.backend, tolerance=tolerance, device=self.runs_on)
        if name == "auto":
            name = cost.faster(
                corners, self.band, dtype=dtype, tolerance=tolerance, shells=self.shells,
                deterministic=self.deterministic,
            )  # fmt: skip
        return name

    def tolerance_for(self, dtype: npt.DTypeLike) -> float:
        """Return the relative error allowed for meshes of a dtype.

        Parameters
        ----------
        dtype : float32 or float64
            dtype of a mesh's vertices.

        Returns
        -------
        float
            `tolerance` where it was given, else 1e-5 for float32 and 1e-8 for float64.
        """
        return (1e-5 if np.dtype(dtype) == np.float32 else 1e-8) if self.tolerance is None else self.tolerance

    def prepare(self, mesh: Mesh | Simplices | Scene) -> OnBand:
        """Prepare a mesh, or points, filaments or tetrahedra, for value and gradient: compute once what both need.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).

        Returns
        -------
        MeshOnBand or SimplicesOnBand
            The prepared object.
        """
        make: Any = next((made for kind, made in _PREPARED if isinstance(mesh, kind)), MeshOnBand)
        return make(self, mesh)  # type: ignore[no-any-return]

    def forward(self, mesh: Mesh | Simplices | Scene) -> Array:
        """Return the transform of a mesh on the band's box.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).

        Returns
        -------
        (band.shape) complex64 or complex128
            û, with phases relative to the grid's origin; on the host.
        """
        return _devices.to_host(self.prepare(mesh).forward())

    def vjp(self, mesh: Mesh | Simplices | Scene, cotangent: Array) -> MeshGradient:
        """Return the gradient of Re Σ conj(c) û over the full spectrum that the band's box stands for.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        MeshGradient
            Derivatives for vertices and densities, and for the jumps of a filled mesh.
        """
        return self.prepare(mesh).vjp(cotangent)


class MeshOnBand:
    """A mesh prepared on a band: its transform and the gradient of that; see :class:`MeshTransform`.

    On a CUDA device the transform stays there, and the cotangent may be there (:func:`cytoform.devices.device_arrays`).

    Parameters
    ----------
    how : MeshTransform
        Settings of the transform.
    mesh : Mesh
        Vertices in µm, (z, y, x).

    Attributes
    ----------
    mesh : Mesh
        The mesh.
    normalize : bool
        Whether the transform is divided by the total intensity.
    backend : "exact" or "nufft"
        The back end that was chosen.

    Raises
    ------
    MeshError
        When the faces with a jump do not close.
    """

    def __init__(self, how: MeshTransform, mesh: Mesh) -> None:
        self.mesh, self.normalize, self._band = mesh, how.normalize, how.band
        dtype = mesh.vertices.dtype
        corners = geometry.corner_points(mesh.vertices, mesh.faces)
        self._normals = geometry.doubled_normals(corners, precise=dtype != np.float32)
        self._areas, self._density = 0.5 * np.linalg.norm(self._normals, axis=1), mesh.density.astype(np.float64)
        self._corners = corners - np.asarray(how.band.grid.origin)
        self._filling: Filling | None = None
        if mesh.jump is not None and mesh.jump.any():
            self._filling = Filling.of(self._corners, self._normals, mesh.jump.astype(np.float64), dtype)
        self.backend = how.backend_for(self._corners, dtype)
        self._faces = self._place(how)

    def _place(self, how: MeshTransform) -> Any:
        """Return the faces on the band for the back end, with the bodies that they bound where they have a jump."""
        options: dict[str, Any] = {"dtype": self.mesh.vertices.dtype}
        module: Any = on_device if device_for(how.device, how.backend) == "cuda" else exact
        if self.backend == "nufft":
            module = nufft
            options |= {"tolerance": how.tolerance_for(options["dtype"]), "shells": how.shells}
            options["deterministic"] = how.deterministic
        strengths = 2.0 * self._areas * self._density
        if self._filling is None:
            return module.Faces(self._corners, strengths, how.band, **options)
        return module.FilledFaces(self._corners, strengths, self._filling, how.band, **options)

    def forward(self) -> Any:
        """Return the transform of the mesh on the band's box.

        Returns
        -------
        (band.shape) complex64 or complex128
            û, with phases relative to the grid's origin; on the device where the transform runs.
        """
        if self._filling is not None:
            shell, body = self.parts()
            return body if shell is None else shell + body
        box = self._faces.forward()
        return (box / self._mass()).astype(box.dtype) if self.normalize else box

    def parts(self) -> tuple[Any | None, Any | None]:
        """Return the transforms of the membranes and of the bodies apart, whose sum :meth:`forward` returns.

        Returns
        -------
        sheet : (band.shape) complex64 or complex128, or None
            The part of the density; None where a mesh with a jump has density 0 everywhere.
        inside : (band.shape) complex64 or complex128, or None
            The part of the jump; None where it is 0 everywhere.
        """
        if self._filling is None:
            return self.forward(), None
        shell, body = self._faces.forward()
        if self.normalize:
            mass = self._mass()
            shell, body = (None if part is None else (part / mass).astype(part.dtype) for part in (shell, body))
        return (shell if self._density.any() else None), body

    def vjp(self, cotangent: Any, *, filling: float = 1.0, with_jump: bool = True) -> MeshGradient:
        """Return the gradient of Re Σ conj(c) û over the full spectrum that the band's box stands for.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.
        filling : float
            Factor on the transform of what is filled; 1 by default.
        with_jump : bool
            Compute the derivatives for the jumps, too, which takes the non-uniform FFT three more transforms; on by
            default. A mesh without a jump has none.

        Returns
        -------
        MeshGradient
            Derivatives for vertices, densities and jumps, on the host.

        Raises
        ------
        GridError
            When the cotangent has another shape.
        """
        if tuple(cotangent.shape) != tuple(self._band.shape):
            raise GridError(f"cotangent has shape {cotangent.shape}; expected {self._band.shape}, the band's box.")
        areas, density, bodies = self._areas, self._density, self._filling
        if bodies is None:
            values, moves = self._faces.adjoint(cotangent)
            inside, by_jump = np.zeros(0), None
        else:
            values, moves, inside, by_jump = self._faces.adjoint(cotangent, of_jump=with_jump or self.normalize)
        if self.normalize:
            values, moves, inside, by_jump = self._normalized(values, moves, inside, by_jump)
        corner = geometry.area_gradient_from_normals(self._corners, self._normals)
        corner *= (2.0 * density * values)[:, None, None]
        moves *= (2.0 * areas * density)[:, None, None]
        corner += moves
        if bodies is not None:
            corner += (filling * bodies.fluxes)[:, None, :] * inside[:, :, None]
        dtype, n_vertices = self.mesh.vertices.dtype, len(self.mesh.vertices)
        return MeshGradient(
            sum_at_vertices(corner, self.mesh.faces, n_vertices).astype(dtype), (2.0 * areas * values).astype(dtype),
            (filling * by_jump).astype(dtype) if with_jump and by_jump is not None else None,
        )  # fmt: skip

    def _normalized(
        self, values: Floats, moves: Floats, inside: Floats, by_jump: Floats | None
    ) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Return what the adjoint of the faces gives for the transform divided by the total intensity."""
        scale = 1.0 / self._mass()
        values, moves = values * scale, moves * scale
        # the derivative of 1 / Σ density · area
        total = float((2.0 * self._areas * self._density * values).sum())
        if self._filling is not None and by_jump is not None:
            inside, by_jump = inside * scale, by_jump * scale
            total += float(self._filling.jump @ by_jump)
            inside, by_jump = inside - total * scale / 6.0, by_jump - total * scale * self._filling.cones
        return values - 0.5 * scale * total, moves, inside, by_jump

    def _mass(self) -> float:
        """Return û(0), by which a normalised transform is divided; raise ConfigError where it is 0."""
        mass = float((self._areas * self._density).sum())
        mass += 0.0 if self._filling is None else self._filling.mass
        if mass == 0.0:
            raise ConfigError(
                "normalize=True divides by the total intensity, which is 0 here: the weighted area Σ density · area, "
                "and Σ jump · volume of what is filled.",
                remedy="Use normalize=False.",
            )
        return mass


OnBand = MeshOnBand | SimplicesOnBand | SceneOnBand
# What prepares which kind of object; anything else is a mesh of triangles.
_PREPARED: tuple[tuple[type, Any], ...] = ((Simplices, SimplicesOnBand), (Scene, SceneOnBand))


def mesh_ft(
    mesh: Mesh | Simplices | Scene,
    grid: Grid,
    *,
    backend: BackendName = "auto",
    device: _devices.Device = "auto",
    tolerance: float | None = None,
    normalize: bool = False,
    band: Band | None = None,
    deterministic: bool = False,
) -> Array:
    """Return the Fourier transform of a mesh, û(ξ) = ∫ density · exp(-i x·ξ) dS, at the frequencies of a grid.

    Where faces have a jump, the bodies that they bound are added, ∫ brightness · exp(-i x·ξ) dV. Points, filaments and
    tetrahedra have the transform Σ brightness · exp(-i x·ξ), or the integral over length or volume.

    Parameters
    ----------
    mesh : SurfaceMesh, MultiMaterialMesh, PointSet, Filaments, TetrahedralMesh or Scene
        Positions in µm, (z, y, x), and a density of each face, segment or tetrahedron, or a brightness of each point.
    grid : Grid
        Frequencies are 2π k / (n · spacing), rad/µm.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the transform runs; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Relative error allowed to nufft; 1e-5 for float32 and 1e-8 for float64 by default.
    normalize : bool
        Divide by the total intensity û(0): the weighted area Σ density · area (Ichbiah et al. 2025, Eq. 5), plus Σ
        brightness · volume of what is filled; off by default.
    band : Band, optional
        Compute only the modes of this band of the grid; the others are zero. All are computed by default.
    deterministic : bool
        Run finufft on one thread, so that results are bit-identical from run to run; off by default.

    Returns
    -------
    (nz, ny, nx // 2 + 1) complex64 or complex128
        û in ``rfftn`` layout, in µm² · density (without unit when normalised).

    Raises
    ------
    ConfigError, BackendError, GridError
        For a tolerance or a normalisation that is not possible, a back end that cannot be used, or a band of another
        grid.
    MeshError
        When the faces with a jump do not close.
    """
    band = _band_or_full(band, grid)
    transform = MeshTransform(band, backend, device, tolerance, normalize, deterministic)
    box = transform.forward(mesh)
    return band.expand((box * band.phase(grid.origin, sign=-1.0)).astype(box.dtype))


def mesh_ft_vjp(
    mesh: Mesh | Simplices | Scene,
    grid: Grid,
    cotangent: Array,
    *,
    backend: BackendName = "auto",
    device: _devices.Device = "auto",
    tolerance: float | None = None,
    normalize: bool = False,
    band: Band | None = None,
    deterministic: bool = False,
) -> MeshGradient:
    """Return the vector-Jacobian product of :func:`mesh_ft`.

    Parameters
    ----------
    mesh : SurfaceMesh, MultiMaterialMesh, PointSet, Filaments, TetrahedralMesh or Scene
        Positions in µm, (z, y, x), and a density of each face, segment or tetrahedron, or a brightness of each point.
    grid : Grid
        Frequencies are 2π k / (n · spacing), rad/µm.
    cotangent : (nz, ny, nx // 2 + 1) complex
        Half-space array c in ``rfftn`` layout.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the transform runs; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Relative error allowed to nufft; 1e-5 for float32 and 1e-8 for float64 by default.
    normalize : bool
        Differentiate the transform divided by the total intensity û(0); off by default.
    band : Band, optional
        Use only the modes of this band of the grid. All are used by default.
    deterministic : bool
        Run finufft on one thread, so that results are bit-identical from run to run; off by default.

    Returns
    -------
    MeshGradient
        d/d(vertices), d/d(density) and, for a filled mesh, d/d(jump) of Re Σ_k conj(c_k) û_k over the full spectrum
        that the half space stands for.

    Raises
    ------
    ConfigError, BackendError, GridError
        For a tolerance or a normalisation that is not possible, a back end that cannot be used, or a cotangent or band
        that does not match the grid.
    MeshError
        When the faces with a jump do not close.
    """
    band = _band_or_full(band, grid)
    cotangent = np.asarray(cotangent)
    if cotangent.shape != grid.spectrum_shape:
        raise GridError(f"cotangent has shape {cotangent.shape}; expected {grid.spectrum_shape}, as rfftn lays it out.")
    transform = MeshTransform(band, backend, device, tolerance, normalize, deterministic)
    return transform.vjp(mesh, band.restrict(cotangent) * band.phase(grid.origin, sign=1.0))


def _band_or_full(band: Band | None, grid: Grid) -> Band:
    """Return `band`, or all modes of the grid where it is None; raise GridError for a band of another grid."""
    if band is None:
        return Band.full(grid)
    if band.grid != grid:
        raise GridError(f"the band belongs to {band.grid}; expected a band of {grid}.")
    return band

"""The scalar engine through PupilPSF: closed forms, direct quadrature, transforms, parameters, errors."""

import numpy as np
import pytest
from oracles.diffraction import intensity
from scipy.special import j1

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.image.band import Band
from cytoform.optics.scalar import Beam, Sampling
from cytoform.optics.zernike import degrees, zernike

OIL = {"numerical_aperture": 1.2, "wavelength": 0.52, "immersion_index": 1.515}
MODES = [
    {"modality": "widefield"},
    {"modality": "confocal", "excitation_wavelength": 0.48},
    {"modality": "light-sheet", "sheet_fwhm": 1.5},
]
# The pupil is a disc on a square lattice and the grid is periodic in the out-of-focus light: parts of the peak.
DISC = 2e-3


def _profiles(psf, grid):
    """The PSF over its value at the centre, with the centre's index."""
    volume = psf.sample(grid)
    centre = tuple(n // 2 for n in grid.shape)
    return volume.data / volume.data[centre], centre


def test_zernike_polynomials_are_orthonormal_over_the_disc():
    x, w = np.polynomial.legendre.leggauss(24)
    rho, phi = np.meshgrid(0.5 * (x + 1.0), 2.0 * np.pi * np.arange(32) / 32, indexing="ij")
    weight = (0.5 * w)[:, None] * rho * (2.0 / 32)  # over π
    all_of_them = np.array([zernike(j, rho, phi) for j in range(28)])
    np.testing.assert_allclose(np.einsum("irp,jrp,rp->ij", all_of_them, all_of_them, weight), np.eye(28), atol=1e-12)


def test_zernike_polynomials_are_in_ansi_order():
    rho, phi = np.array([0.3, 0.8, 1.0]), np.array([0.2, 2.0, -1.0])
    known = {
        1: 2 * rho * np.sin(phi),
        2: 2 * rho * np.cos(phi),
        3: np.sqrt(6) * rho**2 * np.sin(2 * phi),
        4: np.sqrt(3) * (2 * rho**2 - 1),
        7: np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.sin(phi),
        12: np.sqrt(5) * (6 * rho**4 - 6 * rho**2 + 1),
    }
    for j, values in known.items():
        np.testing.assert_allclose(zernike(j, rho, phi), values, atol=1e-14)
    assert [degrees(j) for j in range(6)] == [(0, 0), (1, -1), (1, 1), (2, -2), (2, 0), (2, 2)]
    with pytest.raises(ConfigError, match="ANSI"):
        degrees(-1)


def test_the_focal_plane_is_an_airy_pattern():
    psf = cf.PupilPSF(**OIL, apodisation="none", modality="light-sheet", sheet_fwhm=1.0)
    data, (z, y, x) = _profiles(psf, cf.Grid((24, 128, 128), (0.12, 0.05, 0.05)))
    v = 2.0 * np.pi * OIL["numerical_aperture"] / OIL["wavelength"] * 0.05 * np.arange(1, 50)
    airy = (2.0 * j1(v) / v) ** 2
    np.testing.assert_allclose(data[z, y, x + 1 : x + 50], airy, atol=DISC)
    np.testing.assert_allclose(data[z, y + 1 : y + 50, x], airy, atol=DISC)


def test_a_low_aperture_is_paraxial_along_the_axis():
    """|a|² ∝ sinc²(z (k - k_z(edge)) / 2) for an even pupil, and k - k_z = π NA² / (λ n) to first order."""
    psf = cf.PupilPSF(numerical_aperture=0.15, wavelength=0.52, immersion_index=1.33, apodisation="none")
    grid = cf.Grid((64, 96, 96), (2.0, 0.8, 0.8))
    data, (z, y, x) = _profiles(psf, grid)
    places = 2.0 * np.arange(1, 24)
    want = np.sinc(places * 0.15**2 / (2.0 * 0.52 * 1.33)) ** 2
    # NA² / (4 n²) = 0.3 % of k_z is not paraxial; the slope of sinc² against log z is at most 1.1
    np.testing.assert_allclose(data[z + 1 : z + 24, y, x], want, atol=5e-3)


def coma_and_spherical(rho, phi):
    """Explicit formulas, not those of the package."""
    coma = np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.cos(phi)
    spherical = np.sqrt(5) * (6 * rho**4 - 6 * rho**2 + 1)
    return 0.15 * np.sqrt(3) * (2 * rho**2 - 1) + 1j * (0.4 * coma + 0.6 * spherical)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES, ids=lambda m: m["modality"])
@pytest.mark.parametrize("aberrated", [False, True])
def test_against_direct_quadrature(mode, aberrated):
    aberration = {"phase": {8: 0.4, 12: 0.6}, "amplitude": {4: 0.15}} if aberrated else {}
    psf = cf.PupilPSF(**OIL, **mode, **aberration)
    grid = cf.Grid((45, 96, 96), (0.1, 0.06, 0.06))
    volume = psf.sample(grid)
    rng = np.random.default_rng(0)
    index = np.stack([22 + rng.integers(-9, 10, 40), 48 + rng.integers(-12, 13, 40), 48 + rng.integers(-12, 13, 40)], 1)
    points = volume.grid.to_um(np.concatenate([[[22, 48, 48]], index]))

    def beam(colour):
        def log_pupil(rho, phi):
            value = coma_and_spherical(rho, phi)
            return value.real + 1j * OIL["wavelength"] / colour * value.imag

        given = {"log_pupil": log_pupil} if aberrated else {}
        return intensity(points, aperture=1.2, wavelength=colour, index=1.515, apodisation="aplanatic", **given)

    want = beam(OIL["wavelength"])
    if mode["modality"] == "confocal":
        want = want * beam(0.48)
    if mode["modality"] == "light-sheet":
        want = want * np.exp(-4.0 * np.log(2.0) * (points[:, 0] / 1.5) ** 2)
    found = np.array([volume.data[22, 48, 48], *volume.data[tuple(index.T)]])
    np.testing.assert_allclose(found / found[0], want / want[0], atol=DISC * (want / want[0]).max())


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m["modality"])
def test_integral_symmetry_and_sign(mode):
    psf = cf.PupilPSF(**OIL, **mode, phase={7: 0.3, 12: 0.4})
    grid = cf.Grid((40, 61, 64), (0.12, 0.06, 0.06))
    otf = psf.otf(grid)
    assert otf[0, 0, 0] == pytest.approx(1.0, abs=1e-12) and np.abs(otf).max() <= 1.0 + 1e-9
    assert np.abs(otf.imag).max() > 0.05  # coma and spherical aberration: no symmetry to hide behind
    zero = otf[:, :, 0]  # the plane whose modes have their partners in it
    partners = np.roll(zero[::-1, ::-1], 1, axis=(0, 1)).conj()
    inside = np.arange(40) != 20  # a Nyquist mode has no partner
    np.testing.assert_allclose(zero[inside], partners[inside], atol=1e-12)
    volume = psf.sample(grid)
    assert volume.data.sum() * grid.voxel_volume == pytest.approx(1.0, rel=1e-12)
    # a wide field that is cut along z has a kink there, of which the grid keeps the low modes
    assert volume.data.min() > -(1e-3 if mode["modality"] == "widefield" else 1e-4) * volume.data.max()


def test_unaberrated_optics_are_symmetric():
    otf = cf.PupilPSF(**OIL).otf(cf.Grid((20, 40, 40), (0.15, 0.08, 0.08)))
    assert np.abs(otf.imag).max() < 1e-9  # of rounding


def test_nothing_passes_beyond_the_cut_off_frequency():
    psf = cf.PupilPSF(**OIL, modality="light-sheet", sheet_fwhm=1.5)
    grid = cf.Grid((24, 96, 96), (0.15, 0.04, 0.04))
    _, y, x = grid.frequencies()
    across = np.hypot(y[:, None], x[None, :])
    most = 4.0 * np.pi * 1.2 / 0.52
    size = np.abs(psf.otf(grid)).max(axis=0)
    # the window is 20 µm wide, so the edge is blurred by some modes of 2π / 20
    assert size[across > most + 0.7].max() < 2e-4
    assert size[np.abs(across - 0.5 * most) < 0.5].min() > 0.1


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m["modality"])
def test_a_band_has_the_values_of_the_whole_spectrum(mode):
    psf, again = (cf.PupilPSF(**OIL, **mode, phase={12: 0.4}, blur=(0.1, 0.05)) for _ in range(2))
    grid = cf.Grid((20, 48, 50), (0.2, 0.08, 0.08))
    band = psf.band(grid, 0.05)
    assert band.size < 0.5 * np.prod(grid.spectrum_shape)
    inner = again.otf_on(Band(grid, band.shape))
    # the samples differ in number, and what lies beyond the window's border differs with them
    np.testing.assert_allclose(inner, Band(grid, band.shape).restrict(psf.otf(grid)), atol=3e-4)
    wanted = np.abs(Band.symmetric(grid).restrict(psf.otf(grid))) >= 0.05
    assert abs(int(wanted.sum()) - band.size) <= 0.002 * band.size
    assert psf.band(grid, 0.0).shape == Band.symmetric(grid).shape


def test_a_small_band_needs_fewer_samples():
    beam = (Beam(0.52, 1.2, 1.515),)
    few, many = (Sampling.for_modes(beam, None, (6.0, 12.0, 12.0), (h, h)) for h in (2.0, 29.0))
    assert few.window == many.window and few.counts[0] < 0.6 * many.counts[0]


def test_energy_is_the_same_on_every_plane_of_a_wide_field():
    psf = cf.PupilPSF(**OIL, phase={12: 0.4})
    grid = cf.Grid((40, 60, 60), (0.12, 0.09, 0.09))
    sums = psf.sample(grid).data.sum(axis=(1, 2))
    np.testing.assert_allclose(sums, sums.mean(), rtol=1e-3)  # that is why it is cut to the grid's period


@pytest.mark.slow
def test_widths():
    narrow = cf.PupilPSF(**OIL, apodisation="none")
    z, y, x = narrow.fwhm
    assert x == pytest.approx(0.514 * 0.52 / 1.2, rel=0.01) and y == pytest.approx(x, rel=1e-3)
    depth = 1.515 - np.sqrt(1.515**2 - 1.2**2)
    assert z == pytest.approx(0.886 * 0.52 / depth, rel=0.03)  # sinc² where the angle is taken exactly
    confocal = cf.PupilPSF(**OIL, modality="confocal", apodisation="none")
    assert (confocal.fwhm < 0.75 * narrow.fwhm).all()
    blurred = cf.PupilPSF(**OIL, apodisation="none", blur=(0.3, 0.2))
    assert (blurred.fwhm > narrow.fwhm).all() and blurred.reach()[2] > 0.4
    assert all(r > 0.5 * w for r, w in zip(narrow.reach(), narrow.fwhm))


def test_parameters_round_trip_and_keep_their_order():
    psf = cf.PupilPSF(**OIL, phase={12: 0.5, 3: 0.1}, amplitude={4: 0.2}, blur=(0.1, 0.05))
    np.testing.assert_allclose(psf.parameters, [0.1, 0.5, 0.2, np.log(0.1), np.log(0.05)])
    theta = np.array([0.3, -0.2, 0.1, -1.0, -2.0])
    again = psf.with_parameters(theta)
    np.testing.assert_allclose(again.parameters, theta)
    assert again.phase == pytest.approx({3: 0.3, 12: -0.2}) and again.blur.lateral == pytest.approx(np.exp(-2.0))
    np.testing.assert_array_equal(psf.axial(np.ones(5)), [0, 1, 1, 1, 1])  # astigmatism is not round
    assert psf.prolate() is psf and isinstance(psf, cf.optics.PSF)
    with pytest.raises(ConfigError, match="5 finite"):
        psf.with_parameters(np.zeros(4))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"numerical_aperture": 1.6}, "1.6 and immersion_index 1.515"),
        ({"numerical_aperture": -1.0}, "positive"),
        ({"wavelength": 520.0}, "0.52 µm"),
        ({"wavelength": float("nan")}, "wavelength in µm"),
        ({"immersion_index": 0.5}, "refractive index"),
        ({"modality": "two-photon"}, "widefield, confocal, light-sheet"),
        ({"modality": "light-sheet"}, "sheet_fwhm"),
        ({"sheet_fwhm": 2.0}, "sheet_fwhm was given with modality 'widefield'"),
        ({"modality": "light-sheet", "sheet_fwhm": -2.0}, "positive thickness"),
        ({"excitation_wavelength": 0.48}, "only 'confocal'"),
        ({"modality": "confocal", "excitation_wavelength": 488.0}, "0.488 µm"),
        ({"apodisation": "herschel"}, "aplanatic, none"),
        ({"phase": {0: 1.0}}, "from 1"),
        ({"phase": {"spherical": 1.0}}, "ANSI"),
        ({"amplitude": {4: float("inf")}}, "finite"),
        ({"blur": (0.1, -0.1)}, "lateral width is -0.1"),
        ({"blur": (0.1, 0.1, 0.1)}, "two positive"),
    ],
)
def test_refuses(wrong, words):
    with pytest.raises(ConfigError, match=words):
        cf.PupilPSF(**{**OIL, **wrong})

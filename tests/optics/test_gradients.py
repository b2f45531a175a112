"""Every kind of PSF: gradients against finite differences, alone and through the renderer; descriptions; blurring."""

import json

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.image.band import Band
from cytoform.optics import Blurred, psf_from_description

WATER = {"numerical_aperture": 1.0, "wavelength": 0.6, "immersion_index": 1.33}
OIL = {"numerical_aperture": 1.4, "wavelength": 0.52, "immersion_index": 1.518}
MODES = [{"modality": "widefield"}, {"modality": "confocal"}, {"modality": "light-sheet", "sheet_fwhm": 1.5}]
STEP = 1e-5
# Central differences err by the third derivative times STEP², and by rounding over STEP.
TOLERANCE = 1e-7
# At the sample's critical angle the path's third derivative is large: its square root starts there.
STEEP = 2e-5


def pupil(mode):
    terms = {"phase": {3: 0.2, 7: -0.3, 12: 0.5}, "amplitude": {4: 0.1, 8: 0.2}}
    return cf.PupilPSF(**WATER, **mode, **terms, blur=(0.12, 0.07))


def layered(mode):
    return cf.GibsonLanniPSF(
        **{**WATER, "immersion_index": 1.34}, **mode, depth=6.0, sample_index=1.42, blur=(0.1, 0.05)
    )


def supercritical(mode):
    return cf.GibsonLanniPSF(**OIL, **mode, depth=2.0, sample_index=1.36, immersion_index_design=1.515)


def measured(mode=None):
    z, y, x = (np.arange(n) - c for n, c in ((15, 7.3), (13, 5.8), (14, 7.1)))
    tilted = (z[:, None, None] - 0.4 * y[:, None]) ** 2 / 7.0 + y[:, None] ** 2 / 4.0 + x**2 / 3.0
    image = cf.Volume(np.exp(-0.5 * tilted) * (1.0 + 0.1 * x), (0.3, 0.15, 0.15))
    return cf.MeasuredPSF(image, stretch=(1.1, 0.9))


CASES = [(make, mode) for make in (pupil, layered, supercritical) for mode in MODES]
CASES += [(measured, {"modality": "any"}), (lambda mode: pupil(mode).blurred(0.2), MODES[2])]
NAMES = [f"{make.__name__}-{mode['modality']}" for make, mode in CASES]


@pytest.mark.parametrize(("make", "mode"), CASES, ids=NAMES)
@pytest.mark.parametrize("which", ["whole", "kept"])
def test_gradients_of_every_kind_against_finite_differences(make, mode, which):
    psf = make(mode)
    grid = cf.Grid((12, 14, 15), (0.3, 0.1, 0.11))
    band = Band.full(grid) if which == "whole" else psf.band(grid, 0.03)
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=band.shape) + 1j * rng.normal(size=band.shape)
    kept = 1.0 if band.mask is None else band.mask

    def loss(theta):
        otf = psf.with_parameters(theta).otf_on(band)
        return float((np.conj(cotangent) * otf * band.weights * kept).real.sum())

    found = psf.otf_vjp(band, cotangent)
    steps = STEP * np.eye(len(psf.parameters))
    slopes = np.array([(loss(psf.parameters + s) - loss(psf.parameters - s)) / (2.0 * STEP) for s in steps])
    assert len(slopes) >= 2 and (np.abs(slopes) > 1e-6).all()
    tolerance = STEEP if make is supercritical else TOLERANCE
    np.testing.assert_allclose(found, slopes, rtol=tolerance, atol=tolerance * np.abs(slopes).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "psf", [pupil(MODES[2]), layered(MODES[0]), measured(), pupil(MODES[1]).blurred(0.15)], ids=lambda p: p.kind
)
def test_renderer_with_a_complex_otf(psf):
    """Vertices, densities and PSF together along a random direction."""
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=1)
    rng = np.random.default_rng(1)
    mesh = cf.SurfaceMesh(sphere.vertices * [0.9, 0.8, 0.7] + 1.5, sphere.faces[:, ::-1], rng.uniform(0.5, 1.5, 80))
    grid = cf.Grid((14, 17, 18), (0.22, 0.18, 0.17))
    assert np.abs(psf.otf(grid).imag).max() > 1e-3
    options = {"backend": "exact", "device": "cpu", "cutoff": 0.0}
    cotangent = rng.normal(size=grid.shape)
    found = cf.render_vjp(mesh, psf, grid, cotangent, **options)
    moves = [rng.normal(size=mesh.vertices.shape), rng.normal(size=80), rng.normal(size=len(psf.parameters))]

    def loss(step, on):
        shift, change, turn = (step * m if k in on else 0.0 * m for k, m in enumerate(moves))
        moved = cf.SurfaceMesh(mesh.vertices + shift, mesh.faces, mesh.density + change)
        image = cf.render(moved, psf.with_parameters(psf.parameters + turn), grid, **options)
        return float((cotangent * image).sum())

    wanted = [float((g * m).sum()) for g, m in zip((found.vertices, found.density, found.psf), moves)]
    for on, want in enumerate(wanted):
        slope = (loss(STEP, (on,)) - loss(-STEP, (on,))) / (2.0 * STEP)
        assert abs(slope - want) < TOLERANCE * max(abs(w) for w in wanted), on


def test_the_rendering_of_a_tiny_sphere_is_the_psf():
    """Its orientation along z and across, which adjoints alone do not see."""
    from cytoform.mesh.shapes import icosphere

    psf = pupil(MODES[2])
    grid = cf.Grid((31, 40, 41), (0.2, 0.1, 0.1), (-3.0, -2.0, -2.0))
    ball = icosphere(0.02, (0.0, 0.0, 0.0), 2)
    image = cf.render(ball, psf, grid, cutoff=0.0) / ball.area
    want = psf.sample(grid)
    np.testing.assert_allclose(want.grid.origin, grid.origin)
    # a sphere of 20 nm and the PSF differ by (2π / 0.3 µm · 20 nm)² / 6
    np.testing.assert_allclose(image, want.data, atol=0.04 * want.data.max())
    assert np.abs(want.data - want.data[::-1]).max() > 0.1 * want.data.max()


@pytest.mark.parametrize(("make", "mode"), CASES, ids=NAMES)
def test_descriptions_are_json_and_come_back(make, mode):
    psf = make(mode)
    text = json.dumps(psf.describe(), allow_nan=False)
    again = psf_from_description(json.loads(text))
    assert type(again) is type(psf) and json.loads(text)["kind"] == psf.kind
    np.testing.assert_allclose(json.loads(text)["fwhm_um"], psf.fwhm)
    np.testing.assert_allclose(again.parameters, psf.parameters, rtol=1e-12)
    grid = cf.Grid((8, 10, 11), (0.3, 0.15, 0.14))
    tolerance = 1e-7 if make is measured else 1e-12  # the image is kept in float32
    np.testing.assert_allclose(again.otf(grid), psf.otf(grid), atol=tolerance)


KINDS = [cf.GaussianPSF.from_sigma((0.4, 0.2, 0.2)), *(make(mode) for make, mode in CASES[::2])]


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
def test_what_is_called_centred_has_a_real_transform(psf):
    """At any parameters: then nothing of the PSF can make up for a move of the surface."""
    moved = psf.with_parameters(psf.parameters + 0.1)
    imaginary = np.abs(np.imag(moved.otf(cf.Grid((12, 14, 15), (0.3, 0.1, 0.11))))).max()
    assert imaginary == 0.0 if psf.centred else imaginary > 1e-3


@pytest.mark.slow
def test_the_brief_description_is_short():
    for psf in (measured(), measured().blurred(0.2), pupil(MODES[0])):
        brief, whole = psf.brief(), psf.describe()
        assert len(json.dumps(brief)) < 1000 and brief["kind"] == psf.kind and brief["fwhm_um"] == whole["fwhm_um"]
    assert len(json.dumps(measured().describe())) > 2000 and pupil(MODES[0]).brief() == pupil(MODES[0]).describe()


def test_unknown_kinds_are_refused():
    with pytest.raises(ConfigError, match="blurred, gaussian, gibson-lanni, measured, pupil"):
        psf_from_description({"kind": "born-wolf"})


def test_blurred_multiplies_by_a_gaussian():
    psf = pupil(MODES[2])
    grid = cf.Grid((12, 20, 20), (0.3, 0.12, 0.12))
    blurred = psf.blurred(0.15).blurred(0.2)
    assert isinstance(blurred, Blurred) and blurred.sigma_of_blur == pytest.approx(0.25) and psf.blurred(0.0) is psf
    np.testing.assert_allclose(blurred.otf(grid), psf.otf(grid) * cf.GaussianPSF.from_sigma(0.25).otf(grid), atol=1e-14)
    assert (blurred.fwhm > psf.fwhm).all() and blurred.band(grid, 0.05).size < psf.band(grid, 0.05).size
    np.testing.assert_array_equal(blurred.axial(np.ones(7)), psf.axial(np.ones(7)))
    with pytest.raises(ConfigError, match="positive width"):
        Blurred(psf, -1.0)


def test_a_band_that_keeps_what_exceeds_the_cutoff():
    psf, grid = measured(), cf.Grid((16, 18, 20), (0.3, 0.15, 0.15))
    band, otf = psf.band(grid, 0.02), psf.otf(grid)
    kept = band.expand(band.scatter(np.ones(band.size, dtype=bool)))
    wanted = np.abs(otf) >= 0.02
    wanted[8], wanted[:, 9], wanted[:, :, 10] = False, False, False  # Nyquist planes
    np.testing.assert_array_equal(kept, wanted)

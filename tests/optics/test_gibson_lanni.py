"""The layered model: direct quadrature of the published path, its ideal limit, what depth does, errors."""

import numpy as np
import pytest
from oracles.diffraction import intensity

import cytoform as cf
from cytoform.errors import ConfigError

OIL = {"numerical_aperture": 1.3, "wavelength": 0.52, "immersion_index": 1.515}
# A disc on a lattice, with a phase that is steep at its edge: parts of the peak.
DISC = 4e-3


def published_path(psf, rho, stage):
    """Gibson & Lanni 1992, the path difference term by term, with the stage moved into the sample."""

    def leg(index):
        return np.sqrt(index**2 - (psf.numerical_aperture * rho) ** 2 + 0j)

    path = psf.depth * leg(psf.sample_index) - stage * leg(psf.immersion_index)
    path = path + psf.coverglass_thickness * leg(psf.coverglass_index)
    path = path - psf.coverglass_thickness_design * leg(psf.coverglass_index_design)
    path = path + psf.working_distance * (leg(psf.immersion_index) - leg(psf.immersion_index_design))
    return np.where(path.imag < 0, path.conj(), path)


LAYERS = {
    "water": {"depth": 4.0, "sample_index": 1.38},
    "beyond the critical angle": {"depth": 1.0, "sample_index": 1.28, "free": ()},
    "another glass and oil": {
        "depth": 2.0,
        "sample_index": 1.45,
        "coverglass_thickness": 172.0,
        "coverglass_thickness_design": 170.0,
        "coverglass_index": 1.522,
        "coverglass_index_design": 1.523,
        "immersion_index_design": 1.5153,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_against_direct_quadrature_of_the_published_path(layers):
    psf = cf.GibsonLanniPSF(**OIL, **layers)
    grid = cf.Grid((61, 110, 110), (0.1, 0.06, 0.06))
    volume = psf.sample(grid)
    rng = np.random.default_rng(0)
    index = np.stack([30 + rng.integers(-16, 17, 40), 55 + rng.integers(-9, 10, 40), 55 + rng.integers(-9, 10, 40)], 1)
    brightest = np.unravel_index(volume.data.argmax(), grid.shape)
    points = volume.grid.to_um(np.concatenate([[brightest], index]))
    stage = psf.stage_depth

    def log_pupil(rho, phi):
        return 2j * np.pi / 0.52 * (published_path(psf, rho, stage) - published_path(psf, np.zeros(1), stage)[0])

    want = intensity(points, aperture=1.3, wavelength=0.52, index=1.515, log_pupil=log_pupil, nodes=(400, 64))
    found = volume.data[tuple(np.vstack([brightest, index]).T)]
    np.testing.assert_allclose(found / found[0], want / want[0], atol=DISC)


def test_matched_layers_are_an_ideal_objective():
    """Depth in a medium of the immersion's index is defocus and nothing else."""
    grid = cf.Grid((30, 64, 64), (0.15, 0.08, 0.08))
    ideal = cf.PupilPSF(**OIL, apodisation="none").otf(grid)
    layers = cf.GibsonLanniPSF(**OIL, depth=8.0, sample_index=1.515)
    np.testing.assert_allclose(layers.otf(grid), ideal, atol=1.5e-4)  # the absorption that keeps the path smooth
    assert layers.stage_depth == pytest.approx(8.0, rel=1e-6)


def test_depth_in_water_makes_the_psf_longer_dimmer_and_asymmetric():
    grid = cf.Grid((80, 64, 64), (0.12, 0.1, 0.1))
    peaks, skews = [], []
    for depth in (0.5, 3.0, 10.0):
        psf = cf.GibsonLanniPSF(**OIL, depth=depth, sample_index=1.36, modality="light-sheet", sheet_fwhm=4.0)
        line = psf.sample(grid).data[:, 32, 32]
        peaks.append(line.max())
        skews.append(np.abs(line[1:] - line[1:][::-1]).max() / line.max())
        assert depth < psf.stage_depth < 1.4 * depth  # oil has to move farther than the emitter is deep
    assert peaks[0] > peaks[1] > peaks[2] and skews[0] < skews[1] and skews[2] > 0.2


def test_the_focus_stays_in_the_middle():
    grid = cf.Grid((120, 64, 64), (0.1, 0.1, 0.1))
    for depth in (1.0, 5.0, 12.0):
        psf = cf.GibsonLanniPSF(**OIL, depth=depth, sample_index=1.38)
        peak = int(psf.sample(grid).data[:, 32, 32].argmax()) - 60
        assert abs(0.1 * peak) < 0.1 + 0.08 * depth  # where the stage would have had to go: 1.3 to 1.6 µm for 12 µm


def test_parameters_are_unconstrained():
    psf = cf.GibsonLanniPSF(**OIL, depth=5.0, sample_index=1.38, blur=(0.1, 0.05))
    np.testing.assert_allclose(psf.parameters[[0, 2, 3]], np.log([5.0, 0.1, 0.05]))
    again = psf.with_parameters(psf.parameters)
    assert (again.depth, again.sample_index) == pytest.approx((5.0, 1.38), rel=1e-12)
    for shift in (-50.0, 50.0):
        moved = psf.with_parameters(psf.parameters + np.array([0.0, shift, 0.0, 0.0]))
        assert 1.3 < moved.sample_index < 1.6
    assert len(cf.GibsonLanniPSF(**OIL, depth=5.0, sample_index=1.38, free=("depth",)).parameters) == 1
    assert len(cf.GibsonLanniPSF(**OIL, depth=0.0, sample_index=1.38, free=()).parameters) == 0
    np.testing.assert_array_equal(psf.axial(np.arange(4.0)), np.arange(4.0))
    assert psf.prolate() is psf and isinstance(psf, cf.optics.PSF)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"numerical_aperture": 1.52}, "numerical_aperture is 1.52 and immersion_index 1.515"),
        ({"numerical_aperture": 1.49, "coverglass_index": 1.45}, "coverglass_index 1.45"),
        ({"wavelength": 520}, "In nanometres"),
        ({"sample_index": 1.7}, "between them"),
        ({"sample_index": 0.0}, "refractive index"),
        ({"sample_index_bounds": (1.6, 1.3)}, "bounds"),
        ({"depth": 0.0}, "positive length in µm, as it is free"),
        ({"depth": -1.0, "free": ()}, "0 µm or more"),
        ({"working_distance": float("nan")}, "working_distance is nan"),
        ({"free": ("thickness",)}, "depth and sample_index"),
    ],
)
def test_refuses(wrong, words):
    with pytest.raises(ConfigError, match=words):
        cf.GibsonLanniPSF(**{**OIL, "depth": 5.0, "sample_index": 1.38, **wrong})

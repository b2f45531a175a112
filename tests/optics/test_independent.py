"""Computed PSFs against packages by others: pyotf (Apache-2.0), psf (BSD-3) and psfmodels (GPL-3, for tests only)."""

import numpy as np
import pytest

import cytoform as cf

# Discs on lattices on either side, and light that wraps around on theirs: parts of the peak.
LATTICES = 2e-3


@pytest.mark.slow
def test_a_pupil_against_pyotf():
    """Hanser's scalar model on the sine condition, which is the aplanatic pupil."""
    otf = pytest.importorskip("pyotf.otf")
    wl, na, ni = 520.0, 1.2, 1.515
    given = {"res": 50.0, "size": 256, "zres": 100.0, "zsize": 41, "vec_corr": "none", "condition": "sine"}
    theirs = otf.HanserPSF(wl=wl, na=na, ni=ni, **given)
    planes = np.rint(np.asarray(theirs.zrange) / 100.0).astype(int)
    psf = cf.PupilPSF(numerical_aperture=na, wavelength=wl / 1000.0, immersion_index=ni)
    ours = psf.sample(cf.Grid((81, 256, 256), (0.1, 0.05, 0.05))).data[40 + planes]
    inner = (slice(None), slice(88, 168), slice(88, 168))
    np.testing.assert_allclose((ours / ours.max())[inner], (theirs.PSFi / theirs.PSFi.max())[inner], atol=LATTICES)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "index"), [(0.0, 1.515), (5.0, 1.38), (10.0, 1.42)])
def test_layers_against_psfmodels(depth, index):
    models = pytest.importorskip("psfmodels")
    psf = cf.GibsonLanniPSF(
        numerical_aperture=1.3, wavelength=0.52, immersion_index=1.515, depth=depth, sample_index=index, free=()
    )
    data = psf.sample(cf.Grid((93, 180, 180), (0.1, 0.05, 0.05))).data
    z = 0.1 * (np.arange(41) - 20)
    # theirs counts from where the emitter would be in paraxial focus, at its depth (Aguet 2009)
    stage = psf.stage_depth + depth - 1.515 * depth / index
    options = {"NA": 1.3, "wvl": 0.52, "ns": index, "pz": depth, "dxy": 0.05, "oversample_factor": 1}
    theirs = models.make_psf((stage + z).tolist(), nx=81, model="scalar", normalize=False, **options)
    ours = data[26:67, 90, 90:120] / data[26:67].max()
    # they compute along x and interpolate linearly in between, so only that line is exact
    np.testing.assert_allclose(ours, theirs[:, 40, 40:70] / theirs.max(), atol=2.0 * LATTICES)
    assert np.corrcoef(data[26:67, 60:121, 60:121].ravel(), theirs[:, 10:71, 10:71].ravel())[0, 1] > 0.999


@pytest.mark.parametrize(("aperture", "index"), [(0.7, 1.33), (1.2, 1.515)])
def test_the_axis_against_psf(aperture, index):
    """A vectorial model, which on the axis has no field but the scalar one."""
    module = pytest.importorskip("psf")
    kind = module.PsfType.ISOTROPIC | module.PsfType.EMISSION
    theirs = module.PSF(kind, (32, 32), (3.1, 3.1), em_wavelen=520.0, num_aperture=aperture, refr_index=index)
    psf = cf.PupilPSF(numerical_aperture=aperture, wavelength=0.52, immersion_index=index)
    ours = psf.sample(cf.Grid((121, 128, 128), (0.1, 0.08, 0.08))).data[60 : 60 + 32, 64, 64]
    np.testing.assert_allclose(ours / ours[0], theirs.data[:, 0] / theirs.data[0, 0], atol=LATTICES)

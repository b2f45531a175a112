"""Whole fits of real cells with no other setting than the defaults."""

import pytest

import cytoform as cf
from cytoform.mesh import topology

LEAST_R2 = 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("name", "volumes"), [("rbc_00", (80, 150)), ("vesicles", (140, 220))])
def test_default_fit_explains_the_image(data_dir, name, volumes):
    volume = cf.read_volume(data_dir / "images" / f"{name}.tif")
    result = cf.fit(volume)
    assert result.r2 >= LEAST_R2
    assert volumes[0] < result.volume_um3 < volumes[1]
    assert topology.is_closed(result.mesh) and topology.is_manifold(result.mesh)
    assert topology.genus(result.mesh) == 0
    quality = topology.quality(result.mesh)
    assert quality.n_zero_area == 0 and quality.n_folded == 0
    assert result.quality != "failed" and not any("several cells" in reason for reason in result.reasons)
    if name == "rbc_00":  # a cell that touches it lies along its upper side
        assert not result.mask[15:20, :10].any()

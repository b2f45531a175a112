"""A fit that is killed between two pauses goes on with the transform that it had chosen at the last one."""

import dataclasses

import h5py
import numpy as np
import pytest

pytest.importorskip("finufft")

from fitting.simulated import Killed, ball, killed_at

import cytoform as cf
from cytoform import devices
from cytoform.fourier import cost
from cytoform.mesh import shapes

SETTINGS = {
    "blurs": (0.0,), "iterations": 10, "pause_every": 15, "infer_psf": False, "uncertainty": False,
    "align_start": False, "deterministic": True, "min_gain": 1e-9, "checkpoint_seconds": 1e-9,
}  # fmt: skip


def far_then_exact(monkeypatch, border):
    """Let the model of the work call the fast transform quicker while a mesh is narrower than `border` µm along x."""

    def nufft_work(corners, band, **how):
        kind = "complex64" if np.dtype(how["dtype"]) == np.float32 else "complex128"
        return kind, np.array([0.0 if np.ptp(corners[..., 2]) < border else 1e9, 0, 0, 0, 0, 0])

    monkeypatch.setattr(cost, "nufft_work", nufft_work)


@pytest.mark.slow
@pytest.mark.parametrize("pause_every", [15, 4])
def test_a_resumed_fit_keeps_its_transform_where_the_present_mesh_would_choose_the_other(
    tmp_path, monkeypatch, pause_every
):
    """Before its first pause, and after some, at which it was kept though the surface had crossed the border."""
    _, volume, psf = ball()
    start = shapes.icosphere(1.1, volume.grid.centre, subdivisions=3)
    config, widths, used = cf.FitConfig(**{**SETTINGS, "pause_every": pause_every}), [], []
    whole = cf.fit(volume, start, psf, config, callbacks=[lambda p: widths.append(np.ptp(p.mesh.vertices[:, 2]))])
    border = 0.5 * (widths[0] + widths[5])
    assert widths[0] < border < widths[5]  # the surface grows across the border before the first pause
    far_then_exact(monkeypatch, border)
    from cytoform.fourier import exact, nufft

    for kind, name in ((exact.Faces, "exact"), (nufft.Faces, "nufft")):
        forward = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, f=forward, n=name: used.append(n) or f(self))
    whole = cf.fit(volume, start, psf, config)
    assert used[-1] == "exact" and used.count("nufft") >= 10  # the steps by one, the final picture by the other
    with pytest.raises(Killed):
        cf.fit(volume, start, psf, config, callbacks=[killed_at(8)], out=tmp_path)
    with h5py.File(tmp_path / "checkpoint.h5") as file:
        assert file["state"].attrs["transform"] == "nufft"
    resumed = cf.fit(volume, start, psf, config, out=tmp_path, resume=True)
    assert np.array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()


def test_on_another_device_the_transform_is_chosen_anew(tmp_path, monkeypatch):
    """A checkpoint of a CPU names the fast transform, which a CUDA device or a machine without finufft has not."""
    _, volume, psf = ball()
    start = shapes.icosphere(1.1, volume.grid.centre, subdivisions=3)
    config = cf.FitConfig(**{**SETTINGS, "deterministic": False, "device": "cpu"})
    with pytest.raises(Killed):
        cf.fit(volume, start, psf, config, callbacks=[killed_at(4)], out=tmp_path)
    with h5py.File(tmp_path / "checkpoint.h5", "r+") as file:
        assert file["state"].attrs["device"] == "cpu"
        file["state"].attrs["device"], file["state"].attrs["transform"] = "cuda", "unknown there"
    assert cf.fit(volume, start, psf, config, out=tmp_path, resume=True).iterations == 10
    with h5py.File(tmp_path / "checkpoint.h5", "r+") as file:
        file["state"].attrs["stop_reason"], file["state"].attrs["transform"] = "", "nufft"
    monkeypatch.setattr(devices, "has_finufft", lambda: False)
    again = cf.fit(volume, start, psf, dataclasses.replace(config, checkpoint_seconds=1.0), out=tmp_path, resume=True)
    assert again.iterations == 10

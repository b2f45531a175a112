"""The verdict: its measures against closed forms, bad fits of each kind, and where users meet it."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from fitting.simulated import ball
from scipy import ndimage
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli import app
from cytoform.fitting.quality.insides import count_cells
from cytoform.fitting.quality.measures import neck_width
from cytoform.fitting.quality.profiles import facing_distances
from cytoform.fitting.quality.rules import RULES, Rule
from cytoform.fitting.scene import Scene
from cytoform.fitting.verdict import judge
from cytoform.imaging import render_on
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes

CONFIG = cf.FitConfig(uncertainty=False, iterations=90)
GRID = cf.Grid((26, 36, 36), (0.3, 0.2, 0.2))
PSF = cf.GaussianPSF.from_sigma((0.45, 0.28, 0.28))


def imaged(*bodies, noise=8.0, seed=0, fill=0.0):
    """The image of some cells, with `fill` of the membrane's brightness inside."""
    light = sum(render_on(b, PSF, GRID, margin=np.asarray(PSF.reach()) + GRID.overhang(b.bounds)) for b in bodies)
    light = light / light.max()
    for body in bodies if fill else ():
        inside = mesh_to_mask(body, GRID).astype(float)
        light = light + fill * ndimage.gaussian_filter(inside, np.array([0.45, 0.28, 0.28]) / GRID.spacing)
    data = 100 + 400 * light + np.random.default_rng(seed).normal(0, noise, GRID.shape)
    return cf.Volume(data.astype(np.float32), GRID.spacing, name="cell.tif")


def cell(radius=1.9, centre=None):
    """A roundish cell."""
    centre = GRID.centre if centre is None else np.asarray(centre)
    return shapes.ellipsoid((0.85 * radius, radius, 1.1 * radius), tuple(centre), edge=0.3)


@pytest.fixture(scope="module")
def good():
    return cf.fit(imaged(cell()), config=CONFIG)


@pytest.fixture(scope="module")
def tissue():
    """Membranes between eight cells, and around them."""
    z, y, x = np.indices((40, 60, 60))
    walls = (z % 16 == 4) | (y % 24 == 6) | (x % 24 == 6)
    inside = (z >= 4) & (z <= 36) & (y >= 6) & (y <= 54) & (x >= 6) & (x <= 54)
    light = ndimage.gaussian_filter((walls & inside).astype(float), 1.5)
    data = 100 + 1000 * light + np.random.default_rng(0).normal(0, 5, light.shape)
    return cf.Volume(data.astype(np.float32), (0.2, 0.2, 0.2), name="tissue.tif")


# -- rules ------------------------------------------------------------------------------------------------------------


def test_severity_is_one_at_check_and_two_at_failed():
    rule = Rule("a", 0.2, 0.6, str)
    values = [0.0, 0.1, 0.2, 0.4, 0.6, 100.0, None, float("nan")]
    assert [rule.severity({"a": v}) for v in values] == pytest.approx([0, 0.5, 1, 1.5, 2, 5, 0, 5])
    assert rule.severity({}) == 0


def test_names_are_unique_limits_rise_and_every_reason_has_a_number():
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert 0 < rule.check < rule.failed
        for value in (rule.check, rule.failed):
            text = rule.text(value)
            assert any(c.isdigit() for c in text) and text.endswith(".")
            assert text[0].isupper() or text[0].isdigit()


def test_one_measure_is_enough_and_several_add_up():
    assert judge({}).quality == "good" and judge({}).reasons == ()
    some = {rule.name: 0.9 * rule.check for rule in RULES[:3]}
    assert judge({RULES[0].name: some[RULES[0].name]}).quality == "good"
    assert judge(some).quality == "check" and len(judge(some).reasons) == 1  # 3 × 0.9⁴ > 1
    assert judge({"misfit": 0.51}).quality == "failed"
    found = judge({"misfit": 0.1, "touching_cells": 6.0})
    assert found.quality == "failed" and "several cells" in found.reasons[0] and "--roi-label" in found.reasons[0]


def test_the_guide_lists_every_measure_with_its_limits():
    guide = Path(__file__).parents[2].joinpath("docs", "guide", "results.md").read_text(encoding="utf-8")
    for rule in RULES:
        row = next(line for line in guide.splitlines() if line.startswith(f"| `{rule.name}` |"))
        assert row.endswith(f"| {rule.check:g} | {rule.failed:g} |"), row


# -- measures ---------------------------------------------------------------------------------------------------------


def test_the_thickness_of_a_flat_body_is_that_of_a_slab():
    mesh = shapes.ellipsoid((0.5, 5.0, 5.0), edge=0.4)
    middle = np.flatnonzero(np.linalg.norm(mesh.vertices[:, 1:], axis=1) < 1.0)
    assert facing_distances(mesh, middle) == pytest.approx(np.full(len(middle), 1.0), abs=0.08)


def test_the_distance_across_a_ball_is_its_diameter():
    mesh = shapes.icosphere(2.0, subdivisions=4)
    assert facing_distances(mesh, np.arange(20)) == pytest.approx(np.full(20, 4.0), rel=0.3)  # within 45° of the normal


def test_a_neck_has_its_width(good):
    narrow = shapes.dividing_cell(6.0, 1.5, 0.35, axis=(0, 0, 1), centre=tuple(GRID.centre), edge=0.15)
    width = neck_width(dataclasses.replace(good, mesh=narrow, psf=cf.GaussianPSF.from_sigma((0.3, 0.3, 0.3))))
    assert width == pytest.approx(2 * 0.35 / 0.3, abs=0.8)
    assert neck_width(good) == np.inf


def test_a_surface_at_the_border_is_cut(good):
    half = cf.fit(imaged(cell(centre=(3.75, 3.5, 0.0))), config=CONFIG)
    assert half.verdict.measures["cut_by_border"] == pytest.approx(0.5, abs=0.15)
    assert good.verdict.measures["cut_by_border"] == 0
    assert any("border" in reason for reason in half.reasons) and half.quality != "good"


# -- fits -------------------------------------------------------------------------------------------------------------


def test_a_good_fit_is_good(good):
    assert good.quality == "good" and good.reasons == () and good.verdict.doubt < 0.8
    assert good.verdict.measures["misfit"] < 0.02 and good.verdict.measures["noise"] < 0.05
    assert set(good.verdict.measures) == {rule.name for rule in RULES}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("filled", "inside is not dark"),
        ("nucleus", "inside is not dark"),
        ("noise", "model and image differ|hardly a signal"),
        ("half", "region or label cuts the cell"),
        ("window", "border"),
        ("saturated", "saturated"),
        ("touching", "neck"),
        ("narrow PSF", "PSF"),
        ("half stained", "no membrane|inside is not dark|staining"),
    ],
)
def test_a_bad_fit_is_not_good_and_says_why(kind, words):
    given = {}
    volume = imaged(cell())
    if kind == "filled":
        volume = imaged(cell(), fill=1.0)
    elif kind == "nucleus":
        inside = ndimage.gaussian_filter(mesh_to_mask(cell(), GRID).astype(float), (1.5, 1.4, 1.4))
        noise = np.random.default_rng(0).normal(0, 5, GRID.shape)
        volume = cf.Volume((100 + 400 * inside + noise).astype(np.float32), GRID.spacing)
    elif kind == "noise":
        data = 100 + 20 * np.random.default_rng(3).normal(size=GRID.shape)
        volume = cf.Volume(data.astype(np.float32), GRID.spacing)
    elif kind == "half":
        whole = shapes.dividing_cell(5.5, 1.5, 1.0, axis=(0, 0, 1), centre=tuple(GRID.centre), edge=0.25)
        labels = mesh_to_mask(whole, GRID).astype(int)
        labels[:, :, 18:] = 0
        volume, given = imaged(whole), {"labels": labels}
    elif kind == "window":
        data = volume.data.copy()
        data[:, :14] = 0
        volume = dataclasses.replace(volume, data=data)
    elif kind == "saturated":
        volume = dataclasses.replace(volume, data=np.minimum(volume.data, 180))
    elif kind == "touching":
        pair = [cell(1.25, GRID.centre + np.array([0, 0, d])) for d in (-1.4, 1.35)]
        volume = imaged(*pair)
        given = {"labels": sum(mesh_to_mask(c, GRID) for c in pair).astype(bool).astype(int)}
    elif kind == "narrow PSF":
        given = {"psf": cf.GaussianPSF.from_sigma((0.15, 0.09, 0.09))}
    elif kind == "half stained":
        body = cell()
        dark = body.vertices[body.faces].mean(axis=1)[:, 2] > GRID.centre[2]
        volume = imaged(body.with_density(np.where(dark, 0.02, 1.0)))
    config = dataclasses.replace(CONFIG, infer_psf=kind != "narrow PSF")
    result = cf.fit(volume, config=config, **given)
    assert result.quality != "good"
    assert any(word in " ".join(result.reasons) for word in words.split("|")), result.reasons


def test_few_steps_are_told():
    volume = imaged(cell())
    start = shapes.icosphere(1.2, tuple(GRID.centre), subdivisions=2)
    result = cf.fit(volume, start, config=dataclasses.replace(CONFIG, iterations=4, align_start=False))
    assert result.quality == "failed" and result.verdict.measures["not_converged"] > 0.3


# -- several cells ----------------------------------------------------------------------------------------------------


def test_cells_are_counted_by_their_dark_insides(tissue):
    found = count_cells(Scene.from_volume(tissue).smooth, tissue.spacing)
    assert found.total == found.touching == 8 and found.several
    one = count_cells(Scene.from_volume(imaged(cell())).smooth, GRID.spacing)
    assert one.total == 1 and one.touching == 0 and not one.several


def test_noise_and_constants_hold_no_cells():
    rng = np.random.default_rng(0)
    for sigma in (0.0, 0.7, 1.5):
        noise = ndimage.gaussian_filter(rng.normal(size=(30, 50, 50)), sigma)
        assert not count_cells(Scene(cf.Volume(noise.astype(np.float32), (1, 1, 1))).smooth, (1.0, 1.0, 1.0)).several
    assert count_cells(np.ones((9, 9, 9)), (1.0, 1.0, 1.0)).total == 0


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("images/embryo_crop_t1", True),
        ("images/celegans_t19", True),
        ("contact/gland_2017-12-04_1a", True),
        ("images/vesicles", False),
        *((f"images/rbc_{n:02d}", False) for n in range(0, 16, 2)),
    ],
)
def test_cells_of_real_images_are_counted(data_dir, name, several):
    spacing = (1.0, 1.0, 1.0) if name.startswith("contact") else None
    volume = cf.read_volume(data_dir / f"{name}.tif", spacing=spacing)
    assert Scene.from_volume(volume).cell_count.several is several


def test_a_large_image_is_reduced(tissue):
    large = np.kron(Scene.from_volume(tissue).smooth, np.ones((2, 3, 3), dtype=np.float32))
    assert count_cells(large, (0.1, 0.07, 0.07)).touching == 8


def test_several_cells_are_announced_and_fail(tissue, caplog):
    with caplog.at_level(logging.WARNING):
        result = cf.fit(tissue, config=dataclasses.replace(CONFIG, iterations=6))
    assert "tissue.tif shows about 8 cells" in caplog.text and "--roi FILE --roi-label N" in caplog.text
    assert result.quality == "failed" and "several cells" in " ".join(result.reasons)
    caplog.clear()
    labels = np.zeros(tissue.shape, dtype=int)
    labels[5:20, 7:30, 7:30] = 1
    with caplog.at_level(logging.WARNING):
        outlined = cf.fit(tissue, config=dataclasses.replace(CONFIG, iterations=6), labels=labels)
    assert "touching others" not in caplog.text and outlined.touching_cells == 0


# -- where users meet it ----------------------------------------------------------------------------------------------


def test_files_hold_the_verdict(good, tmp_path):
    good.save(tmp_path)
    saved = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert saved["quality"] == "good" and saved["reasons"] == [] and 0 < saved["quality_doubt"] < 1
    assert set(saved["quality_measures"]) == {rule.name for rule in RULES}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<div class="verdict good"' in page and "Nothing speaks against the surface." in page
    loaded = cf.load_result(tmp_path)
    assert loaded.quality == "good" and loaded.verdict.doubt == saved["quality_doubt"]
    saved |= {"quality": "failed", "reasons": ["It is <wrong>."]}
    (tmp_path / "fit.json").write_text(json.dumps(saved), encoding="utf-8")
    loaded = cf.load_result(tmp_path)
    assert loaded.quality == "failed" and loaded.reasons == ("It is <wrong>.",)


def test_a_result_of_before_there_were_verdicts_is_to_be_checked(good, tmp_path):
    good.save(tmp_path)
    saved = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    (tmp_path / "fit.json").write_text(json.dumps({k: v for k, v in saved.items() if "quality" not in k}))
    assert cf.load_result(tmp_path).quality == "check"


def test_reasons_stand_in_the_report(good, tmp_path):
    bad = dataclasses.replace(good, stability=2.0)
    bad.save(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<div class="verdict failed"' in page and "moves by 2.0 voxels" in page


def test_strict_is_an_exit_status(tmp_path):
    cf.write_volume(tmp_path / "cell.tif", ball(noise=2.0)[1].data, spacing=(0.3, 0.2, 0.2))
    cf.write_volume(tmp_path / "noise.tif", np.random.default_rng(0).normal(size=(20, 30, 30)).astype(np.float32),
                    spacing=(0.3, 0.2, 0.2))  # fmt: skip
    common = ["--iterations", "60", "--quiet", "--strict"]
    for name, quality, status in (("cell", "good", 0), ("noise", "failed", 3)):
        words = ["fit", str(tmp_path / f"{name}.tif"), "--out", str(tmp_path / name), *common]
        found = CliRunner().invoke(app, words)
        assert found.exit_code == status, found.output
        assert json.loads((tmp_path / name / "fit.json").read_text(encoding="utf-8"))["quality"] == quality
        assert f"  {quality}" in found.output.split("verdict")[1].splitlines()[0]

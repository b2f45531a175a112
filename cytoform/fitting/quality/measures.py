"""Measures of a fit that tell whether its surface is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..._typing import Array, Bools, Floats
from ...metrics.image import r2 as r_squared
from ...metrics.image import region_of_r2
from ..constants import STAINING_LIMIT
from .profiles import Profiles, sigma_of

if TYPE_CHECKING:
    from ..result import FitResult


def measure(result: FitResult) -> dict[str, float]:
    """Return all measures of a result with its image."""
    assert result.image is not None
    image = np.asarray(result.image.data, dtype=np.float64)
    profiles = Profiles.of(result, image)
    return {
        **membrane_measures(profiles, image, result),
        **voxel_measures(result, image, profiles),
        **staining_measures(result),
        **optics_measures(result, profiles),
        **border_measures(result),
        **history_measures(result),
    }


def noise_of(residual: Floats, where: Bools) -> float:
    s = []
    for axis in range(3):
        d = np.diff(residual, 2, axis=axis)
        w = np.take(where, range(1, where.shape[axis] - 1), axis=axis)
        if w.any():
            s.append(1.4826 * np.median(np.abs(d[w])) / np.sqrt(6.0))
    return float(min(s)) if s else 0.0


def contrast_of(p: Profiles) -> float:
    drop = np.fmax(p.drops(p.model - p.light, -1), p.drops(p.model - p.light, 1))
    d = drop[np.isfinite(drop)]
    return max(float(np.median(d)), 1e-300) if len(d) else 1e-300


def membrane_measures(p: Profiles, image, result) -> dict[str, float]:
    where = region_of_r2(result.mask, result.image.spacing) if result.mask.any() else np.ones(image.shape, bool)
    noise = noise_of(image - result.whole_model, where)
    c = contrast_of(p)
    floor = noise**2 * np.nanmean(p.noise**2)
    r = p.image - p.model
    msq = np.nanmean(r**2, axis=1)
    mis = np.sqrt(np.maximum(msq - floor, 0)) / c
    near = np.abs(p.offsets) <= 1.01
    own = p.image - p.light
    inn, out = p.drops(own, -1), p.drops(own, 1)
    minn, mout = p.drops(p.model - p.light, -1), p.drops(p.model - p.light, 1)
    thick = p.thickness > 3.0
    def ratio(a, b, sel):
        ok = sel & np.isfinite(a) & np.isfinite(b)
        return float((p.areas * a * b)[ok].sum() / max((p.areas * b * b)[ok].sum(), 1e-300)) if ok.any() else np.nan
    anyw = np.ones(len(thick), bool)
    best = np.fmax(inn, out)
    least = np.fmin(inn, out)
    im = p.image - np.nanmean(p.image, axis=1, keepdims=True)
    local_r2 = 1 - np.maximum(np.nanmean(r**2, axis=1) - floor, 0) / np.maximum(np.nanmean(im**2, axis=1) - floor, 1e-9 * c * c)
    offs = p.offsets[None]
    return {
        "contrast": c, "noise": noise, "snr": c / max(noise * np.sqrt(np.nanmean(p.noise**2)), 1e-300), "snr_voxel": c / max(noise, 1e-300),
        "misfit": p.mean(mis), "misfit_share_20": p.share(mis > 0.2), "misfit_share_30": p.share(mis > 0.3), "misfit_share_50": p.share(mis > 0.5),
        "misfit_p95": float(np.nanpercentile(mis, 95)) if np.isfinite(mis).any() else 9.0,
        "local_r2_share_50": p.share(local_r2 < 0.5), "local_r2_share_0": p.share(local_r2 < 0.0),
        "drop_in": ratio(inn, minn, anyw), "drop_out": ratio(out, mout, anyw),
        "drop_in_thick": ratio(inn, minn, thick),
        "no_membrane": p.share(best < 0.25 * c), "no_membrane_15": p.share(best < 0.15 * c),
        "no_in": p.share(thick & (inn < 0.15 * c)), "no_out": p.share(out < 0.15 * c),
        "no_in_rel": p.share((minn > 0.3 * c) & (inn < 0.3 * minn)), "no_out_rel": p.share((mout > .3 * c) & (out < 0.3 * mout)),
        "one_sided": p.share(thick & (least < 0.15 * c)),
        "light_share": p.share(np.nanmax(np.where(near, p.light, -np.inf), axis=1) > 0.3 * c), "light_mean": p.mean(p.light[:, len(p.offsets) // 2]) / c,
        "unknown": p.share(~np.isfinite(p.image[:, len(p.offsets) // 2])),
        "unknown_any": p.share(~np.isfinite(p.image).all(axis=1)),
        "thin_share": p.share(p.thickness < 2.355), "thin_15": p.share(p.thickness < 1.5), "thick_median": float(np.median(np.minimum(p.thickness, 99))),
        "thick_p90": float(np.percentile(np.minimum(p.thickness, 99), 90)),
    }


def voxel_measures(result, image, p: Profiles) -> dict[str, float]:
    c = contrast_of(p)
    sigma = sigma_of(result) / np.asarray(result.model.spacing)
    model = result.whole_model
    measured = np.ones(image.shape, bool) if result.measured is None else result.measured
    mask = result.mask
    if not mask.any():
        return {}
    blur = lambda a: ndimage.gaussian_filter(np.asarray(a, float), np.maximum(sigma, .7) * 0.7)
    w = blur(measured) + 1e-9
    bi = blur(np.where(measured, image, 0)) / w; bm = blur(np.where(measured, model, 0)) / w
    region = region_of_r2(mask, result.image.spacing) & measured
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=1 / sigma)[1:-1, 1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~mask, sampling=1 / sigma)
    res = (bi - bm) / c
    deep = (depth > 2.0) & measured
    shell = (away > 1.5) & (away < 4.0) & measured
    inner = (depth > 1.0) & measured
    near = (away < 2) & (depth < 2) & measured
    f = {}
    f["r2"] = r_squared(image, model, region) if region.any() else np.nan
    f["r2_smooth"] = r_squared(bi, bm, region) if region.any() else np.nan
    f["deep_share"] = float(deep.sum() / mask.sum())
    f["deep_excess"] = float(res[deep].mean()) if deep.any() else 0.0
    f["deep_rms"] = float(np.sqrt((res[deep] ** 2).mean())) if deep.any() else 0.0
    f["deep_bright"] = float((res[deep] > 0.3).mean()) if deep.any() else 0.0
    f["inner_bright"] = float((res[inner] > 0.3).mean()) if inner.any() else 0.0
    bg = np.median(image[measured & (away > 3)]) if (measured & (away > 3)).any() else result.background
    f["inside_level"] = float((np.median(bi[deep]) - bg) / c) if deep.any() else 0.0
    f["inside_level_model"] = float((np.median(bm[deep]) - bg) / c) if deep.any() else 0.0
    f["bg_shift"] = float((bg - result.background) / c)
    f["shell_bright"] = float((res[shell] > 0.3).mean()) if shell.any() else 0.0
    f["shell_excess"] = float(res[shell].mean()) if shell.any() else 0.0
    pool = ndimage.label((depth > 0.7) & (res < 0.3))[0]
    sizes = np.sort(np.bincount(pool.ravel())[1:])[::-1] / mask.sum()
    f["pools"] = float((sizes > 0.05).sum())
    top = image[region].max() if region.any() else 0
    f["saturated"] = float((image[region] >= top).mean()) if region.any() else 0.0
    light = 0 if result.surroundings is None else result.surroundings.data
    cell = np.abs(result.model.data - result.background)[region].sum()
    f["light_of_model"] = float(np.sum((light * region)) / max(cell + np.sum(light * region), 1e-300))
    return f


def staining_measures(result) -> dict[str, float]:
    a = result.mesh.face_areas; d = np.asarray(result.mesh.density, float)
    l = np.log(np.maximum(d, 1e-9)) / STAINING_LIMIT
    mean = (a * d).sum() / a.sum()
    sh = lambda m: float(a[m].sum() / a.sum())
    return {"stain_low": sh(l < -0.9), "stain_high": sh(l > 0.9), "stain_dim": sh(d < 0.5 * mean), "stain_range": float(np.log(result.density_range[1] / result.density_range[0])),
            "stain_edge": sh(np.abs(l) > 0.8)}


def optics_measures(result, p) -> dict[str, float]:
    w = np.asarray(result.psf.fwhm); s = np.asarray(result.model.spacing)
    low, high = result.mesh.bounds
    cov = result.mesh.vertices.std(axis=0)
    return {"fwhm_voxels": float((w / s).min()), "fwhm_um": float(w.min()), "fwhm_ratio": float(w[0] / np.sqrt(w[1] * w[2])),
            "fwhm_of_cell": float((w / (high - low)).max()), "fwhm_across_of_cell": float((w / (high - low))[1:].max()),
            "fwhm_across_voxels": float((w / s)[1:].max())}


def border_measures(result) -> dict[str, float]:
    g = result.model.grid
    c = result.mesh.vertices[result.mesh.faces].mean(axis=1)
    i = g.to_index(c)
    sig = sigma_of(result) / np.asarray(g.spacing)
    a = result.mesh.face_areas
    n = np.asarray(g.shape) - 1
    out = ((i < 0.5) | (i > n - 0.5)).any(axis=1)
    near = ((i < sig) | (i > n - sig)).any(axis=1)
    from ..result_warnings import _cut_shares
    un, cut = _cut_shares(result)
    return {"border": float(a[out].sum() / a.sum()), "border_near": float(a[near].sum() / a.sum()), "unmeasured": un, "roi_cut": cut,
            "mask_share": float(result.mask.mean())}


def history_measures(result) -> dict[str, float]:
    h = result.history
    ok = (h["kind"] == "shape") & (h["stage"] == h["stage"].max())
    loss = h["loss"][ok]
    n = len(loss)
    k = max(n // 10, 1)
    late = float((loss[-1 - k] - loss[-1]) / max(loss[-1], 1e-300)) if n > k else 9.0
    return {"late": late, "last_steps": float(n), "steps": float(result.iterations), "all_steps": float(result.stop_reason.startswith("all")),
            "moved": float(h["moved"][ok][-1]) if "moved" in h and n else np.nan}

"""Derivatives of a fit's modelled image, rendered one by one: the slow way to its normal matrix."""

import numpy as np

from cytoform.devices import to_host
from cytoform.fitting.constants import PSF_PARAMETER_STEP, STAINING_LIMIT

MODE_STEP = 0.05  # voxels


def density_change(mesh, stain, change):
    """The mesh with the first-order change of its densities, for a small change of the field, in place of them."""
    at_faces = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / STAINING_LIMIT) ** 2
    return mesh.with_density(mesh.density * at_faces * np.asarray(change)[mesh.faces].mean(axis=1))


def jacobian(problem, unknowns, image_fit):
    """Weighted changes of the image for each unknown, (n, n_voxels): modes by central differences of renderings."""
    mesh, psf, gain = unknowns.mesh, unknowns.psf, image_fit.gain
    renderer = problem.renderer(psf, problem.config.cutoff)
    box = tuple(slice(0, n) for n in image_fit.weights.shape)
    root = np.sqrt(image_fit.weights)

    def spectrum(one):
        return to_host(renderer.prepared(one.astype(problem.dtype), behind_optics=False).forward())

    def image(box_spectrum):
        found = renderer.picture(box_spectrum.astype(np.result_type(problem.dtype, np.complex64)))[box]
        return (root * found).ravel()

    base, otf, columns = spectrum(mesh), psf.otf_on(renderer.band), []
    for mode in unknowns.modes.T:
        step = MODE_STEP * problem.voxel / np.abs(mode).max()
        nudge = step * mode[:, None] * unknowns.normals
        up, down = (spectrum(mesh.with_vertices(mesh.vertices + s * nudge)) for s in (1.0, -1.0))
        columns.append(image(gain / (2.0 * step) * otf * (up - down)))
    if unknowns.stain is not None:
        for mode in unknowns.modes.T:
            columns.append(image(gain * otf * spectrum(density_change(mesh, unknowns.stain, mode))))
    for direction in unknowns.directions.T:
        wider, narrower = (
            psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction).otf_on(renderer.band)
            for s in (1.0, -1.0)
        )
        columns.append(image(gain / (2.0 * PSF_PARAMETER_STEP) * (wider - narrower) * base))
    return np.array([*columns, image(otf * base), root.ravel()], dtype=np.float64)

"""
Point spread functions of an oil objective
==========================================

Six point spread functions along z and in focus: a wide-field, a confocal and a light-sheet microscope, a cell far
below the coverglass, and aberrations. :doc:`/optics` tells which one to take.

``python examples/psf_figure.py [FILE]`` writes the picture, by default ``psf.png``.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import cytoform as cf

OIL = {"numerical_aperture": 1.4, "wavelength": 0.52, "immersion_index": 1.515}
CELLS = {"sample_index": 1.38}
KINDS = {
    "wide field": cf.PupilPSF(**OIL),
    "confocal": cf.PupilPSF(**OIL, modality="confocal"),
    "light sheet, 1.5 µm": cf.PupilPSF(**OIL, modality="light-sheet", sheet_fwhm=1.5),
    "3 µm deep, n = 1.38": cf.GibsonLanniPSF(**OIL, **CELLS, depth=3.0),
    "12 µm deep, n = 1.38": cf.GibsonLanniPSF(**OIL, **CELLS, depth=12.0),
    "astigmatism, coma": cf.PupilPSF(**OIL, phase={3: 0.7, 8: 0.6}),
}
GRID = cf.Grid((90, 180, 180), (0.1, 0.05, 0.05))
ACROSS, ALONG = 2.0, 4.0  # µm shown to each side

# %%
# ``psf.sample(grid)`` gives the point spread function on a grid. Brightness is shown to the power 0.35, so that rings
# and cones of faint light can be seen. z runs down, away from the objective.


def slices(data):
    """The slices across y and z through the centre, with faint light brought out."""
    shown = np.clip(data / data.max(), 0.0, None) ** 0.35
    y, x = (slice(90 - int(ACROSS / 0.05), 91 + int(ACROSS / 0.05)) for _ in range(2))
    z = slice(45 - int(ALONG / 0.1), 46 + int(ALONG / 0.1))
    return shown[z, 90, x], shown[45, y, x]


figure = Figure(figsize=(10.4, 5.2), facecolor="white", layout="constrained")
panels = figure.subplots(2, len(KINDS), gridspec_kw={"height_ratios": (ALONG, ACROSS)})
for (upper, lower), (name, psf) in zip(panels.T, KINDS.items()):
    along, focus = slices(psf.sample(GRID).data)
    upper.imshow(along, cmap="magma", extent=(-ACROSS, ACROSS, ALONG, -ALONG), vmin=0, vmax=1)
    lower.imshow(focus, cmap="magma", extent=(-ACROSS, ACROSS, ACROSS, -ACROSS), vmin=0, vmax=1)
    upper.set_title(name, fontsize=9)
    for axes in (upper, lower):
        axes.tick_params(labelsize=7)
panels[0, 0].set_ylabel("z (µm)", fontsize=8)
panels[1, 0].set_ylabel("y (µm)", fontsize=8)
for axes in panels[1]:
    axes.set_xlabel("x (µm)", fontsize=8)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "psf.png")

# %%
# Their widths, full width at half maximum in µm, along z and across:

for name, psf in KINDS.items():
    print(f"{name:22s} {psf.fwhm[0]:.2f} {psf.fwhm[2]:.2f}")

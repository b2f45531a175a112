"""
From an image to a surface
==========================

The shortest way from a 3D image of a membrane to its surface, and on to an image of the same cell through better
optics. ``cytoform demo`` makes the image that this example reads; put the name of your own in its place.
"""

from matplotlib.figure import Figure

import cytoform as cf
from cytoform.report import maps_figure

volume = cf.read_volume("demo/image.tif")  # spacing=(dz, dy, dx) in µm if the file has none
result = cf.fit(volume, config=cf.FitConfig(init="ellipsoid"))  # finds a start, then moves surface and PSF
print(f"{result.volume_um3:.0f} µm³, {result.area_um2:.0f} µm², R² {result.r2:.3f}; {result.stop_reason}")
result.save("run")  # mesh.ply, mask.tif, rendered.tif, fit.json, history.csv, report.html

# %%
# The folder ``run`` now holds everything, and ``run/report.html`` is what to look at first. Some of its pictures can
# be had directly, for example the surface, coloured by its curvature, its staining and its standard error:

figure = maps_figure(result.mesh, result.maps())

# %%
# A result can be read again at any time. Here its surface is rendered through a point spread function that is half as
# wide: the same cell through better optics.

again = cf.load_result("run")
sharp = cf.GaussianPSF.from_fwhm([0.5 * width for width in again.psf.fwhm])
image = cf.render(again.mesh, sharp, volume.grid)  # (z, y, x): the same cell, half as blurred
cf.write_volume("run/sharp.tif", image, spacing=volume.spacing)

middle = volume.shape[0] // 2
pair = Figure(figsize=(8, 4), layout="constrained")
for panel, values, title in zip(pair.subplots(1, 2), (volume.data, image), ("measured", "half as blurred")):
    panel.imshow(values[middle], cmap="gray")
    panel.set_title(title)
    panel.set_axis_off()

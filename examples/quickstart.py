"""The README's quickstart: the surface of a cell, and an image of it through better optics.

``cytoform demo`` makes the image that this reads; put the name of your own in its place.
"""

import cytoform as cf

volume = cf.read_volume("demo/image.tif")  # spacing=(dz, dy, dx) in µm where the file does not tell
result = cf.fit(volume, config=cf.FitConfig(init="ellipsoid"))  # finds a start, then moves surface and PSF
print(f"{result.volume_um3:.0f} µm³, {result.area_um2:.0f} µm², R² {result.r2:.3f}; {result.stop_reason}")
result.save("run")  # mesh.ply, mask.tif, rendered.tif, fit.json, history.csv, report.html

again = cf.load_result("run")
sharp = cf.GaussianPSF.from_fwhm([0.5 * width for width in again.psf.fwhm])
image = cf.render(again.mesh, sharp, volume.grid)  # (z, y, x): the same cell, half as blurred
cf.write_volume("run/sharp.tif", image, spacing=volume.spacing)

"""Fitting filaments to an image: single lines and networks such as microtubules, actin bundles or thin tubes."""

"""Is the fit right? Measures of image, shape and optics, and the verdict that they lead to."""

"""File formats of images, one module each, described by `source.Source`."""

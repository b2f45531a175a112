"""Several bodies fitted together to one image, each with its own brightness, seen through one point spread function."""

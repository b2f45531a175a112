"""How a fit begins: the bright object of an image, a label or a mesh, made into a start surface."""

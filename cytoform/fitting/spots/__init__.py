"""Fitting points of light to an image: single molecules, vesicles, and beads smaller than the resolution."""

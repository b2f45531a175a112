"""The constants of the verdict, each with its unit and its reason."""

from __future__ import annotations

# -- Profiles along the surface's normals -------------------------------------------------------------------------------

PROFILE_REACH = 3.0
"""Standard deviations of the blur: how far profiles reach on both sides; a blurred membrane has ended there."""
PROFILE_STEPS = 13
"""Places on a profile: two to a standard deviation, as many as the blurred image can hold."""
DROP_DISTANCE = 2.5
"""Standard deviations of the blur from the membrane's ridge, where it has lost 96 % of its brightness."""
PATCH_RADIUS = 2.0
"""Standard deviations of the blur: radius of the patches that profiles are averaged over. The image holds no detail
below, and noise is averaged."""
MOST_PROFILES = 4000
"""Vertices at which profiles are taken, every n-th of more: it bounds the time."""

# -- Cells in the image -------------------------------------------------------------------------------------------------

COUNTED_VOXELS = 150_000
"""Most voxels of the image in which cells are counted; a larger one is reduced, to bound the time."""
LEAST_WALL = 0.3
"""Of the contrast between bright and dark voxels: two dark places that are parted by less are one."""
MOST_WALL = 1.5
"""The same: brighter spots count as this bright, so that they part no more than a membrane does."""
COMPARABLE_SIZE = 0.1
"""Of the largest dark inside: a smaller one is a gap, a vacuole or the corner of a cell, and is not counted."""
LEAST_INSIDE_VOXELS = 40
"""Voxels (of the reduced image) of a dark inside: fewer are noise."""
BRIGHT_WALL_SHARE = 0.75
"""Of an inside's boundary: if less is bright, it is no cell."""
CLEAR_WALL_SHARE, LEAST_CLEAR_INSIDES = 0.9, 0.25
"""If of less than a quarter of the insides nine tenths of the boundary are bright, they are places in noise (there it
is one in six at most; four in ten in the dim embryo of the test data)."""
LEAST_CONTACT = 0.12
"""Of the boundary of the smaller one: two insides that share a smaller wall do not count as cells in contact."""
SEVERAL_CELLS = 3
"""Cells in contact, from which an image counts as one of several cells: two may be a cell that divides."""

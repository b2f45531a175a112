"""The constants of the verdict, each with its unit and its reason."""

from __future__ import annotations

# -- Profiles along the surface's normals ------------------------------------------------------------------------------

PROFILE_REACH = 3.0
"""Standard deviations of the blur: how far profiles reach on both sides; a blurred membrane has ended there."""
PROFILE_STEPS = 13
"""Places on a profile: two to a standard deviation, as many as the blurred image can hold."""
DROP_DISTANCE = 2.5
"""Standard deviations of the blur from the membrane's ridge, where it has lost 96 % of its brightness."""
PATCH_RADIUS = 2.0
"""Standard deviations of the blur: radius of the patches that profiles are averaged over. The image holds no detail
below, and noise is averaged."""
BLANK_DISTANCE = 2.0
"""Standard deviations of the blur: within it a membrane's light is still an eighth of its maximum."""
CROP_MARGIN = 6.0
"""Standard deviations of the blur: twice as far around the surface as profiles reach."""
MOST_PROFILES = 4000
"""Vertices at which profiles are taken, every n-th of more: it bounds the time."""

# -- Cells in the image ------------------------------------------------------------------------------------------------

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

# -- Measures ----------------------------------------------------------------------------------------------------------

MISFIT_OF_A_PATCH = 0.2
"""Of the membrane's contrast. A patch whose profile differs by more (root mean square) is not explained."""
NO_MEMBRANE = 0.3
"""Of what the model falls by from the surface to its darker side. Where the image falls by less, is no membrane."""
STAINING_NEAR_LIMIT = 0.8
"""Of the staining's limit: a density beyond was as good as at its limit."""
STEPS_TO_A_SIGMA = 2.0
"""Steps to a standard deviation of the blur, of the grid on which the body is eroded."""
MOST_FINE_VOXELS = 400_000
"""Voxels of that grid, to bound the time."""
PART_OF_A_BODY = 0.08
"""Of a body: a smaller part is a protrusion, and no second cell."""
NECK_OF_A_PART = 0.6
"""Of the depth of the smaller part. Places narrower than this are a neck; discs and rods have none."""
LATE_SHARE = 0.1
"""Of the last stage's steps: the fall of the loss over them tells whether a fit had converged."""
USED_UP = 0.0
"""Added to that fall if a fit has used up all its steps. 0: most fits do, and are right; a value of 0.03 asks to check
each of them."""
MOST_MISFIT = 9.0
"""Times the membrane's contrast: a misfit or noise is given as no more, as for a surface without contrast."""

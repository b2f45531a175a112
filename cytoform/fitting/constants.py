"""The constants that steer a fit, by what they do, each with its unit and its reason.

What a user may want to change is a setting (:class:`cytoform.FitConfig`) instead. "Voxels" are the geometric mean of a
voxel's edges, "finest voxels" its shortest edge.
"""

from __future__ import annotations

import math

# -- Stages and pauses -------------------------------------------------------------------------------------------------

EARLY_STAGES_SHARE = 0.16
"""Most of all shape steps that the stages before the last may take: fine detail needs the others."""
LEAST_STEPS_BETWEEN_PAUSES = 5
"""Least steps from one pause to the next, which costs about as much as two steps. Chosen, not measured."""
PAUSE_DISTANCE = 3.0
"""Voxels. A vertex that has moved farther since the last pause calls for the next: facing pairs are outdated."""
NO_REMESHING_STEPS = 20
"""Last steps of a fit in which poor triangles are left alone: after a remeshing it takes about as many to settle."""
ESTIMATE_AFTER_STEPS = 30
"""Steps of the last stage, two pauses, after which a surface has settled enough to estimate prior strengths."""
ESTIMATE_WITH_STEPS_LEFT = 50
"""Steps that have to be left when prior strengths are estimated, so that the surface can follow them."""
FOLD_FACTOR = 3.0
"""Factor on the weights of smoothness and contact each time that the surface has folded and goes back."""
RECOVERY_FACTOR = 1.7
"""Divisor of that factor at each pause that finds the surface free of folds: slower than it grew."""
NEWTON_AFTER_STEPS = 15
"""Steps of the last stage before the first Newton step: farther from the optimum its quadratic model is wrong."""
NEWTON_MOST_VERTICES = 30_000
"""Vertices above which no Newton step is taken: its sparse factors would take minutes."""
TRIAL_STEPS = 40
"""Steps of the trial fits that tell a stained membrane from a filled body."""
START_FILLING = 0.1
"""1/µm: brightness inside, over the density of the membrane, at which a fit of both starts; each step solves for it."""
LEAST_EXPLAINED = 0.5
"""Share of the image's variance that the better of the two explains at least, or it says nothing."""
NEWTON_MODES = 64
"""Smoothest modes of the surface, and as many of its staining, that a Newton step moves; L-BFGS moves the others."""
MOVED_SHARES = (1.0 / 3.0, 0.8)
"""Of the surface's move between two pauses: what fine detail, which L-BFGS moves, has left to go, if the residual is a
misfit and if it is mostly noise. Fine detail follows a misfit for long without gain; without one (the noisy cow of the
benchmarks) it keeps what longer fits find."""
NEWTON_TRIALS = 3
"""Trials of a Newton step before it is left out."""
NEWTON_SHRINK = 0.4
"""Factor on its length from one trial to the next."""
NEWTON_MOVE = 2.0
"""Longest steps of the stage that its first trial may move a vertex."""
LBFGS_MEMORY = 30
"""Pairs of steps and gradient changes kept by L-BFGS for the shape: 10 or 60 change the demo's error by 0.2 nm."""

# -- Triangles ---------------------------------------------------------------------------------------------------------

TRIANGLE_BOUNDS = {"shortest": 0.33, "longest": 2.0, "min_angle": 14.0}
"""Edges in units of the wanted edge, angles in degrees: a triangle outside of them is remeshed."""
LAST_STAGE_TRIANGLE_BOUNDS = {"shortest": 0.1, "longest": 3.0, "min_angle": 4.0}
"""The same in the last stage, where changing triangles costs more steps than a poor one does harm."""
FACE_AREA_FACTOR = 0.433
"""Area of an equilateral triangle, in squared edges."""
EVEN_ENOUGH = 0.1
"""Of the number of faces that edges of the wanted length would make: farther off, a stage begins with a remeshing."""
MOST_VOLUME_CHANGE = 0.02
"""Of the volume. A remeshing that changes more of it has not kept the shape and is refused."""
REMESHED_RINGS = 3
"""Rings of faces around a poor triangle that are remeshed with it, to leave room for better ones."""
LEAST_START_FACES, MOST_START_FACES = 20, 500_000
"""Faces of a start: fewer make no surface, more are most likely an edge in the wrong unit."""
LABEL_CLOSING_RADII = (0, 4, 8)
"""Voxels. Clefts of a label up to twice as wide are closed in further starts, one for each radius."""

# -- Start: the bright object in the image -----------------------------------------------------------------------------

THRESHOLD_SMOOTHING = 1.5
"""Finest voxels: σ of the Gaussian before Otsu's threshold, about the blur of a usual PSF: enough against noise."""
LEAST_SAFE_INTENSITY, MOST_SAFE_INTENSITY = 1e-12, 1e12
"""Largest magnitudes of an image between which squares of its values are representable in float32."""
LEAST_OBJECT_VOXELS = 100
"""Voxels that an object needs; below, its second moments depend on single voxels. Chosen, not measured."""
NECK_RATIO = 0.5
"""Of the greatest depth. A bridge between two parts that is narrower than this parts two cells."""
MEMBRANE_GAP_RADIUS = 4.0
"""Finest voxels. Gaps of the membrane up to twice as wide do not keep its inside from being filled."""
LEAST_NEIGHBOUR_SHARE = 0.02
"""Of an object's voxels: a part that is cut off counts as a neighbour from this size."""
LEAST_BORDER_NEIGHBOUR_SHARE = 0.003
"""The same for a part that touches the image's border, as more of it lies outside."""
LEAST_LUMEN_SHARE = 0.005
"""Of a cell's voxels: a dark inside that is smaller is no inside."""
LARGE_NEIGHBOUR_SHARE = 0.3
"""Of the object's remaining voxels: a part this large is a cell even without a visible dark inside."""
CLIP_RADIUS = 1.1
"""In semi-axes of the object's ellipsoid: next to a neighbour, voxels farther out are cut off."""
CLIP_DISTANCE = 0.3
"""Of the object's middle semi-axis: "next to a neighbour" is nearer than this."""
FLAT_RATIO = 0.6
"""Thinnest over middle standard deviation, below which an object counts as flat, as a red blood cell is."""
OUTLIER_RADIUS = 1.25
"""In semi-axes: voxels farther out do not shape the start's ellipsoid."""
FLAT_OUTLIER_RADIUS = 1.08
"""The same for the outline of a flat object, which neighbours touch along the rim."""
FRAGMENT_SHARE, FRAGMENT_LEVEL = 0.05, 0.6
"""Size of a filled body's fragment, of the body's voxels, at most; and the level above the background, of Otsu's
threshold, at which it is connected with the body."""
OUTLINE_INSET = 1.5
"""Finest voxels by which a start lies inside the object's outline, as the threshold lies outside the membrane."""
LEAST_MOMENT_POINTS = 100
"""Voxels from which an ellipsoid may be taken while outliers are dropped."""
STAINING_SCALE = 2.0
"""Voxels, about the σ of a usual PSF: moving a membrane this far changes the image about as much as staining it e
times as bright, so one optimiser can move both."""

# -- Start: a mesh or a label that the user gives ----------------------------------------------------------------------

DEPTH_SMOOTHING = 1.0
"""Finest voxels: σ of the Gaussian on an object's depth before its peaks are looked for."""
DEPTH_CLEARANCE = 2.0
"""Finest voxels. Deeper inside an object than its membrane's thickness and this, its membrane's light has ended."""
MEMBRANE_DEPTH_PERCENTILE = 95.0
"""Percentile of the depths in bright voxels that stands for half of the membrane's thickness."""
MOST_BRIGHT_INTERIOR = 0.1
"""Of an object's deep voxels. If more are bright, membranes cross it: it is several cells."""
SAME_OBJECT_OVERLAP = 0.5
"""Of the smaller of two masks: if more is shared, they show the same object."""
SAME_OBJECT_JACCARD = 0.55
"""Of the union of two masks: if more is shared, they show the same object, about as large."""
LABEL_STAGES = 2
"""Last stages of a fit that starts from a surface that follows a label, which is a few voxels off at most."""
LABEL_SLACK = 2.0
"""Voxels by which a label may lie inside of its cell: the region of interest is that much wider."""
CLOSE_START, CLOSEST_START = 0.5, 0.75
"""Shares of the blurred image's variance that a start explains: then two stages are enough, or the last one is."""
LABEL_CLEARANCE = 3.0
"""Voxels: light nearer than this to the cell's own label is not attributed to a neighbour."""
NOTEWORTHY_SHARE = 0.01
"""Of a label's voxels: if more lie in other pieces or in holes, a remark says so."""
REGION_RIM_WIDTH = 1.5
"""Finest voxels: width of a region's rim, by whose brightness an outline is distinguished from a window."""
BRIGHT_RIM_SHARE = 0.7
"""Of a region's rim. If more is bright, the region follows a membrane, as the outline of a segmented cell does."""

# -- Neighbours --------------------------------------------------------------------------------------------------------

NEIGHBOUR_DISTANCE = 12.0
"""Finest voxels. Bright voxels nearer than this to a given start may be the cell itself."""
NEIGHBOUR_BLUR_RADIUS = 4.0
"""Finest voxels around a neighbour that its blur lights up, about two σ of a usual PSF."""
OWN_MEMBRANE_DISTANCE, LAST_STAGE_OWN_MEMBRANE_DISTANCE = 5.0, 3.0
"""Voxels. Bright voxels nearer to the surface than this may be its own membrane; in the last stage it lies closer."""
LIGHT_CLEARANCE = 3.0
"""Voxels: modelled light of neighbours begins no nearer to the surface, but in voxels that are theirs."""
LIGHT_MARGIN = 2.0
"""Voxels around a neighbour's bright voxels that may emit light, too: the threshold cuts its dim side off."""
LIGHT_ITERATIONS = 14
"""Multiplicative steps for neighbours' light: 40 change the volume of a sphere that touches another one by 0.04 %, less
than its standard error."""
MOST_LIGHT = 10.0
"""Times the image's maximum: brighter light of neighbours has diverged, and that of the step before is taken."""
LEAST_EMISSION = 1e-6
"""In units of the contrast: a multiplicative step never recovers a voxel that starts at zero."""

# -- Optics and noise --------------------------------------------------------------------------------------------------

PSF_CUTOFF = 1e-3
"""Of the OTF's maximum. PSF steps and final images use all modes above; those below lie under the noise."""
TRANSFORM_ERROR_FACTOR = 2.0
"""Times the transform's tolerance is the error of a rendering, in units of the image's contrast."""
LOOSEST_TOLERANCE = 4.0
"""Times the setting: tolerance of the transform in coarse stages, and at most in the last one. It halves the points."""
TOLERANCE_OF_NOISE = 0.08
"""Of the residual's root mean square: tolerance of the transform in the last stage, far below the noise."""
MOST_BAND_SHARE = 0.95
"""Of the modes. If the optics pass more, too few are left to distinguish a misfit from white noise."""

# -- Priors ------------------------------------------------------------------------------------------------------------

STAINING_LIMIT = math.log(2.2)
"""Natural logarithm: densities stay between 0.45 and 2.2, between a third and three times their mean."""
START_STAINING_SHARE = 0.99
"""Of that limit: the most that a start's density may have, as the limit itself has an infinite field."""
SLIDING_STIFFNESS = 1e-6
"""Cost of vertices that slide along the surface, so that the system that frees them is regular."""
FACING_COSINE = -0.5
"""Cosine between the normals of two vertices; below it they face each other."""
LEAST_SMOOTHNESS_FACTOR, MOST_SMOOTHNESS_FACTOR = 0.1, 20.0
"""Bounds of the factor on the smoothness energy that is estimated for a vertex."""
LEAST_SPREAD_RATIO = 0.03
"""Of the expected spread: the least that is estimated for a staining."""
PATCH_SMOOTHING = 1.0
"""λ of the smoothing (1 + λL)^-2 that averages roughness, over about 18 π λ squared edges (some sixty vertices)."""
PRIOR_DEGREES_OF_FREEDOM = 2.0
"""Degrees of freedom that a prior's own strength counts for beside those of a patch. Energies are averaged: a rough
patch is believed at once (a factor of 0.1 is found as 0.12), a smooth one less (10 as about 4)."""
N_WAVE_NUMBERS, N_STRENGTHS, N_TABLE_ROWS = 400, 120, 31
"""Wave numbers, strengths tried, and strengths until now, of the table that estimates are read from."""
PAIRS_PER_CHUNK = 1_000_000
"""Pairs of vertices that are processed at a time; it bounds the memory."""
VERTICES_PER_CHUNK = 10_000
"""Vertices whose strength is estimated at a time; it bounds the memory."""

# -- Standard errors ---------------------------------------------------------------------------------------------------

ERROR_MODES = 120
"""Modes in which the surface may move, and as many in which its staining may: with 400 the demo's
standard errors of volume and area grow by 0.3 and 1.1 %."""
PSF_PARAMETER_STEP = 1e-4
"""Step of the numerical derivative along the free parameters of the PSF, in their own unit."""
LEAST_FREE_SHARE = 0.1
"""Least share of the data's degrees of freedom that remains, however many the model has used up."""

# -- Time left, for the progress bar: from fits with 4,000, 20,000 and 60,000 faces on one core ------------------------

LAST_STAGE_STEPS = 45
"""Steps that the last stage usually takes, until a Newton step has predicted how much is left to move."""
NEWTON_PROGRESS = 3.0
"""Factor by which that shrinks from one Newton step to the next, until two have been seen."""
SLOW_CHANGES = 30.0
"""Standard errors: a fit that has more left to move at its last Newton step usually takes all its steps."""
STAGE_SLOWDOWN = 1.3
"""Duration of a step relative to one in the stage before, which is blurred more and needs fewer frequencies."""
NEWTON_SECONDS = (0.5, 0.05, 1.0)
"""(a, b, c) of a duration a + b n^c, s, n thousands of faces: a Newton step beside its pause, until one was timed."""
MODES_SECONDS = (0.3, 0.15, 1.5)
"""The same for the modes of the surface, which are computed with the first one."""
ERRORS_SECONDS = (0.5, 0.2, 1.4)
"""The same for the last rendering and the standard errors."""
MOST_SPEED = 4.0
"""Most that this machine may be slower or quicker than these, by its first Newton step."""
REPORT_SECONDS = (1.7, 7.5e-5, 9e-8)
"""s, s for each face, s for each voxel: writing the files of a result and its report."""
FILM_SECONDS = 0.1
"""s for each frame of the film."""
FORECAST_MEMORY = 40
"""Last steps from which the durations of steps and the number of pauses to come are taken."""
FORECAST_TRUST = 0.2
"""Weight of a new estimate against the one before, less the time that has passed; it keeps the bar steady."""
LEAST_SECONDS_LEFT = 1.0
"""s that are left at least until all is done."""

# -- Warnings ----------------------------------------------------------------------------------------------------------

WARN_BELOW_R2 = 0.7
"""R². A model that explains less of the image around the surface gets a warning."""
WARN_ABOVE_CUT_SHARE = 0.1
"""Of the surface: if more lies at the edge of the region of interest or was not measured, a warning says so."""
MOST_VOXEL_ANISOTROPY = 20.0
"""Longest over shortest edge of a voxel; above it, the voxel size is most likely wrong."""
LEAST_VOXEL_UM, MOST_VOXEL_UM = 0.005, 20.0
"""µm. Edges of a light microscope's voxels lie between these."""
LEAST_SLICE_RATIO = 0.9
"""Slice distance over pixel size: smaller ones are rare, and axes in another order are not."""
SATURATED_SHARE = 0.005
"""Of the voxels around a surface: if more hold the largest value of the file's type, the detector was saturated."""
CORRELATION_REACH = 4.8
"""Times √2 σ of a Gaussian PSF: farther apart, images of two points share next to nothing."""
CORRELATION_STEP = 0.25
"""Times √2 σ: step of the table of the PSF's autocorrelation, which is interpolated linearly."""

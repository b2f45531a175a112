"""Make the state that a fit of one object starts from: surface, region of interest and neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Bools
from ...errors import FitError
from ...image.volume import Volume
from ...mesh.protocol import Mesh
from ...optics import PSF, GaussianPSF
from ..bodies.registry import body_class_of
from ..checks import check_region
from ..config import FitConfig
from ..constants import BRIGHT_RIM_SHARE, CLOSE_START, CLOSEST_START, LABEL_SLACK, LABEL_STAGES, STAINING_SCALE
from ..problem import Problem
from ..request import Request
from ..scene import Scene, typical_voxel
from ..stain import stained
from ..state import State, VoxelMasks
from . import alignment
from .labels import LabelledCell, bright_rim, labelled_cell, matches_search, search_result_for
from .search import with_fragments

if TYPE_CHECKING:
    from ..bodies.base import Body

__all__ = ["begin", "default_edge", "default_margin", "guess_psf"]


def guess_psf(spacing: tuple[float, float, float]) -> GaussianPSF:
    """Guess a Gaussian PSF from the voxel size alone.

    σ along y and x is 1.5 times the geometric mean of the voxel's edges in y and x; σ along z is twice that, but at
    least one slice.

    Parameters
    ----------
    spacing : (3,) float
        Voxel size, (z, y, x) µm.
    """
    across = 1.5 * float(np.sqrt(spacing[1] * spacing[2]))
    return GaussianPSF.from_sigma((max(2.0 * across, spacing[0]), across, across))


def default_edge(volume: Volume) -> float:
    """Return the default mean edge length of a mesh, µm: two voxels (geometric mean of a voxel's edges)."""
    return 2.0 * typical_voxel(volume.spacing)


def default_margin(psf: PSF, volume: Volume) -> float:
    """Return how far the region of interest reaches out of the surface by default, µm.

    0.6 of the mean radius beyond which the PSF is negligible, but at least three voxels.
    """
    return max(0.6 * float(np.mean(psf.reach())), 3.0 * typical_voxel(volume.spacing))


@dataclasses.dataclass(frozen=True, eq=False)
class _Setup:
    """The body, image, PSF and settings that every way to begin needs; `margin` is that of the region, µm."""

    body: Body[Any]
    scene: Scene
    psf: PSF
    config: FitConfig
    margin: float

    @property
    def staining_scale_um(self) -> float:
        """How far (µm) a vertex moves to change the image about as much as a unit of the staining's field does."""
        return STAINING_SCALE * self.scene.voxel

    def starts(self, mask: Bools, init: str) -> list[Any]:
        """Return the body's starts for a mask, stained as the settings say."""
        return [stained(mesh, self.config.stain) for mesh in self.body.starts(mask, init)]

    def checked(self, mesh: Any) -> tuple[Any, tuple[str, ...]]:
        """Return the body's checked start, stained as the settings say, and remarks."""
        mesh, remarks = self.body.checked(mesh)
        return stained(mesh, self.config.stain), remarks

    @property
    def label_stage(self) -> int:
        """The stage that a start which follows a label begins with: LABEL_STAGES from the end."""
        return max(len(self.config.blurs) - LABEL_STAGES, 0)

    def voxel_masks(self, region: Bools, padding: tuple[float, float, float], **given: Any) -> VoxelMasks:
        """Make the masks of a fit from its region, the padding of renderings around it ((3,) µm) and other masks.

        Masks (`cell`, `candidates`, `neighbours`, all (z, y, x) bool) that are not given are empty.
        """
        none = np.zeros(self.scene.shape, dtype=bool)
        given = {"cell": none, "candidates": none, "neighbours": none, **given}
        return VoxelMasks(region=region, padding=padding, margin=self.margin, **given)

    def index_of_least_loss(self, starts: Sequence[Mesh], region: Bools, neighbours: Bools) -> int:
        """Return the index of the start with the least loss in the first stage; 0 if there is only one.

        `region` and `neighbours` are masks of the whole image, (z, y, x).
        """
        if len(starts) == 1:
            return 0
        padding = np.max([self.body.padding(mesh, self.psf, region) for mesh in starts], axis=0)
        problem = Problem(self.scene.volume, region, tuple(padding), self.config, neighbours)
        blur = self.config.blurs[0]
        losses = [problem.shape_loss(mesh.astype(self.config.dtype), self.psf, blur).loss for mesh in starts]
        return int(np.argmin(losses))


def begin(body: Body[Any], request: Request) -> State:
    """Make the state that a fit of one object starts from.

    Parameters
    ----------
    body : Body
        The kind of mesh, in its image.
    request : Request
        The user's input: a start mesh, a label, a region, or none of them for the largest bright object.

    Returns
    -------
    State

    Raises
    ------
    FitError
        When nothing to fit is found, or the start became a mesh that another kind of body moves.
    """
    scene, config = body.scene, request.config
    psf = guess_psf(scene.spacing) if request.psf is None else request.psf
    margin = default_margin(psf, scene.volume) if config.margin is None else config.margin
    setup = _Setup(body, scene, psf, config, margin)
    outlined, remarks = _outlined_cell(setup, request)
    if outlined is None:
        state = _begin_from_search_or_mesh(setup, request.mesh, request.region)
    elif (
        request.labels is not None and outlined.alone and request.mesh is None and matches_search(outlined.mask, scene)
    ):
        state = _begin_from_search_or_mesh(setup, None, None)  # tells more than the label
        _start_on_label(setup, state, outlined)
    else:
        state = _begin_from_label(setup, outlined, request.mesh)
    state.remarks = (*remarks, *state.remarks)
    _skip_coarse_stages(setup, state)
    scene.forget_search()
    body.forget_distances()
    if body_class_of(state.mesh) is not type(body):
        raise FitError(
            f"the start of a {body.kind} became a {type(state.mesh).__name__}, which is moved by another kind of body.",
            remedy=f"Let {type(body).__name__}.checked and .starts return a {body.mesh_class.__name__}.",
        )
    return state


def _skip_coarse_stages(setup: _Setup, state: State) -> None:
    """Let a start that explains much of the image already begin with the last stages, as ``count.stage`` says.

    It begins with the last LABEL_STAGES from CLOSE_START on, and with the last one from CLOSEST_START on, both shares
    of the variance of the image in the first stage's blur.
    """
    config, count = setup.config, state.count
    last = len(config.blurs) - 1
    if count.stage >= last:
        return
    blur, masks = config.blurs[count.stage], state.masks
    problem = Problem(setup.scene.volume, masks.region, masks.padding, config, masks.neighbours)
    target = problem.target(blur)
    loss = problem.shape_loss(state.mesh.astype(config.dtype), state.psf, blur).loss
    count.evaluations += 1
    explained = 1.0 - loss * target.total / max(target.variance, 1e-300)
    if explained >= CLOSE_START:
        count.stage = max(count.stage, last if explained >= CLOSEST_START else setup.label_stage)


def _outlined_cell(setup: _Setup, request: Request) -> tuple[LabelledCell | None, tuple[str, ...]]:
    """Return the cell that the user outlined by a label or a region, and remarks; None without an outline.

    A region counts as an outline if ``FitConfig.widen_roi`` is set and at least BRIGHT_RIM_SHARE of its rim is bright.
    """
    scene, filled = setup.scene, setup.config.stain == "filled"
    if request.label_image is not None:
        cell = labelled_cell(request.label_image, request.label, scene, filled=filled)
        return cell, cell.remarks
    if request.region is None or not setup.config.widen_roi:
        return None, ()
    scene.where_measured(request.region)
    bright = bright_rim(request.region, scene)
    if bright < BRIGHT_RIM_SHARE:
        return None, ()
    cell = labelled_cell(request.region, 1, scene, noun="the region")
    remark = (
        f"{bright:.0%} of the region's rim is bright, as where a segmented cell ends: the rest of the blurred membrane "
        f"would not count. The region is taken as the cell's outline, and voxels up to {setup.margin:.2g} µm from it "
        "count."
    )
    return cell, (remark, *cell.remarks)


def _begin_from_label(setup: _Setup, outlined: LabelledCell, mesh: Mesh | None) -> State:
    """Start from the surface of a cell's label, with voxels around it as the region and the neighbours' light modelled.

    Among the given mesh or the starts of the label the one of least loss is taken. If it follows the label, the fit
    begins with its last LABEL_STAGES stages.
    """
    body, scene = setup.body, setup.scene
    reach = setup.margin + LABEL_SLACK * scene.voxel
    region = scene.where_measured(scene.dilated(outlined.mask, reach))
    check_region(region, scene.volume)
    starts = [mesh] if mesh is not None else setup.starts(outlined.mask, setup.config.init)
    guesses = 0 if mesh is None and setup.config.init == "label" else len(starts)
    if mesh is None and setup.config.init == "auto":
        starts = [*starts, *setup.starts(outlined.mask, "label")]
    checked, remarks = zip(*(setup.checked(start) for start in starts))
    chosen = setup.index_of_least_loss(checked, region, outlined.neighbours)
    best = checked[chosen]
    padding = body.padding(best, setup.psf, region)
    masks = setup.voxel_masks(region, padding, neighbours=outlined.neighbours, fixed=True)
    state = State.from_mesh(
        best, setup.psf, masks, edge=body.edge, staining_scale_um=setup.staining_scale_um, pattern=body.pattern(best)
    )
    state.count.evaluations += len(checked) if len(checked) > 1 else 0
    state.count.stage = setup.label_stage if chosen >= guesses else 0
    state.remarks = remarks[0] if mesh is not None else ()
    return state


def _start_on_label(setup: _Setup, state: State, outlined: LabelledCell) -> None:
    """Let a state that was found without the label start on the label's surface, if that has the lesser loss.

    Changes `state` in place.
    """
    if setup.config.init != "auto":
        return
    starts = [state.mesh, *(setup.checked(mesh)[0] for mesh in setup.starts(outlined.mask, "label"))]
    chosen = setup.index_of_least_loss(starts, state.masks.region, state.masks.neighbours)
    state.count.evaluations += len(starts)
    if chosen > 0:
        state.masks.padding = setup.body.padding(starts[chosen], setup.psf, state.masks.region)
        state.start_from(starts[chosen], setup.body.pattern(starts[chosen]))
        state.start, state.count.stage = starts[chosen], setup.label_stage


def _begin_from_search_or_mesh(setup: _Setup, mesh: Mesh | None, given: Bools | None) -> State:
    """Start from the largest bright object, or from the user's mesh and the bright object that it overlaps.

    `given` is the user's region of interest, (z, y, x) bool; without one it follows the surface.
    """
    scene, body, config = setup.scene, setup.body, setup.config
    seen = scene if given is None else scene.within(given)
    none = np.zeros(scene.shape, dtype=bool)
    cell = candidates = none
    target: Bools | None = None
    remarks: tuple[str, ...] = ()
    if mesh is None:
        found = seen.largest_object()
        mesh, cell, candidates = setup.starts(found.mask, config.init)[0], found.mask, found.other_objects
    else:
        mesh, remarks = setup.checked(mesh)
        target = alignment.object_overlapping(body.inside(mesh), seen)
        if given is None:
            cell = none if target is None else target
            found, same = search_result_for(cell | body.inside(mesh), scene)
            cell, candidates = found.mask if same else cell, found.other_objects
            target = None if target is None else cell
    if config.stain == "filled" and cell.any() and candidates.any():
        cell, candidates = with_fragments(cell, candidates, scene)
    if given is None:
        neighbours = body.neighbours(mesh, candidates, cell, last=False)
        region = body.region(mesh, setup.margin, cell, neighbours, last=len(config.blurs) == 1)
        given_masks: dict[str, Any] = {"cell": cell, "candidates": candidates, "neighbours": neighbours}
    else:
        region, given_masks = scene.where_measured(given), {"fixed": True}
    check_region(region, scene.volume)
    masks = setup.voxel_masks(region, body.padding(mesh, setup.psf, region), **given_masks)
    state = State.from_mesh(
        mesh, setup.psf, masks, edge=body.edge, staining_scale_um=setup.staining_scale_um, pattern=body.pattern(mesh)
    )
    state.remarks = remarks
    if target is not None and config.align_start:
        _align_start(setup, state, target)
    return state


def _align_start(setup: _Setup, state: State, target: Bools) -> None:
    """Stretch and shift the state's start onto the bright object `target`, if that lowers the loss.

    Changes `state` in place; `target` is (z, y, x) bool.
    """
    body, masks = setup.body, state.masks
    moved = alignment.aligned_to(state.mesh, body.inside(state.mesh), target, setup.scene.grid)
    moved = body.tidied(moved)
    state.count.evaluations += 2
    if setup.index_of_least_loss([state.mesh, moved], masks.region, masks.neighbours) == 1:
        masks.padding = body.padding(moved, setup.psf, masks.region)
        state.start_from(moved, body.pattern(moved))

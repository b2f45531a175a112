"""The inputs of a fit: what the user passed to :func:`cytoform.fit`, checked, described and hashed."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools
from ..errors import ConfigError, VolumeError
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSF
from .bodies import body_class_of
from .checks import check_psf_size, check_region, image_warnings
from .config import FitConfig
from .descriptions import wrong_type
from .digests import array_digest
from .json_values import json_value, short_repr
from .priors.smoothness import Prior

__all__ = ["Request", "is_searched"]

Voxels = npt.ArrayLike | Volume


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """The inputs of one call of :func:`cytoform.fit`.

    Parameters
    ----------
    volume : Volume
        The image.
    config : FitConfig
        Settings of the fit.
    mesh : Mesh, optional
        Start of the surface, µm.
    psf : PSF, optional
        Start of the PSF.
    roi : (z, y, x) array or Volume, optional
        Region of interest.
    labels : (z, y, x) array or Volume, optional
        Label image.
    label : int, optional
        Which cell of `labels`.
    prior : callable, optional
        Further prior on the surface.
    inputs : mapping, optional
        Provenance of the inputs, as plain values.
    """

    volume: Volume
    config: FitConfig
    mesh: Mesh | None = None
    psf: PSF | None = None
    roi: Voxels | None = None
    labels: Voxels | None = None
    label: int | None = None
    prior: Prior | None = None
    inputs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Convert `inputs` to plain values; raise ConfigError if JSON cannot hold them."""
        if self.inputs is not None and not isinstance(self.inputs, Mapping):
            raise ConfigError(f"inputs is {short_repr(self.inputs)}; expected a mapping of names to plain values.")
        object.__setattr__(self, "inputs", json_value(self.inputs, "inputs"))

    def check(self) -> None:
        """Check that the inputs do not contradict each other and can be fitted.

        Raises
        ------
        ConfigError
            If the image is no Volume or the PSF no PSF, if both roi and labels are given, or a label without labels.
        VolumeError
            If the image is constant.
        MeshError
            If no body moves this kind of mesh.
        FitError
            If the PSF is wider than the image.
        """
        if not isinstance(self.volume, Volume):
            remedy = "Read a file with cytoform.read_volume(path), or pass cytoform.Volume(array, spacing)."
            raise wrong_type("volume", self.volume, "a Volume", remedy)
        if self.psf is not None and not hasattr(self.psf, "otf_on"):
            remedy = "For a Gaussian: cytoform.GaussianPSF.from_sigma((0.6, 0.25, 0.25)), in µm."
            raise wrong_type("psf", self.psf, "a PSF", remedy)
        if self.roi is not None and self.labels is not None:
            raise ConfigError("roi and labels were given together; expected one of them.", remedy="Omit one of them.")
        if self.label is not None and self.labels is None:
            raise ConfigError(
                f"label={self.label} was given without labels.", remedy="Pass the label image as labels=."
            )
        if np.min(self.volume.data) == np.max(self.volume.data):
            raise VolumeError(
                f"every voxel of the image is {np.min(self.volume.data):g}; expected an image with a stained cell.",
                remedy="Is it the right channel or time point?",
            )
        if self.mesh is not None:
            body_class_of(self.mesh)
        if self.psf is not None:
            check_psf_size(self.psf, self.volume)

    @functools.cached_property
    def region(self) -> Bools | None:
        """Given region of interest, (z, y, x) bool; None if none was given.

        Raises
        ------
        FitError
            If its shape is not the image's, or it is empty.
        """
        if self.roi is None:
            return None
        region: Bools = _voxel_array(self.roi) != 0
        check_region(region, self.volume)
        return region

    @functools.cached_property
    def label_image(self) -> Array | None:
        """Given label image, (z, y, x); None if none was given."""
        return None if self.labels is None else _voxel_array(self.labels)

    def remarks(self) -> list[str]:
        """Return warnings about the image, the region and the labels, a sentence each."""
        return [
            *image_warnings(self.volume),
            *_input_image_remarks(self.roi, self.volume, "region"),
            *_input_image_remarks(self.labels, self.volume, "label image"),
        ]

    def description(self) -> dict[str, Any]:
        """Return the inputs as plain values for ``fit.json``: kind, source and SHA-256 of image, start, region and PSF.

        Values of the user's `inputs` are merged into them by name.
        """
        description: dict[str, Any] = {
            "image": {"name": self.volume.name, **self.volume.source},
            "start": {"kind": "found in the image" if self.labels is None else "from the label"},
            "region": {"kind": "found in the image"},
            "psf": {"kind": "guessed from the voxel size" if self.psf is None else "given"},
        }
        if self.mesh is not None:
            description["start"] = {"kind": "mesh", "sha256": _mesh_digest(self.mesh)}
        for kind, values in (("voxels", self.roi), ("label", self.labels)):
            if values is not None:
                source = dict(values.source) if isinstance(values, Volume) else {}
                description["region"] = {"kind": kind, **source, "sha256": array_digest(_voxel_array(values))}
        if self.label is not None:
            description["region"]["label"] = int(self.label)
        description = json_value(description, "inputs")
        for name, value in (self.inputs or {}).items():
            description[name] = {**description.get(name, {}), **value} if isinstance(value, Mapping) else value
        return description

    def digests(self) -> dict[str, str]:
        """Return SHA-256 digests of start, PSF, region and labels by name, to be compared on a resume.

        An input that was not given is left out; a prior, which is code, is recorded by its qualified name.
        """
        marks = {}
        if self.mesh is not None:
            marks["start"] = _mesh_digest(self.mesh)
        if self.psf is not None:
            words = json.dumps(self.psf.describe(), sort_keys=True).encode()
            marks["PSF"] = array_digest(np.frombuffer(words, dtype=np.uint8))
        if self.roi is not None:
            marks["region of interest"] = array_digest(_voxel_array(self.roi) != 0)
        if self.label_image is not None:
            marks["label"] = array_digest(self.label_image, np.asarray(-1 if self.label is None else self.label))
        if self.prior is not None:
            inner = self.prior.func if isinstance(self.prior, functools.partial) else self.prior
            marks["prior"] = getattr(inner, "__qualname__", type(inner).__qualname__)
        return marks


def is_searched(description: Mapping[str, Any]) -> bool:
    """Tell whether neither start nor region nor label was given, so that the fit searched the image for a cell.

    Parameters
    ----------
    description : mapping
        The inputs, as :meth:`Request.description` returns them.

    Returns
    -------
    bool
    """
    searched = "found in the image"
    return all(description.get(name, {}).get("kind", searched) == searched for name in ("start", "region"))


def _voxel_array(values: Voxels) -> Array:
    """Return the values of an array or a Volume as an array."""
    return np.asarray(values.data if isinstance(values, Volume) else values)


def _mesh_digest(mesh: Mesh) -> str:
    """Return the SHA-256 digest of a mesh's arrays."""
    return array_digest(*mesh.arrays().values())


def _input_image_remarks(values: Voxels | None, volume: Volume, what: str) -> tuple[str, ...]:
    """Return the remarks of a region or label image (`what`), and a warning if its voxel size is not that of `volume`.

    Empty if `values` is None or an array.
    """
    if not isinstance(values, Volume):
        return ()
    if np.allclose(values.spacing, volume.spacing, rtol=0.01):
        return values.remarks
    sizes = [" × ".join(f"{d:g}" for d in v.spacing) for v in (values, volume)]
    return (*values.remarks, f"The {what} has voxels of {sizes[0]} µm, the image of {sizes[1]} µm (z, y, x): voxel by "
            "voxel they are taken as the same.")  # fmt: skip

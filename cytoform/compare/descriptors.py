"""Descriptors of shapes, such as volume and sphericity: fits, simulated and generated shapes all get the same ones.

A new descriptor is an object, added by :func:`register`, or by an entry point ``cytoform.descriptors`` of another
package. Tables, tests, figures and pages then include it.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from typing import cast

import numpy as np

from .. import metrics
from ..errors import ConfigError, MeshError
from ..mesh.protocol import Mesh
from ..mesh.surface import SurfaceMesh
from ..registry import Registry

__all__ = ["DESCRIPTORS", "Descriptor", "describe", "known_descriptors", "register"]

_LOG = logging.getLogger(__name__)

_ASCII = str.maketrans({"µ": "u", "²": "2", "³": "3", "⁻": "-", "¹": "1"})


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A number that describes a closed surface: a function of the surface, with a name, a unit and an explanation.

    Parameters
    ----------
    name : str
        Name in tables, such as "area"; letters, digits and _ only.
    title : str
        Name in figures and on pages, such as "surface area".
    unit : str
        Unit where lengths are in µm: "µm", "µm²", "µm³", ...; "" for a number without one. Where lengths are in voxels,
        "µm" in it stands for the voxel.
    of : function of SurfaceMesh
        Computes the number from a closed surface, wound outwards, with lengths in µm (or voxels). A MeshError,
        ValueError or ZeroDivisionError means "not defined" and gives NaN. Any other error, and a result that is not a
        number, also gives NaN, with a warning in the log.
    note : str
        A sentence for the reader of a table; "" for none.
    aside : str
        Heading of the folded table that shows the descriptor; "" for the figures, the summary and the main table.

    Raises
    ------
    ConfigError
        When the name holds other characters than letters, digits and _.
    """

    name: str
    title: str
    unit: str
    of: Callable[[SurfaceMesh], float]
    note: str = ""
    aside: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the name consists of letters, digits and _ and does not begin with a digit."""
        if not self.name.isidentifier():
            raise ConfigError(f"name is {self.name!r}; expected letters, digits and _, as it names a table's column.")

    def unit_in(self, length: str = "µm") -> str:
        """Return the descriptor's unit for a unit of length.

        Parameters
        ----------
        length : str
            "µm" or "voxels".

        Returns
        -------
        str
            Such as "µm³" or "voxel³"; "" for a number without a unit.
        """
        return self.unit.replace("µm", length if length == "µm" else length.removesuffix("s"))

    def label(self, length: str = "µm", between: str = ", {}") -> str:
        """Return title and unit as text, such as "volume, µm³"; the title alone for a number without a unit.

        Parameters
        ----------
        length : str
            Unit of length, "µm" or "voxels".
        between : str
            Format of the unit behind the title, with ``{}`` for the unit.

        Returns
        -------
        str
            The label of an axis or a row.
        """
        unit = self.unit_in(length)
        return self.title + (between.format(unit) if unit else "")

    def column(self, length: str = "µm") -> str:
        """Return the name of the descriptor's column in a table: name and unit in ASCII, such as ``volume_um3``.

        Parameters
        ----------
        length : str
            Unit of length, "µm" or "voxels".

        Returns
        -------
        str
            The name alone for a number without a unit.
        """
        unit = self.unit_in(length).translate(_ASCII)
        return f"{self.name}_{unit}" if unit else self.name

    def __call__(self, mesh: SurfaceMesh) -> float:
        """Compute the number for a closed surface.

        Parameters
        ----------
        mesh : SurfaceMesh
            µm (or voxels), (z, y, x), faces counter-clockwise seen from outside.

        Returns
        -------
        float
            NaN where it is not defined or the function fails; see `of`.
        """
        try:
            return float(self.of(mesh))
        except (MeshError, ValueError, ZeroDivisionError):
            return math.nan
        except Exception as error:  # user code may raise anything; the other descriptors are still computed
            _warn_once(self, error)
            return math.nan


_WARNED: set[tuple[str, int, str]] = set()


def _warn_once(descriptor: Descriptor, error: Exception) -> None:
    """Log that a descriptor raised an unexpected error, once for each descriptor and class of error."""
    # Once only, since a movie has many frames.
    key = descriptor.name, id(descriptor.of), type(error).__name__
    if key not in _WARNED:
        _WARNED.add(key)
        _LOG.warning(
            "the descriptor %r raises %r; expected a number, or a ValueError where it is not defined. It is NaN.",
            descriptor.name, error,
        )  # fmt: skip


_MODULE = "compare.descriptors:"
DESCRIPTORS: Registry[Descriptor] = Registry(
    "descriptor",
    "cytoform.descriptors",
    {
        "volume": f"{_MODULE}_VOLUME",
        "area": f"{_MODULE}_AREA",
        "sphericity": f"{_MODULE}_SPHERICITY",
        "sphericity_miccai2022": f"{_MODULE}_SPHERICITY_2022",
        "sphericity_media2024": f"{_MODULE}_SPHERICITY_2024",
    },
)


def register(descriptor: Descriptor) -> Descriptor:
    """Add a descriptor to those that every comparison measures, in this process.

    Parameters
    ----------
    descriptor : Descriptor
        The new descriptor.

    Returns
    -------
    Descriptor
        The same object.

    Raises
    ------
    ConfigError
        When another descriptor has its name, or it is no :class:`Descriptor`.
    """
    if not isinstance(descriptor, Descriptor):
        raise ConfigError(
            f"the descriptor is of type {type(descriptor).__name__}; expected Descriptor.",
            remedy="Make one: Descriptor(name, title, unit, function).",
        )
    DESCRIPTORS.add(descriptor)
    return descriptor


def known_descriptors() -> dict[str, Descriptor]:
    """Return all registered descriptors by name, built-in ones first.

    Descriptors of other packages that cannot be loaded are left out, with a warning each in the log.
    """
    return DESCRIPTORS.usable(Descriptor)


def describe(mesh: Mesh) -> dict[str, float]:
    """Compute all registered descriptors of one closed surface.

    Parameters
    ----------
    mesh : SurfaceMesh
        µm, (z, y, x), faces counter-clockwise seen from outside: of a fit, a simulation or a generated shape. Of a
        cluster describe each region: ``describe(surface) for surface in mesh.regions().values()``.

    Returns
    -------
    dict of str to float
        Name and value, NaN where it is not defined; all NaN where the surface encloses no volume.

    Raises
    ------
    MeshError
        When the mesh has several regions.
    """
    surface = _single_surface(mesh)
    if not (_volume(surface) > 0 and surface.area > 0):
        return undefined_values()
    return {name: descriptor(surface) for name, descriptor in known_descriptors().items()}


def _single_surface(mesh: Mesh) -> SurfaceMesh:
    """Return the closed surface of a mesh's only region; raise MeshError if it has none or several."""
    regions = mesh.regions()
    if len(regions) != 1:
        raise MeshError(
            f"the mesh has {len(regions)} regions, {', '.join(map(str, regions))}; expected one closed surface.",
            remedy="Describe each of them: [describe(surface) for surface in mesh.regions().values()].",
        )
    [surface] = regions.values()
    return cast("SurfaceMesh", surface)  # the regions of every mesh class are SurfaceMesh objects


def undefined_values() -> dict[str, float]:
    """Return NaN for every registered descriptor, by name: the values of a missing shape."""
    return dict.fromkeys(known_descriptors(), math.nan)


def _volume(mesh: SurfaceMesh) -> float:
    """Return the volume that a surface encloses, µm³: the sum of tetrahedra from the vertices' mean to the faces.

    Positive where faces are counter-clockwise seen from outside. The mean as common corner matters only for a surface
    with small holes, whose volume depends on that corner.
    """
    mesh = mesh.without_unused_vertices()
    corners = (mesh.vertices - mesh.vertices.mean(axis=0))[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return -float(np.einsum("ni,ni->", corners[:, 0], across)) / 6.0


_PAPERS = "Sphericity as the two papers define it"

_VOLUME = Descriptor("volume", "volume", "µm³", _volume)
_AREA = Descriptor("area", "surface area", "µm²", lambda mesh: mesh.area)
_SPHERICITY = Descriptor(
    "sphericity", "sphericity (Wadell)", "", lambda mesh: metrics.sphericity(_volume(mesh), mesh.area),
    "Sphericity is Wadell's, 1 for a sphere.",
)  # fmt: skip
_SPHERICITY_2022 = Descriptor(
    "sphericity_miccai2022", "sphericity (2022 paper)", "",
    lambda mesh: metrics.sphericity_miccai2022(_volume(mesh), mesh.area),
    "2022: A^1.5 / (6 √π V), 1 for a sphere and more for all other shapes, a power of Wadell's.", _PAPERS,
)  # fmt: skip
_SPHERICITY_2024 = Descriptor(
    "sphericity_media2024", "sphericity (2024 paper)", "",
    lambda mesh: metrics.sphericity_media2024(_volume(mesh), mesh.area),
    "2024: 36 π V² / A³, 1 for a sphere and less for all other shapes, a power of Wadell's.", _PAPERS,
)  # fmt: skip

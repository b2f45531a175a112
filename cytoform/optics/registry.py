"""The kinds of point spread functions: by name, from a description in a file, and from options.

A new kind is a class that follows the protocol :class:`~cytoform.optics.psf.PSF`, with ``@register`` above it::

    @register
    @dataclasses.dataclass(frozen=True, eq=False)
    class RoundPSF(NumericPSF):
        width: float = option(metavar="µm", help="σ of the PSF along all axes.")
        kind = "round"

Then ``--psf round --width 0.2`` chooses it on the command line, and checkpoints and results read it back. A package of
its own names its module under the entry points ``cytoform.psfs``, and is found where it is installed::

    [project.entry-points."cytoform.psfs"]
    round = "mypackage.round"
"""

from __future__ import annotations

import functools
import importlib.metadata
import keyword
import logging
from collections.abc import Collection, Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ConfigError
from ..options import NEEDED, Setting, reserved, settings_of

if TYPE_CHECKING:
    from .psf import PSF

__all__ = [
    "FILE",
    "named_kinds",
    "psf_from_description",
    "psf_from_options",
    "register",
    "settings_of_kind",
    "unusable",
]

_LOG = logging.getLogger(__name__)
GROUP = "cytoform.psfs"
FILE = "measured"  # the kind that is read from an image
_KINDS: dict[str, Any] = {}
_INSTALLING: ContextVar[bool] = ContextVar("installing", default=False)  # while modules of other packages are imported
Class = TypeVar("Class", bound=type)


def register(psf_class: Class) -> Class:
    """Make a class of PSFs known by its ``kind``; for use as a decorator.

    Parameters
    ----------
    psf_class : type
        The class. It follows the protocol PSF and has

        kind : str
            Its name.
        from_description(description) : classmethod
            The PSF that ``describe()`` described.
        settings() : classmethod, optional
            Its options, a tuple of :class:`~cytoform.options.Setting`. By default the fields of the dataclass that are
            declared with :func:`~cytoform.options.option`.
        from_options(given, spacing) : classmethod, optional
            The PSF from the options that were given, by field, and the image's voxel size in µm where one is known;
            None where the PSF is left to be guessed. By default ``psf_class(**given)``.
        by_name : bool, optional
            False keeps it from being chosen by its name.

    Returns
    -------
    type
        `psf_class`, unchanged.

    Raises
    ------
    ConfigError
        When another class has the same kind, or an option of the class cannot be offered: another kind uses its name
        for another type, or the command line (as far as its modules are imported) uses it for something else. A class
        of an installed package is registered in the latter case, and left out of the command line with a warning.
    """
    kind: str = psf_class.kind  # type: ignore[attr-defined]  # a class of the protocol PSF, which a TypeVar cannot say
    known = _KINDS.get(kind)
    if known is not None and known.__qualname__ != psf_class.__qualname__:
        raise ConfigError(f"the PSFs {known.__qualname__} and {psf_class.__qualname__} are both of kind {kind!r}.")
    if problem := _option_conflict(psf_class):
        raise ConfigError(
            f"{psf_class.__qualname__} has an option {problem}.", remedy="Name it otherwise, option(name=…)."
        )
    _KINDS[kind] = psf_class
    return psf_class


def _option_conflict(cls: Any) -> str:
    """Return what is wrong with the name of an option of a class, as the end of a sentence; "" where nothing is.

    A name is wrong where another kind uses it for an option of another name or type, or where the command line cannot
    take it (:func:`unusable`). The second is not checked while modules of installed packages are imported.
    """
    taken = {n: s for kind in _KINDS if kind != cls.kind for s in settings_of_kind(kind) for n in s.names}
    settings = _settings_of_class(cls)
    for setting in settings:
        for other in (taken[name] for name in setting.names if name in taken):
            if (other.flag, other.kind) != (setting.flag, setting.kind):
                how = "of another type than" if other.flag == setting.flag else f"too near to {other.flag}, which"
                return f"{setting.flag} {how} another kind of PSF has"
    if not _INSTALLING.get() and (refused := unusable(settings, reserved())):
        return (
            f"{refused}, which the command line cannot take: it has one of that name or letter for something else, or "
            "Python takes no such name"
        )
    return ""


def unusable(settings: Iterable[Setting], taken: Collection[str]) -> str:
    """Return the first option whose name is taken or is no identifier in Python; "" where there is none.

    Parameters
    ----------
    settings : iterable of Setting
        Options of one kind, in the order in which they are checked.
    taken : collection of str
        Names that are taken, as :attr:`Setting.names` gives them. Names of earlier options count as taken, too.

    Returns
    -------
    str
        The option's name on the command line, such as "--psf-sigma", or "".
    """
    seen = set(taken)
    for setting in settings:
        if seen & set(setting.names) or not setting.key.isidentifier() or keyword.iskeyword(setting.key):
            return setting.flag
        seen |= set(setting.names)
    return ""


@functools.cache
def _load_installed() -> None:
    """Import the modules under the entry points ``cytoform.psfs``, once; warn of one that cannot be imported."""
    mark = _INSTALLING.set(True)
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            _LOG.warning("the PSF %s of another package cannot be loaded: %s", point.name, error)
    _INSTALLING.reset(mark)


def named_kinds() -> tuple[str, ...]:
    """Return the kinds that may be chosen by name, sorted, those of installed packages included."""
    _load_installed()
    return tuple(sorted(kind for kind, cls in _KINDS.items() if getattr(cls, "by_name", True)))


def settings_of_kind(kind: str) -> tuple[Setting, ...]:
    """Return the options of a kind, those without a default first."""
    return tuple(sorted(_settings_of_class(_KINDS[kind]), key=lambda setting: setting.default is not NEEDED))


def _settings_of_class(cls: Any) -> tuple[Setting, ...]:
    """Return the options of a class of PSFs: from its method ``settings`` where it has one, else from its fields."""
    make = getattr(cls, "settings", functools.partial(settings_of, cls))
    return tuple(make())


def psf_from_options(kind: str, given: Mapping[str, Any], spacing: tuple[float, float, float] | None) -> PSF | None:
    """Make a PSF of a kind from the options that were given.

    Parameters
    ----------
    kind : str
        A registered kind.
    given : mapping
        Options by the field that they set.
    spacing : (3,) float, optional
        The image's voxel size, µm, (z, y, x); None where it is not known.

    Returns
    -------
    PSF or None
        None where the options leave the PSF to be guessed.
    """
    cls = _KINDS[kind]
    made: PSF | None = cls.from_options(given, spacing) if hasattr(cls, "from_options") else cls(**given)
    return made


def psf_from_description(description: Mapping[str, Any]) -> PSF:
    """Restore the PSF that ``psf.describe()`` described.

    Parameters
    ----------
    description : mapping
        Plain values, as read from a JSON file; its "kind" chooses the class.

    Returns
    -------
    PSF
        The PSF.

    Raises
    ------
    ConfigError
        For a kind that is not known.
    """
    kind = description.get("kind")
    if kind not in _KINDS:
        _load_installed()
    if kind not in _KINDS:
        raise ConfigError(
            f"the PSF is of kind {kind!r}; expected one of {', '.join(sorted(_KINDS))}.",
            remedy="Import the module that registers it, if it is one of your own.",
        )
    psf: PSF = _KINDS[kind].from_description(description)
    return psf

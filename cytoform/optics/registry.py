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


def register(cls: Class) -> Class:
    """Make a class of PSFs known by its ``kind``; for use as a decorator.

    Parameters
    ----------
    cls : type
        It follows the protocol PSF and has

        kind : str
            Its name.
        from_description(description) : classmethod
            The PSF that ``describe()`` described.
        settings() : classmethod, optional
            Its options, a tuple of :class:`~cytoform.options.Setting`. By default the fields of the dataclass that are
            declared with :func:`~cytoform.options.option`.
        from_options(given, spacing) : classmethod, optional
            The PSF from the options that were given, by field, and the image's voxel size in µm where one is known;
            None where the PSF is left to be guessed. By default ``cls(**given)``.
        by_name : bool, optional
            False keeps it from being chosen by its name.

    Raises
    ------
    ConfigError
        When another class has the same kind, another kind an option of the same name and another type, or the command
        line an option of that name for something else, as far as its modules are imported. A kind of an installed
        package that has one is kept, and left out of the command line with a warning.
    """
    known = _KINDS.get(cls.kind)
    if known is not None and known.__qualname__ != cls.__qualname__:
        raise ConfigError(f"the PSFs {known.__qualname__} and {cls.__qualname__} are both of kind {cls.kind!r}.")
    if problem := _problem(cls):
        raise ConfigError(f"{cls.__qualname__} has an option {problem}.", remedy="Name it otherwise, option(name=…).")
    _KINDS[cls.kind] = cls
    return cls


def _problem(cls: Any) -> str:
    """What is wrong with the name of an option of a class; "" where nothing is."""
    taken = {n: s for kind in _KINDS if kind != cls.kind for s in settings_of_kind(kind) for n in s.names}
    own = _settings(cls)
    for setting in own:
        for other in (taken[name] for name in setting.names if name in taken):
            if (other.flag, other.kind) != (setting.flag, setting.kind):
                how = "of another type than" if other.flag == setting.flag else f"too near to {other.flag}, which"
                return f"{setting.flag} {how} another kind of PSF has"
    if not _INSTALLING.get() and (stray := unusable(own, reserved())):
        return (
            f"{stray}, which the command line cannot take: it has one of that name or letter for something else, or "
            "Python takes no such name"
        )
    return ""


def unusable(settings: Iterable[Setting], taken: Collection[str]) -> str:
    """The first option whose name or letter is taken, or that cannot be an argument in Python; "" where there is none.

    Parameters
    ----------
    settings : iterable of Setting
        Those of one kind.
    taken : collection of str
        Names as :attr:`Setting.names` gives them.
    """
    seen = set(taken)
    for setting in settings:
        if seen & set(setting.names) or not setting.key.isidentifier() or keyword.iskeyword(setting.key):
            return setting.flag
        seen |= set(setting.names)
    return ""


@functools.cache
def _load_installed() -> None:
    """Import the modules that other packages name; one that cannot be imported is told of and left out."""
    mark = _INSTALLING.set(True)
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            _LOG.warning("the PSF %s of another package cannot be loaded: %s", point.name, error)
    _INSTALLING.reset(mark)


def named_kinds() -> tuple[str, ...]:
    """Kinds that are chosen by their names."""
    _load_installed()
    return tuple(sorted(kind for kind, cls in _KINDS.items() if getattr(cls, "by_name", True)))


def settings_of_kind(kind: str) -> tuple[Setting, ...]:
    """The options of a kind, needed ones first."""
    return tuple(sorted(_settings(_KINDS[kind]), key=lambda setting: setting.default is not NEEDED))


def _settings(cls: Any) -> tuple[Setting, ...]:
    make = getattr(cls, "settings", functools.partial(settings_of, cls))
    return tuple(make())


def psf_from_options(kind: str, given: Mapping[str, Any], spacing: tuple[float, float, float] | None) -> PSF | None:
    """The PSF of a kind from options that were given, by field; None where it is left to be guessed.

    Parameters
    ----------
    kind : str
    given : mapping
    spacing : (3,) float, optional
        The image's voxel size, µm, (z, y, x).
    """
    cls = _KINDS[kind]
    return cls.from_options(given, spacing) if hasattr(cls, "from_options") else cls(**given)


def psf_from_description(description: Mapping[str, Any]) -> PSF:
    """The PSF that ``psf.describe()`` described, from a file of plain values.

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
    return _KINDS[kind].from_description(description)

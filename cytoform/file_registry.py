"""Keep registries of file formats: those that cytoform reads itself, and those that users and other packages add.

A format is added in Python (:meth:`FileRegistry.register`), or by a package that is installed beside cytoform, through
an entry point. An entry point that is named for a suffix (".toy") is imported only for files with this suffix; one of
any other name is imported for files that no other format claims.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from .errors import BackendError, ConfigError

__all__ = ["FileRegistry", "Kind", "suffix_of"]

_LOG = logging.getLogger(__name__)


class Kind(Protocol):
    """Protocol of a file format in a registry: its name, its suffixes, and a test of a path."""

    @property
    def name(self) -> str:
        """Name of a file of this format with an article, such as "a TIFF file"."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All endings of its files' names in small letters with the dot, such as (".ome.tif", ".tif")."""

    def claims(self, path: Path) -> bool:
        """Tell whether an existing file or folder is of this format."""


K = TypeVar("K", bound=Kind)


class FileRegistry(Generic[K]):
    """An ordered list of file formats that finds the format of a file.

    Formats are tried in this order: those that were registered in Python, the last one first; entry points named for
    the file's suffix; the built-in ones; all other entry points.

    Parameters
    ----------
    kind : type
        Class of all formats of the registry.
    group : str
        Group of entry points under which other packages declare formats, such as "cytoform.image_formats".
    built_in : iterable of kind
        The formats that cytoform reads itself.
    """

    def __init__(self, kind: type[K], group: str, built_in: Iterable[K]) -> None:
        """Make a registry of the built-in formats; the parameters are those of the class."""
        self._kind, self._group = kind, group
        self._built_in = tuple(built_in)
        self._added: list[K] = []

    def register(self, kind: K) -> None:
        """Add a file format: every function and command that takes such files reads it from then on.

        It is tried before the built-in ones. It holds for this process; processes that are started later find only
        built-in formats and entry points.

        Parameters
        ----------
        kind : Kind
            An instance of the registry's class: an :class:`~cytoform.image.formats.source.ImageFormat` for images, a
            :class:`~cytoform.mesh.formats.parts.MeshFormat` for meshes.

        Raises
        ------
        ConfigError
            When it is of another class, or a suffix has no dot or is not in small letters.
        """
        self._added.insert(0, self._check(kind, "the registered object"))

    def unregister(self, kind: K) -> None:
        """Remove a format that was registered in Python; nothing happens where it is not registered.

        Parameters
        ----------
        kind : Kind
            The format, the same object that was registered.
        """
        self._added = [added for added in self._added if added is not kind]

    def find(self, path: Path) -> K | None:
        """Return the format of an existing file or folder: the first one that claims it, or None.

        Raises
        ------
        BackendError
            When the entry point named for the file's suffix cannot be imported.
        """
        return next(self.claiming(path), None)

    def claiming(self, path: Path) -> Iterator[K]:
        """Yield all formats that claim an existing file or folder, in the order of the registry.

        A registered format that raises an exception does not claim the file, and a warning is logged; exceptions of
        built-in formats are passed on. BackendError is raised when the entry point named for the file's suffix cannot
        be imported.
        """
        return (kind for kind in self._candidates(path.name.lower()) if self._claims(kind, path))

    def suffixes(self) -> tuple[str, ...]:
        """Return all suffixes of registered formats and entry points, each once; no entry point is imported."""
        registered = [s for kind in (*self._built_in, *self._added) for s in kind.suffixes]
        return tuple(dict.fromkeys([*registered, *(p.name for p in self._entry_points() if p.name.startswith("."))]))

    def file_suffixes(self) -> tuple[str, ...]:
        """Return the last parts of all suffixes, such as ".tif" of ".ome.tif", each once."""
        return tuple(dict.fromkeys(Path(f"a{suffix}").suffix for suffix in self.suffixes()))

    def names(self) -> str:
        """Return the names of all formats but entry points as text, such as "a TIFF file or an OME-Zarr folder"."""
        *most, last = dict.fromkeys(kind.name for kind in (*self._built_in, *self._added))
        return f"{', '.join(most)} or {last}" if most else last

    def _claims(self, kind: K, path: Path) -> bool:
        """Tell whether a format claims a path.

        An exception of a format that is not built in counts as no, and a warning is logged.
        """
        try:
            return bool(kind.claims(path))
        except Exception as error:  # other packages raise exceptions of any type
            if any(kind is built_in for built_in in self._built_in):
                raise  # its error states what is wrong with the file
            _LOG.warning(
                "%s: the reader of %s fails when it checks whether the file is one (%r); it is skipped. "
                "This is a mistake of that reader; tell its author.", path, kind.name, error,
            )  # fmt: skip
            return False

    def _candidates(self, name: str) -> Iterator[K]:
        """Yield the formats in the order in which they are tried for a file with the name `name`, in small letters.

        Entry points are imported when their turn comes. One that fails is skipped with a warning, unless it is named
        for the file's suffix; then BackendError or ConfigError is raised.
        """
        yield from list(self._added)
        points = self._entry_points()
        for point in points:
            if point.name.startswith(".") and name.endswith(point.name):
                yield self._load(point)
        yield from self._built_in
        for point in points:
            if not point.name.startswith("."):
                try:
                    yield self._load(point)
                except (BackendError, ConfigError) as error:
                    _LOG.warning("%s", error)

    def _entry_points(self) -> tuple[metadata.EntryPoint, ...]:
        """Return the entry points of the registry's group."""
        return _find_entry_points(self._group, tuple(sys.path))

    def _load(self, point: metadata.EntryPoint) -> K:
        """Import the format of an entry point.

        BackendError is raised where that fails, ConfigError where it is no valid format.
        """
        package = point.dist.name if point.dist is not None else point.module
        try:
            kind = point.load()
        except Exception as error:  # importing other packages raises exceptions of any type
            raise BackendError(
                f"{point.value} of the package {package}, which says that it reads {point.name} files, cannot be "
                f"loaded: {error or type(error).__name__}.",
                remedy=f"Update the package, or remove it: pip uninstall {package}.",
            ) from error
        return self._check(kind, f"{point.value} of the package {package}")

    def _check(self, kind: K, what: str) -> K:
        """Return a format; raise ConfigError, with its name `what`, unless its class and suffixes are valid."""
        if not isinstance(kind, self._kind):
            raise ConfigError(
                f"{what} is of type {type(kind).__name__}; expected {self._kind.__name__}.",
                remedy=f"See the documentation of {self._kind.__module__}.{self._kind.__name__}.",
            )
        wrong = [s for s in kind.suffixes if not s.startswith(".") or s != s.lower()]
        if wrong:
            raise ConfigError(f"{what} has the suffix {wrong[0]!r}; expected small letters after a dot, as in '.tif'.")
        return kind


@functools.lru_cache(maxsize=32)
def _find_entry_points(group: str, path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """Return the entry points of a group.

    The search of all installed packages takes long; its result is kept for each search path (``sys.path``).
    """
    return tuple(metadata.entry_points(group=group))


def suffix_of(path: Path, suffixes: Iterable[str]) -> str:
    """Return the longest of some suffixes with which a file's name ends, in small letters, or "" where none fits.

    The name must be longer than the suffix.
    """
    name = path.name.lower()
    return max((s for s in suffixes if name.endswith(s) and len(name) > len(s)), key=len, default="")

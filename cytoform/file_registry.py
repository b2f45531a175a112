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
    """What a registry asks of a kind of file."""

    @property
    def name(self) -> str:
        """What a file of this kind is, with an article, such as "a TIFF file"."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Ends of its files' names in small letters with the dot, such as (".ome.tif", ".tif")."""

    def claims(self, path: Path) -> bool:
        """Whether a file or a folder that exists is of this kind."""


K = TypeVar("K", bound=Kind)


class FileRegistry(Generic[K]):
    """Kinds of files, asked one after another whether a file is theirs.

    The order is: kinds that were registered in Python, the last one first; entry points named for the file's suffix;
    what is built in; all other entry points.

    Parameters
    ----------
    kind : type
        Of what type every kind has to be.
    group : str
        The group of entry points.
    built_in : iterable of kind
    """

    def __init__(self, kind: type[K], group: str, built_in: Iterable[K]) -> None:
        self._kind, self._group = kind, group
        self._built_in = tuple(built_in)
        self._added: list[K] = []

    def register(self, kind: K) -> None:
        """Add a kind of file: every function and command that takes such files takes it from then on.

        It is asked before what is built in. It holds for this process; processes that are started later find only what
        is built in and entry points.

        Parameters
        ----------
        kind : Kind
            Of the registry's type: an :class:`~cytoform.image.formats.source.ImageFormat` for images, a
            :class:`~cytoform.mesh.formats.parts.MeshFormat` for meshes.

        Raises
        ------
        ConfigError
            When it is of another type, or a suffix has no dot or is not in small letters.
        """
        self._added.insert(0, self._check(kind, "what is registered"))

    def unregister(self, kind: K) -> None:
        """Take a kind out again that was registered in Python; nothing happens where it is not there."""
        self._added = [added for added in self._added if added is not kind]

    def find(self, path: Path) -> K | None:
        """The kind that a file or a folder is of; None where nothing claims it.

        Raises
        ------
        BackendError
            When the entry point named for the file's suffix cannot be imported.
        """
        return next(self.claiming(path), None)

    def claiming(self, path: Path) -> Iterator[K]:
        """All kinds that a file or a folder may be of, in the order in which they are asked; errors as in find.

        A kind that was added and raises an error when it is asked does not claim the file; a warning is logged.
        """
        return (kind for kind in self._candidates(path.name.lower()) if self._claims(kind, path))

    def suffixes(self) -> tuple[str, ...]:
        """All suffixes, each once; nothing is imported for it."""
        registered = [s for kind in (*self._built_in, *self._added) for s in kind.suffixes]
        return tuple(dict.fromkeys([*registered, *(p.name for p in self._entry_points() if p.name.startswith("."))]))

    def file_suffixes(self) -> tuple[str, ...]:
        """Last parts of all suffixes, such as ".tif" of ".ome.tif", each once."""
        return tuple(dict.fromkeys(Path(f"a{suffix}").suffix for suffix in self.suffixes()))

    def names(self) -> str:
        """What files may be, in words."""
        *most, last = dict.fromkeys(kind.name for kind in (*self._built_in, *self._added))
        return f"{', '.join(most)} or {last}" if most else last

    def _claims(self, kind: K, path: Path) -> bool:
        try:
            return bool(kind.claims(path))
        except Exception as error:  # whatever another package raises
            if any(kind is built_in for built_in in self._built_in):
                raise  # its error states what is wrong with the file
            _LOG.warning(
                "%s: the reader of %s fails when it checks whether the file is one (%r); it is skipped. "
                "This is a mistake of that reader; tell its author.", path, kind.name, error,
            )  # fmt: skip
            return False

    def _candidates(self, name: str) -> Iterator[K]:
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
        return _find_entry_points(self._group, tuple(sys.path))

    def _load(self, point: metadata.EntryPoint) -> K:
        package = point.dist.name if point.dist is not None else point.module
        try:
            kind = point.load()
        except Exception as error:  # whatever importing another package raises
            raise BackendError(
                f"{point.value} of the package {package}, which says that it reads {point.name} files, cannot be "
                f"loaded: {error or type(error).__name__}.",
                remedy=f"Update the package, or remove it: pip uninstall {package}.",
            ) from error
        return self._check(kind, f"{point.value} of the package {package}")

    def _check(self, kind: K, what: str) -> K:
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
    return tuple(metadata.entry_points(group=group))


def suffix_of(path: Path, suffixes: Iterable[str]) -> str:
    """The longest of some suffixes that a file's name ends with, in small letters; "" where there is none."""
    name = path.name.lower()
    return max((s for s in suffixes if name.endswith(s) and len(name) > len(s)), key=len, default="")

"""Public names of a package that are loaded when they are first used."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["load_on_first_use"]


def load_on_first_use(package: str, home: Mapping[str, str], remedies: Mapping[str, str] | None = None) -> None:
    """Let ``package`` find each public name in the module that ``home`` tells, when it is first asked for.

    A public name comes before a submodule of the same name: ``cytoform.render`` is a function that lives in a submodule
    called ``render``, and importing that one would put the module in the function's place.

    Parameters
    ----------
    package : str
        Full name of a package that is being imported.
    home : mapping of name to module
        Modules are told relative to ``cytoform``.
    remedies : mapping of library to text, optional
        What to do where one of these libraries is missing. Then a BackendError is raised.
    """
    missing = dict(remedies or {})

    class Package(types.ModuleType):
        """A package whose public names are loaded when they are first used."""

        def __getattr__(self, name: str) -> Any:
            if name not in home:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            try:
                value = getattr(importlib.import_module(f"cytoform.{home[name]}"), name)
            except ModuleNotFoundError as error:
                if error.name not in missing:
                    raise
                from .errors import BackendError

                text = f"{package}.{name} needs {error.name}, which is not installed."
                raise BackendError(text, remedy=missing[error.name]) from error
            super().__setattr__(name, value)
            return value

        def __setattr__(self, name: str, value: Any) -> None:
            if not (name in home and isinstance(value, types.ModuleType)):
                super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return sorted({*vars(self), *home})

    sys.modules[package].__class__ = Package

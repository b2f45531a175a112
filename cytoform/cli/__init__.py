"""The command line: ``cytoform demo | fit | render | info``. Heavy rooms load when a command needs them."""

from .program import app, main

__all__ = ["app", "main"]

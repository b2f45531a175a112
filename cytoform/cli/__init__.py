"""The command line: ``cytoform demo | fit | render | info``. Heavy rooms are imported by the commands that need them."""

from .app import app, main

__all__ = ["app", "main"]

"""The command line, ``cytoform demo | fit | render | info | neural``. Slow libraries load with a command."""

from .program import app, main

__all__ = ["app", "main"]

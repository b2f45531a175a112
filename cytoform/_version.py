"""The version of cytoform: the one place that states it."""

__version__ = "0.1.0"

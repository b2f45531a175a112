"""Fitting a surface and the optics to an image; public names are loaded when they are first used."""

from __future__ import annotations

from ..lazy import load_on_first_use

_HOME = {
    "Body": "fitting.bodies",
    "Callback": "fitting.callbacks",
    "Film": "fitting.callbacks",
    "FitConfig": "fitting.config",
    "FitJob": "fitting.job",
    "FitResult": "fitting.result",
    "ImageFile": "fitting.references",
    "Prior": "fitting.priors.smoothness",
    "Progress": "fitting.callbacks",
    "Region": "fitting.references",
    "Uncertainty": "fitting.uncertainty",
    "fit": "fitting.api",
    "load_result": "fitting.result",
    "register_body": "fitting.bodies",
}
__all__ = sorted(_HOME)

load_on_first_use(__name__, _HOME)

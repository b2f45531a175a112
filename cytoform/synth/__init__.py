"""Simulated families of living cells: seeded shapes in µm that deform, divide or grow filopodia. Negative inside.

They stand in for the data of Wiesner et al. (MICCAI 2022, doi 10.1007/978-3-031-16440-8_6; Medical Image Analysis
91:102991, 2024, doi 10.1016/j.media.2023.102991): *Platynereis dumerilii*, *C. elegans* and A549 cells.

Public names are loaded when they are first used.
"""

from __future__ import annotations

from ..lazy import load_on_first_use

_HOME = {
    "FAMILIES": "synth.known",
    "Deforming": "synth.deforming",
    "DeformingShape": "synth.deforming",
    "Dividing": "synth.dividing",
    "DividingShape": "synth.dividing",
    "Family": "synth.families",
    "Filopodial": "synth.filopodial",
    "FilopodialShape": "synth.filopodial",
    "LivingShape": "synth.living",
    "family": "synth.families",
    "register": "synth.known",
    "write_family": "synth.writing",
}
__all__ = sorted(_HOME)

load_on_first_use(__name__, _HOME)

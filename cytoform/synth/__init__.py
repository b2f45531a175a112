"""Simulated families of living cells: seeded shapes in µm that deform, divide or grow filopodia. Negative inside.

They stand in for the data of Wiesner et al. (MICCAI 2022, doi 10.1007/978-3-031-16440-8_6; Medical Image Analysis
91:102991, 2024, doi 10.1016/j.media.2023.102991): *Platynereis dumerilii*, *C. elegans* and A549 cells.

Public names are loaded when they are first used.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

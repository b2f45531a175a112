"""cytoform: the shape of living cells from 3D fluorescence images, by inverse rendering.

Arrays and coordinates are (z, y, x), lengths are micrometres. Public names are loaded when they are first used.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

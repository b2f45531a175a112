"""Living shapes as neural signed distances: prepare, train, reconstruct, encode, generate, interpolate, evaluate.

The only subpackage that imports torch. Public names are loaded when they are first used; ``prepare`` and ``evaluate``
work without torch.
"""

import lazy_loader as _lazy

from ..errors import name_missing_library as _name_missing_library

_load, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _name_missing_library(
    __name__,
    _load,
    libraries=("torch", "safetensors"),
    remedy='pip install "cytoform[neural]"; for a computer without a GPU see the README.',
)

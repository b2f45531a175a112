"""The steps before and after the network, which need no torch: preparing sequences and comparing them."""

from ..compare import evaluate
from ..sdf.prepare import prepare

__all__ = ["evaluate", "prepare"]

"""The steps before and after the network that need no torch: preparing sequences and comparing them."""

from ..compare import evaluate
from ..sdf.prepare import prepare

__all__ = ["evaluate", "prepare"]

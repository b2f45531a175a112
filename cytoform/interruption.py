"""Delay Ctrl-C to the end of the current step of long work."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Interruption"]


class Interruption:
    """A context that delays Ctrl-C until a step is done, so that the state between two steps can be saved.

    The first Ctrl-C sets ``requested``, which the work reads after each step; a second one raises KeyboardInterrupt at
    once. In other threads than the main one signals are not handled.
    """

    def __init__(self) -> None:
        """Start without a request to stop."""
        self.requested = False
        self._earlier_handler: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._earlier_handler = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._earlier_handler is not None:
            signal.signal(signal.SIGINT, self._earlier_handler)

    def _on_signal(self, *_: object) -> None:
        """Note the first Ctrl-C; raise KeyboardInterrupt at the second."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

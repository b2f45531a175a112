"""Delay Ctrl-C to the end of the current step of long work."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Interruption"]


class Interruption:
    """Ctrl-C, held back until a step is done, so that what is saved is the state between two steps.

    A second Ctrl-C interrupts at once. In other threads than the main one signals are left alone.
    """

    def __init__(self) -> None:
        self.asked = False
        self._earlier_handler: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._earlier_handler = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._earlier_handler is not None:
            signal.signal(signal.SIGINT, self._earlier_handler)

    def _on_signal(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

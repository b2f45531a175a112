"""Ctrl-C between two steps of long work, never in the midst of one."""

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
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

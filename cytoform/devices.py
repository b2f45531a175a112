"""Detect devices and optional libraries, and load compiled kernels on first use; no other module does either."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Literal

import numpy as np

from ._typing import Array
from .errors import BackendError, ConfigError

__all__ = [
    "Device",
    "check_fork",
    "device_arrays",
    "device_stream",
    "has_cuda",
    "has_finufft",
    "load_kernels",
    "load_matplotlib",
    "needs_device_memory",
    "parallel_kernels",
    "resolve_device",
    "thread_count",
    "to_host",
]

Device = Literal["auto", "cpu", "cuda"]


@functools.lru_cache(maxsize=1)
def has_cuda() -> bool:
    """Tell whether numba-cuda and CuPy both find a CUDA device; numba's simulator counts, and needs neither.

    The answer is computed once. An exception of a broken driver or library counts as no.
    """
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        # the CUDA target inside numba itself is no longer kept up: its min and max fail to compile (numba 0.68)
        if not _in_simulator() and importlib.util.find_spec("numba_cuda") is None:
            return False
        from numba import cuda

        return bool(cuda.is_available()) and (_in_simulator() or _cupy_works())
    except Exception:  # a broken driver or library must not prevent work on the CPU
        return False


def _in_simulator() -> bool:
    """Tell whether numba simulates its CUDA device on the CPU (NUMBA_ENABLE_CUDASIM=1)."""
    import numba

    return bool(numba.config.ENABLE_CUDASIM)  # type: ignore[attr-defined]  # numba sets it when it is imported


def _cupy_works() -> bool:
    """Tell whether CuPy finds a CUDA device; an exception of loading CuPy or cuFFT is passed on."""
    importlib.import_module("cupy.cuda.cufft")
    return int(importlib.import_module("cupy").cuda.runtime.getDeviceCount()) > 0


@functools.lru_cache(maxsize=1)
def has_finufft() -> bool:
    """Tell whether finufft is installed and can be loaded; the answer is computed once."""
    # numba and finufft each load an OpenMP, whose idle threads would compete with the other's: nearly half of the time
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        importlib.import_module("finufft")
    except (ImportError, OSError):
        return False
    return True


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """Return "cpu" or "cuda" for a requested device; "auto" gives "cuda" where there is a CUDA device, else "cpu".

    Raises
    ------
    ConfigError
        For a name other than auto, cpu and cuda.
    BackendError
        When CUDA was requested and there is no device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device is {device!r}; expected 'auto', 'cpu' or 'cuda'.")
    if device == "cpu":
        return "cpu"
    if has_cuda():
        return "cuda"
    if device == "cuda":
        raise BackendError(
            "device='cuda' was asked for and no CUDA device was found.",
            remedy="Install cytoform[cuda13] (or cuda12: numba-cuda and CuPy) and a driver, or use device='cpu'.",
        )
    return "cpu"


@functools.lru_cache(maxsize=1)
def device_arrays() -> ModuleType:
    """Return the module whose arrays are on the CUDA device: CuPy, or NumPy in numba's simulator."""
    return importlib.import_module("numpy" if _in_simulator() else "cupy")


def device_stream() -> Any:
    """Return the CUDA stream on which CuPy works, for numba's kernels; 0, the default one, in the simulator."""
    if device_arrays() is np:
        return 0
    from numba import cuda

    pointer = device_arrays().cuda.get_current_stream().ptr
    return cuda.external_stream(pointer) if pointer else 0


def needs_device_memory(work: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that allocates arrays on the CUDA device, so that lack of memory raises BackendError."""

    @functools.wraps(work)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except Exception as error:
            if type(error).__name__ != "OutOfMemoryError":  # CuPy's, which need not be installed
                raise
            raise BackendError(
                f"the CUDA device's memory is too small: {error}", remedy="Use device='cpu', or a smaller image."
            ) from error

    return guarded


def to_host(array: Any) -> Array:
    """Return a NumPy array of the values of an array that may be on the CUDA device."""
    host: Array = array.get() if hasattr(array, "get") else np.asarray(array)
    return host


def load_kernels(name: str) -> ModuleType:
    """Return the module `name` of ``cytoform.kernels`` with compiled loops; importing it, on first use, takes long."""
    return importlib.import_module(f"cytoform.kernels.{name}")


_parallel = {"process": 0}  # id of the process that first did work on several threads; 0 before
_ONE_AT_A_TIME = threading.Lock()


def check_fork() -> None:
    """Raise BackendError in a process that was forked from one in which several threads have worked.

    OpenMP's threads (of numba, finufft and torch) do not survive a fork: work would hang or be killed. A process that
    has not worked yet is noted as the first.

    Raises
    ------
    BackendError
        In such a process.
    """
    process = os.getpid()
    if _parallel["process"] not in (0, process):
        raise BackendError(
            "this process was forked from one in which cytoform had worked already, and lacks the threads of that one.",
            remedy="Start processes with multiprocessing.get_context('spawn') or 'forkserver', as joblib does.",
        )
    _parallel["process"] = process


@contextlib.contextmanager
def parallel_kernels(name: str) -> Iterator[ModuleType]:
    """Give the module `name` of ``cytoform.kernels``, whose loops run on several threads, to one caller at a time.

    Other threads wait until the context ends, since not all of numba's threading layers may be entered twice.

    Raises
    ------
    BackendError
        In a process that was forked from one in which several threads have worked.
    """
    check_fork()
    module = load_kernels(name)
    with _ONE_AT_A_TIME:
        yield module


def thread_count() -> int:
    """Return the number of threads to use.

    It is that of NUMBA_NUM_THREADS or OMP_NUM_THREADS if set, else the number of cores that this process may use.
    """
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_matplotlib() -> ModuleType:
    """Return the module matplotlib, loaded without the environment variable MPLBACKEND.

    Figures are drawn by Agg alone. Jupyter sets MPLBACKEND to a back end that other environments lack, and matplotlib
    then refuses to load.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    inherited = os.environ.pop("MPLBACKEND", None)
    try:
        return importlib.import_module("matplotlib")
    finally:
        if inherited is not None:
            os.environ["MPLBACKEND"] = inherited

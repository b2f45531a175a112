"""What NVIDIA's compilers make of the CUDA kernels, without a device: PTX by NVVM, then registers by ptxas.

Needs numba-cuda with its NVVM (`pip install numba-cuda[cu13]`) and ptxas (`pip install nvidia-cuda-nvcc`).
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import types
from pathlib import Path
from unittest import mock

import numpy as np

ARCHITECTURES = [(7, 5), (8, 0), (9, 0), (12, 0)]
# of triangles, of filled bodies, of simplices by their order
KERNELS = ("value", "adjoint", "filled value", "filled adjoint",
           *(f"order {k} {quantity}" for k in (0, 1, 3) for quantity in ("value", "adjoint")))  # fmt: skip


def missing() -> str | None:
    """What is not there to compile with, or None."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed; `pip install numba-cuda[cu13]` to compile the CUDA kernels"
    from numba.cuda.cudadrv import nvvm

    if not nvvm.is_available():
        return "numba-cuda finds no NVVM; `pip install numba-cuda[cu13]` to compile the CUDA kernels"
    return None if ptxas() else "ptxas is not installed; `pip install nvidia-cuda-nvcc` to assemble the CUDA kernels"


def ptxas() -> str | None:
    """The assembler's path, from NVIDIA's wheel or else on PATH, where it may be too old for the PTX."""
    try:
        spec = importlib.util.find_spec("nvidia")
    except ImportError:
        spec = None
    folders = list(spec.submodule_search_locations or []) if spec else []
    wheels = [str(path) for folder in folders for path in Path(folder).glob("*/bin/ptxas")]
    return wheels[0] if wheels else shutil.which("ptxas")


def compiled(name: str, real: type, architecture: tuple[int, int]) -> str:
    """PTX of one of KERNELS, with the arguments of a grid's modes."""
    from numba import cuda, float32, float64
    from numba.cuda import dispatcher

    from cytoform.kernels import filled_ft_cuda, mesh_ft_cuda, simplex_ft_cuda

    lane = float32 if real is np.float32 else float64
    centres, offsets, numbers, pairs = float64[:, ::1], lane[:, :, ::1], float32[:, ::1], lane[:, ::1]
    values, sums = float64[::1], float64[:, :, ::1]
    kind, _, quantity = name.rpartition(" ")
    if kind == "filled":
        module, order = filled_ft_cuda, ()
        arguments = {
            "value": (centres, offsets, lane[::1], pairs, numbers, sums),
            "adjoint": (centres, offsets, pairs, numbers, pairs, values, sums, float64[:, ::1], values),
        }[quantity]
    else:
        module, order = (simplex_ft_cuda, (int(kind[-1]),)) if kind else (mesh_ft_cuda, ())
        arguments = {
            "value": (centres, offsets, lane[::1], numbers, sums),
            "adjoint": (centres, offsets, numbers, pairs, values, sums),
        }[quantity]
    kernel = {"value": module._value_kernel, "adjoint": module._adjoint_kernel}[quantity](real, *order)
    # numba asks the current device even when told what to compile for
    device = types.SimpleNamespace(compute_capability=architecture)
    with mock.patch.object(dispatcher, "get_current_device", lambda: device):
        ptx, _ = cuda.compile_ptx(kernel.py_func, arguments, cc=architecture)
    return ptx


def assembled(ptx: str, architecture: tuple[int, int], folder: Path) -> tuple[int, int]:
    """Registers a thread, and bytes spilled, by ptxas."""
    path = folder / "kernel.ptx"
    path.write_text(ptx)
    command = [ptxas(), "-v", "-arch=sm_{}{}".format(*architecture), "-o", str(folder / "kernel.cubin"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill", done.stderr)]
    (registers,) = re.findall(r"Used (\d+) registers", done.stderr)
    if not spills:
        raise RuntimeError(f"ptxas said nothing of spills: {done.stderr}")
    return int(registers), sum(spills)

"""What all tests share."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiers import is_slow

from cytoform.errors import BackendError

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of two workers on one core spin in each other's way
    share = (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real images, meshes and reference values; skips where there is none."""
    value = os.environ.get("CYTOFORM_TEST_DATA")
    if not value:
        pytest.skip("set CYTOFORM_TEST_DATA to the folder with the real images and meshes to run this test")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"CYTOFORM_TEST_DATA is {value}, which is not a folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow cases that :mod:`tiers` lists."""
    for item in items:
        if is_slow(item.name):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip, visibly, what asks for the fast transform by name where finufft is not installed."""
    try:
        return (yield)
    except BackendError as error:
        if importlib.util.find_spec("finufft") is None and "finufft is not installed" in str(error):
            pytest.skip("finufft is not installed")
        raise

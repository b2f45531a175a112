"""What all tests share."""

import os
from pathlib import Path

import pytest


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

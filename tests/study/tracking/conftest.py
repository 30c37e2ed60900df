"""Trials that were really trained, once for all tests of this folder."""

from pathlib import Path

import pytest
from written_study import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with those of three trials."""
    folder = tmp_path_factory.mktemp("trained")
    for number, num_views in enumerate((2, 3, 4)):
        train(folder / f"t{number:04d}", num_views)
    return folder

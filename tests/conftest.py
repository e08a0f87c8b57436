"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the oracles: `INCTRL_SHARED`, or `shared` beside the repository."""
    folder = Path(os.environ.get("INCTRL_SHARED") or REPOSITORY.parent / "shared")
    if not (folder / "oracles").is_dir():
        pytest.skip(f"no oracles in {str(folder)!r}; set INCTRL_SHARED to the folder with them")
    return folder

"""A user without HOME and without an entry in the list of users, as in many containers."""

import pwd
import tempfile
from pathlib import Path

import pytest

from inctrl.backbones import cache

PLACES = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "INCTRL_CACHE", "INCTRL_STORE")


def leave_home(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    """From here on there is no home; `temporary` is the system's folder for temporary files."""

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in (*PLACES, "INCTRL_ADAPTERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    cache._say_once.cache_clear()

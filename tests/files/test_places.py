"""Where a user's files lie by default, with a home folder and without."""

import os
from pathlib import Path

import pytest
from homeless import leave_home

from inctrl.adapters.file import installed, user_folder
from inctrl.backbones.cache import open_cache
from inctrl.errors import OutputError, UsageError
from inctrl.files.places import cache_folder, data_folder, expanded, temporary_folder
from inctrl.store import open_store


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    leave_home(monkeypatch, tmp_path / "tmp")
    return tmp_path / "tmp"


def own(temporary: Path) -> Path:
    return temporary / f"inctrl-{os.getuid()}"


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_features_are_remembered_in_a_folder_of_ones_own(
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    home: str | None,
) -> None:
    if home is not None:
        monkeypatch.setenv("HOME", home)
    for _ in range(2):
        cache = open_cache(None)
        assert cache is not None
        assert cache.folder == own(temporary) / "features"
    assert own(temporary).stat().st_mode & 0o777 == 0o700
    assert caplog.text.count("this user has no home folder: features are remembered in") == 1


def test_a_home_that_cannot_be_written_is_as_none(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", "/proc/nobody")  # where not even root makes a folder
    cache = open_cache(None)
    assert cache is not None
    assert cache.folder == own(temporary) / "features"
    assert "'/proc/nobody/.cache/inctrl/features' cannot be written" in caplog.text
    assert "remembered in" in caplog.text
    with pytest.raises(OutputError, match="cannot be written") as caught:
        open_store(None)
    assert caught.value.fix == "name a store"


def test_a_folder_that_is_named_is_never_replaced(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCTRL_CACHE", "/proc/nobody")
    with pytest.raises(UsageError, match="cannot be written"):
        open_cache(None)
    assert not own(temporary).exists()


def test_what_others_have_laid_there_is_not_used(
    temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (temporary / "trap").mkdir(mode=0o700)
    own(temporary).symlink_to("trap")
    assert open_cache(None) is None
    assert "features are not remembered" in caplog.text
    assert "is not a folder of this user alone" in caplog.text
    own(temporary).unlink()
    own(temporary).mkdir(mode=0o755)
    with pytest.raises(PermissionError):
        temporary_folder()
    own(temporary).chmod(0o700)
    assert temporary_folder() == own(temporary)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_not_used(temporary: Path) -> None:
    own(temporary).mkdir(mode=0o700)
    os.chown(own(temporary), 12345, 12345)
    with pytest.raises(PermissionError, match="of this user alone"):
        temporary_folder()


def test_what_is_to_last_is_not_kept_in_a_temporary_folder(temporary: Path) -> None:
    with pytest.raises(UsageError, match="no home folder to keep a store in") as caught:
        open_store(None)
    assert caught.value.fix == "name a store"
    with pytest.raises(UsageError, match="no home folder to keep adapters in") as caught:
        user_folder()
    assert caught.value.fix == "name a folder"
    assert isinstance(installed(), dict)
    assert list(temporary.iterdir()) == []


def test_relative_and_empty_places_are_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "cache", "~/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert cache_folder() == tmp_path / ".cache/inctrl"
        found = data_folder("store", "a store", "name a store")
        assert found == tmp_path / ".local/share/inctrl/store"


def test_a_tilde_in_a_setting_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INCTRL_CACHE", "~/kept")
    cache = open_cache(None)
    assert cache is not None
    assert cache.folder == tmp_path / "kept"
    with pytest.raises(UsageError, match="begins with a home folder that is not there"):
        expanded("~nobody-of-this-name/x")

"""Fixtures of the page."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from paged import Served, write

from inctrl.page import events
from inctrl.service.settings import Settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gradio and its client leave an event loop and connections to the garbage collector."""
    for item in items:
        if "/tests/page/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """What they leave is collected here, and not where it would fail the whole run."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def shots(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / "shots", f"good-{i}.png", i) for i in range(4)]


@pytest.fixture
def queries(tmp_path: Path) -> list[Path]:
    """A normal one, then an anomalous one."""
    return [
        write(tmp_path / "queries", "fine.png", 50),
        write(tmp_path / "queries", "spot.png", 51, spot=True),
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=tmp_path / "store", image_size=64, threads=1)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person was told beside the page."""
    words: list[str] = []
    for name in ("Warning", "Info"):
        monkeypatch.setattr(events.gr, name, lambda message, **_: words.append(message))
    return words


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    service = Served(folder / "store")
    yield service
    service.close()

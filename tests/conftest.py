"""Fixtures that several test files use, and the watch over the network."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from offline import sitecustomize as offline

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Let no test, and no process that one starts, reach another machine."""
    del config
    if offline.NOTES not in os.environ:  # the workers of xdist inherit it
        handle, path = tempfile.mkstemp(prefix="inctrl-dialled-")
        os.close(handle)
        os.environ[offline.NOTES] = path
        folder = str(Path(offline.__file__).parent)
        former = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{former}" if former else folder
    sys.addaudithook(offline.watch)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many connections to other machines were attempted: none, or the run fails."""
    attempts = dialled()
    terminalreporter.write_line(
        f"{len(attempts)} connections to other machines attempted, child processes included"
    )
    for attempt in attempts[:20]:
        terminalreporter.write_line(f"  {attempt}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and dialled():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        Path(os.environ[offline.NOTES]).unlink(missing_ok=True)


def dialled() -> list[str]:
    """What the watch has noted so far, in this process and all others of the run."""
    return Path(os.environ[offline.NOTES]).read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the oracles: `INCTRL_SHARED`, or `shared` beside the repository."""
    folder = Path(os.environ.get("INCTRL_SHARED") or REPOSITORY.parent / "shared")
    if not (folder / "oracles").is_dir():
        pytest.skip(f"no oracles in {str(folder)!r}; set INCTRL_SHARED to the folder with them")
    return folder

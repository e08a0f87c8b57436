"""The same threads and seed for each test, the watch over the network, and the oracles.

On many CPUs the number of threads moves scores in the seventh digit, and a service sets it for
its process. So every test begins with the same number, and so does every command that one starts.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import pytest
from offline import sitecustomize as offline

os.environ.setdefault("OMP_NUM_THREADS", "1")  # xdist has a process for each core

import torch

THREADS = torch.get_num_threads()


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


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Whatever the tests before have drawn, however many threads and whose log they have left."""
    torch.manual_seed(0)
    if torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)
    logger = logging.getLogger("inctrl")
    logger.handlers, logger.propagate = [], True  # a command gives it a handler of its own
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder with numbers that reference implementations gave; its README says which."""
    return Path(__file__).with_name("oracles")

"""README and docs say what is: their commands run offline, and none is missing.

Commands in `console` blocks (lines that begin with `$ `) and all `python` blocks are run, file by
file and in order, in a folder with the example images, with a service at the address they name.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.service import Service
from inctrl.cli.main import build_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"
RUN = [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which the pages' commands find the example images, and write what they write."""
    shutil.copytree(ROOT / "demos/images", tmp_path / "demos/images")
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    """One's own store and adapters, and this installation's command first on the path."""
    commands = place / "commands"
    commands.mkdir()
    command = commands / "inctrl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m inctrl "$@"\n')
    command.chmod(0o755)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HOME": str(place / "home"),
        "XDG_CACHE_HOME": str(place / "cache"),
        "XDG_DATA_HOME": str(place / "data"),
    }


@contextlib.contextmanager
def address(place: Path, text: str) -> Iterator[str]:
    """Where a service runs, if the page speaks to one."""
    if ADDRESS not in "".join(block for _, block in BLOCK.findall(text)):
        yield ADDRESS
        return
    with Service(place / "service", 1) as service:
        yield service.url


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, place: Path) -> None:
    text, around = page.read_text("utf-8"), environment(place)
    with address(place, text) as url:
        for kind, block in BLOCK.findall(text):
            block = block.replace(ADDRESS, url)
            if kind == "python":
                command, where = [sys.executable, "-c", block], place / "demos/images/brick"
            else:
                lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
                assert lines, f"a console block of {page.name} has no command"
                script = "\n".join(lines).replace("curl ", "curl -sS --fail-with-body ")
                command, where = ["sh", "-ec", script], place
            done = subprocess.run(
                command, cwd=where, env=around, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def commands(parser: argparse.ArgumentParser, *path: str) -> Iterator[tuple[str, ...]]:
    """The commands of a parser, those below others too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield (*path, name)
                yield from commands(below, *path, name)


def test_every_command_is_documented() -> None:
    said = "\n".join(page.read_text("utf-8") for page in PAGES)
    missing = [path for path in commands(build_parser()) if f"inctrl {' '.join(path)}" not in said]
    assert [path for path in missing if len(path) == 1 or f"`{path[-1]}`" not in said] == []


def test_every_entry_point_is_documented() -> None:
    said = "\n".join(page.read_text("utf-8") for page in PAGES)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    scripts = re.search(r"\[project.scripts\]\n(.*?)\n\n", project, re.DOTALL)
    assert scripts is not None
    names = [line.partition(" =")[0] for line in scripts[1].splitlines()]
    asked = re.compile(r'lookup_extended\(\w+, "([\w.]+)"')
    groups = {
        name for file in ROOT.glob("inctrl/*/*.py") for name in asked.findall(file.read_text())
    }
    assert names
    assert groups
    assert not [name for name in {*names, *groups} if f"`{name}" not in said]


def test_every_command_that_a_page_names_exists() -> None:
    named = {
        (page.name, word)
        for page in PAGES
        for word in re.findall(r"\binctrl ([a-z]+)(?= |`|$)", page.read_text("utf-8"), re.MULTILINE)
    }
    known = {path[0] for path in commands(build_parser())}
    assert not [(page, word) for page, word in named if word not in known]


def test_every_benchmark_and_program_that_a_page_names_exists() -> None:
    for page in PAGES:
        for module in re.findall(
            r"python -m ((?:benchmarks|demos)[.\w]*)", page.read_text("utf-8")
        ):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), (page.name, module)


def test_every_link_within_the_repository_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)

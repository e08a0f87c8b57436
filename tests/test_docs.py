"""README and docs say what is: their commands run offline, and none is missing.

Commands in `console` blocks (lines that begin with `$ `) and all `python` blocks are run, file by
file and in order, in a folder with the example images, with a service at the address they name.
"""

import argparse
import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.service import Service
from inctrl.cli.main import build_parser, run

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"
RUN = [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example images, in which the pages' commands write what they write."""
    for name, folder in (("HOME", "home"), ("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    shutil.copytree(ROOT / "demos/images", tmp_path / "demos/images")
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    return tmp_path


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
    text = page.read_text("utf-8")
    with address(place, text) as url:
        for kind, block in BLOCK.findall(text):
            block = block.replace(ADDRESS, url)
            if kind == "python":
                with contextlib.chdir(place / "demos/images/brick"):
                    exec(compile(block, page.name, "exec"), {})  # noqa: S102
                continue
            lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
            assert lines, f"a console block of {page.name} has no command"
            if all(line.startswith("inctrl ") for line in lines):
                for line in lines:  # in this process: torch is imported once
                    with contextlib.chdir(place):
                        assert run(shlex.split(line)[1:]) == 0, line
            elif "curl " in block and shutil.which("curl") is None:
                pytest.skip("curl is not installed; the commands that use it are not run")
            else:
                script = "\n".join(lines).replace("curl ", "curl -sS --fail-with-body ")
                done = subprocess.run(
                    ["/bin/sh", "-ec", script],
                    cwd=place,
                    capture_output=True,
                    text=True,
                    check=False,
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

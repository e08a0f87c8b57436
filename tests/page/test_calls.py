"""What the page asks for: it reads the store, and asks the workbench for all that changes it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from inctrl import page

FILES = sorted(Path(page.__file__).parent.glob("*.py"))
STORE = {"store", "_store"}
READS = {"get", "list", "log", "diff", "newest", "pictures", "settings"}
VALUES = {"JobRow", "SetVersion", "Shot", "Store", "Summary", "Finding"}
"""What may be imported of the store's room: values and the type to read from."""


def chains(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """a.b.c as ("a", "b", "c"), with all its beginnings."""
    for node in ast.walk(tree):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        yield (node.id, *names) if isinstance(node, ast.Name) else tuple(names)


def writes(source: str) -> list[str]:
    """Methods of parts of a store that do more than read, and imports of what does."""
    tree = ast.parse(source)
    found = [
        ".".join(chain)
        for chain in chains(tree)
        for place, name in enumerate(chain)
        if name in STORE and len(chain) > place + 2 and chain[place + 2] not in READS
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inctrl.store"):
            found += [one.name for one in node.names if one.name not in VALUES]
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.startswith("inctrl.store")]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_page_writes_no_store_of_its_own(path: Path) -> None:
    assert writes(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "bench.store.sets.remove(name)",
        "create = self._bench.store.sets.create",
        "self._store.sets.add(name, pictures)",
        "store.feedback.undo(id)",
        "from inctrl.store.verify import orphans",
        "import inctrl.store.transfer",
    ],
)
def test_what_writes_is_seen(source: str) -> None:
    assert writes(source)

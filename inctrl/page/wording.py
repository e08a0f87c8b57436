"""Sets and jobs as the lists of the page name them."""

from inctrl.store import Store, Summary

MOST = 1000
"""Sets that a list shows."""


def summaries(store: Store) -> list[Summary]:
    """The sets by name."""
    return list(store.sets.list(limit=MOST))


def set_choices(store: Store) -> list[tuple[str, str]]:
    """Label and name of every set."""
    return [
        (f"{one.name}  (version {one.version}, {_shots(one.shots)})", one.name)
        for one in summaries(store)
    ]


def _shots(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"

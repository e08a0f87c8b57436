"""Where the routes are: what may be done with a path, and which path was meant."""

import re
from collections.abc import Iterable, Iterator, Sequence

from starlette.routing import Route

from inctrl.registry import nearest

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
PREFIX = "/v1"
VERSION = re.compile(r"v\d+")


def methods(routes: Iterable[Route], path: str) -> list[str]:
    """All that may be done with a path, whichever of the routes takes it."""
    found = {method for one in _of(routes, path) for method in one.methods or ()}
    return [method for method in METHODS if method in found]


def moved(routes: Sequence[Route], path: str) -> str | None:
    """The path of a route that is written otherwise here: without /v1, with a slash at its end."""
    return next((one for one in _otherwise(_parts(path)) if one != path and _of(routes, one)), None)


def meant(routes: Sequence[Route], path: str) -> str | None:
    """The same, or the path with the nearest first word: /v1/detct."""
    if found := moved(routes, path):
        return found
    parts = _parts(path)
    words = {one.path.split("/")[2] for one in routes if one.path.startswith(f"{PREFIX}/")}
    near = nearest(parts[0], words) if parts else None
    return moved(routes, "/".join(["", near, *parts[1:]])) if near else None


def _of(routes: Iterable[Route], path: str) -> list[Route]:
    return [one for one in routes if one.path_regex.match(path)]


def _parts(path: str) -> list[str]:
    """What stands behind the version, without empty parts."""
    parts = [part for part in path.split("/") if part]
    versions = [place for place, part in enumerate(parts) if VERSION.fullmatch(part)]
    return parts[versions[0] + 1 :] if versions else parts


def _otherwise(parts: Sequence[str]) -> Iterator[str]:
    if parts and VERSION.fullmatch(parts[0]):  # /v1/v1/detect
        parts = parts[1:]
    rest = "".join(f"/{part}" for part in parts)
    yield PREFIX + rest
    yield rest

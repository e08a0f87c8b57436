"""A request holds what its route knows, and nothing else: a misspelt field is never ignored."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import File, Form
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from inctrl.registry import meant

LONGEST, MOST = 80, 20
"""Characters of what was sent that a refusal shows, and faults that it names."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Field:
    """Of a form or a query; `several`: it may come more than once."""

    file: bool
    several: bool
    needed: bool


@dataclass(frozen=True)
class Known:
    """What a route takes of a request.

    place    "body" or "query", as an error calls it
    others   fields that it takes in the other place
    """

    place: str
    fields: Mapping[str, Field]
    others: frozenset[str] = frozenset()

    def refuse(self, given: Sequence[tuple[str, object]]) -> None:
        """RequestValidationError that names all that is unknown, doubled, or no file (or text)."""
        names = [name for name, _ in given]
        found = [
            _fault(self.place, name, words)
            for name in dict.fromkeys(names)
            if (words := self._about(name, [value for n, value in given if n == name]))
        ]
        found += [
            _fault(self.place, name, f"no file came; {_curl(name)}" if field.file else "is missing")
            for name, field in self.fields.items()
            if field.needed and name not in names
        ]
        if found:
            raise RequestValidationError(found[:MOST])

    def example(self) -> str:
        """How a form with the first file of it is sent."""
        return _curl(next((n for n, one in self.fields.items() if one.file), "FIELD"))

    def _about(self, name: str, values: Sequence[object]) -> str:
        """What is wrong with a field that came; empty: nothing."""
        field = self.fields.get(name)
        if field is None and name in self.others:
            other = "the form: with curl write -F" if self.place == "query" else "the address: ?"
            return f"belongs into {other} {name}=..."
        if field is None:
            known = ", ".join(self.fields) or "none"
            return f"unknown field{meant(name[:LONGEST], self.fields)} (known: {known})"
        if len(values) > 1 and not field.several:
            return f"came {len(values)} times; send it once"
        for value in values:
            if field.file and isinstance(value, str):
                shown = value[:LONGEST]
                return f"got the text {shown!r}, not a file; {_curl(name, shown)}"
            if not field.file and isinstance(value, UploadFile):
                shown = (value.filename or "")[:LONGEST]
                return f"got the file {shown!r}, not a text; with curl write -F {name}=TEXT"
        return ""


def known(dependant: Dependant, place: str) -> Known:
    """What a route and all that it depends on take of a form ("body") or a query."""
    fields = {one.alias: _field(one.field_info) for one in _params(dependant, place)}
    other = "query" if place == "body" else "body"
    return Known(place, fields, frozenset(one.alias for one in _params(dependant, other)))


def takes_form(route: APIRoute) -> bool:
    """Whether a route reads a form, and not JSON."""
    return route.body_field is not None and isinstance(route.body_field.field_info, Form)


class StrictRoute(APIRoute):
    """Refuses what it does not know: of a query, and a body of another kind than JSON."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        query, probed = known(self.dependant, "query"), not self.path.startswith("/v1")
        wants_json = self.body_field is not None and not takes_form(self)

        async def handler(request: Request) -> Response:
            if not probed:  # probes ask as they like
                query.refuse(request.query_params.multi_items())
            if wants_json:
                _check_json(request)
            return await handle(request)

        return handler


def has_body(headers: Headers) -> bool:
    """Whether a body comes with a request."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _check_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body(request.headers) and kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(
            415,
            f"a body of kind {kind or 'none'!r} is not read here; send JSON: with curl add "
            "-H 'Content-Type: application/json'",
        )


def _params(dependant: Dependant, place: str) -> Iterable[Any]:
    yield from dependant.body_params if place == "body" else dependant.query_params
    for below in dependant.dependencies:
        yield from _params(below, place)


def _field(info: Any) -> Field:
    several = get_origin(info.annotation) in (list, tuple, set)
    return Field(isinstance(info, File), several, info.is_required())


def _fault(place: str, name: str, words: str) -> dict[str, Any]:
    return {"type": "value_error", "loc": (place, name[:LONGEST]), "msg": words, "input": None}


def _curl(name: str, file: str = "") -> str:
    """How to send a file; an address and a long text are no names of files."""
    known = file and "://" not in file and len(file) < LONGEST and file.isprintable()
    return f"with curl write -F {name}=@{file if known else 'part.png'}"

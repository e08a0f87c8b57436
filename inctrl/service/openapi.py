"""The OpenAPI document: what it says besides the routes, and a program that prints it.

python -m inctrl.service.openapi > docs/openapi.json
"""

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from inctrl.service.http.limits import Limits
from inctrl.service.schemas import Problem
from inctrl.service.settings import Settings

PROBLEM = {"$ref": "#/components/schemas/Problem"}
OPEN = ("/livez", "/readyz")
TIMED = ("/v1/detect", "/v1/maps")
DEADLINE = {
    "name": "Inctrl-Deadline",
    "in": "header",
    "required": False,
    "description": "seconds in which the request is answered or refused; see /v1/limits",
    "schema": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": Limits().longest_deadline,
        "title": "Inctrl-Deadline",
    },
}


def describe(app: FastAPI) -> None:
    """Make the app's document say what errors look like."""
    made = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(made())
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """A document with the replies that every operation may give."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "not asked on loopback"}
    }
    content = {"application/problem+json": {"schema": PROBLEM}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            replies = operation["responses"]
            replies.pop("422", None)
            replies["4XX"] = {"description": "refused, and why", "content": content}
            replies.setdefault("503", {"description": "busy or stopping", "content": content})
            replies["507"] = {"description": "no space", "content": content}
            if path in TIMED:
                replies["504"] = {"description": "its deadline passed", "content": content}
                operation.setdefault("parameters", []).append(DEADLINE)
            _drop_nulls(parameter["schema"] for parameter in operation.get("parameters", []))
            if path not in OPEN:
                operation["security"] = [{}, {"token": []}]
    for name, schema in schemas.items():
        if name.startswith("Body_"):
            schema["additionalProperties"] = False  # see `StrictRoute`
            _drop_nulls(schema["properties"].values())
        if name.endswith("Job"):  # what tells them apart must be there, though it has a default
            schema["required"] = ["kind", *schema["required"]]
    return document


def _drop_nulls(schemas: Iterable[dict[str, Any]]) -> None:
    """A form, a query and a header hold no null: what may be left out is simply not there."""
    for schema in schemas:
        kinds = schema.pop("anyOf", [])
        left = [kind for kind in kinds if kind != {"type": "null"}]
        if left:
            schema.update(left[0] if len(left) == 1 else {"anyOf": left})


def text(document: dict[str, Any]) -> str:
    """As it stands in the repository."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Print the document of a service without data."""
    from inctrl.service.app import build

    with tempfile.TemporaryDirectory() as folder:
        app = build(Settings(store=Path(folder)))
        sys.stdout.write(text(app.openapi()))
        app.state.workbench.store.close()


if __name__ == "__main__":
    main()

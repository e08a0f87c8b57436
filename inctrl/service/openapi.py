"""The OpenAPI document as a program: python -m inctrl.service.openapi > docs/openapi.json"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from inctrl.service.app import build
from inctrl.service.settings import Settings


def main() -> None:
    """Print the document of a service without data."""
    with tempfile.TemporaryDirectory() as folder:
        app = build(Settings(store=Path(folder)))
        sys.stdout.write(text(app.openapi()))
        app.state.workbench.store.close()


def text(document: dict[str, Any]) -> str:
    """As it stands in the repository."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    main()

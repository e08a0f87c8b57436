"""What is shipped: where its data lies (in a wheel, an editable install or a checkout)."""

from pathlib import Path

DEFAULT_BACKBONE = "duo"
"""The backbone where none is named."""
_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `prompts` or `adapters`: inside the wheel, else beside the package."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name

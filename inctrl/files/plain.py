"""Results as plain files: JSON that any reader takes, cells that a spreadsheet does not run."""

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def document(content: Mapping[str, Any], *, sort_keys: bool = False) -> bytes:
    """JSON in UTF-8; null where a number is not finite.

    Names are exact: an undecodable byte of a file name is the escape \\udcXX, which JSON readers
    give back as the lone surrogate that Python reads such a name as.
    """
    text = json.dumps(
        plain(content), ensure_ascii=False, allow_nan=False, sort_keys=sort_keys, indent=1
    )
    return (text + "\n").encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Dataclasses, mappings, tuples and NumPy numbers as JSON has them."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def number_cell(value: float | None) -> str:
    """Of a CSV file: exact, and empty where there is no finite number."""
    return repr(float(value)) if value is not None and math.isfinite(value) else ""


def text_cell(text: str) -> str:
    """Of a CSV file: with a single quote in front where a spreadsheet would run a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text

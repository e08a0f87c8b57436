"""The run as data: scores.json (exact, for programs) and scores.csv (for spreadsheets)."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from inctrl.reporting.run import AnyRow, Row, RunInfo, failed

SCHEMA = 1
COLUMNS = (
    "name",
    "verdict",
    "score",
    "threshold",
    "p_value",
    "pixel_max",
    "regions",
    "map",
    "overlay",
    "error",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_json(info: RunInfo, rows: Sequence[AnyRow]) -> bytes:
    """One document in UTF-8, results in order of arrival; null where a number is not finite.

    Names are exact: an undecodable byte of a file name is the escape \\udcXX, which JSON readers
    give back as the lone surrogate that Python reads such a name as.
    """
    document = {
        "schema": SCHEMA,
        "started": info.started,
        "preparation_seconds": info.seconds,
        "card": asdict(info.card),
        "calibration": {
            "method": info.method,
            "alpha": info.alpha,
            "limit": info.limit_words,
            "threshold": info.threshold,
            "p_floor": info.p_floor,
            "scores": info.calibration_scores,
            "scale": asdict(info.scale),
        },
        "results": [_result(r) for r in rows if isinstance(r, Row)],
        "failures": [{"number": r.number, "name": r.name, "error": r.error} for r in failed(rows)],
        "warnings": info.warnings,
    }
    text = json.dumps(_finite(document), ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode("utf-8", "backslashreplace")


def to_csv(rows: Sequence[AnyRow]) -> bytes:
    """RFC 4180 in UTF-8, a row for each query in order of arrival; empty where a value is none.

    Spreadsheets run cells that begin with = + - @ tab or return as formulas: texts that do get a
    single quote in front (scores.json has the exact name). Undecodable bytes are shown as \\udcXX.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for r in rows:
        if isinstance(r, Row):
            numbers = (r.score, r.threshold, r.p_value, r.pixel_max)
            cells = [_text(r.name), r.verdict, *map(_number, numbers)]
            writer.writerow([*cells, len(r.regions), r.map, r.overlay, ""])
        else:
            writer.writerow([_text(r.name), *[""] * 8, _text(r.error)])
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _result(row: Row) -> dict[str, Any]:
    """A row as it stands in the document: without pictures, the size by name."""
    values = asdict(row)
    del values["pictures"]
    height, width = values.pop("size")
    return {**values, "height": height, "width": width}


def _finite(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text

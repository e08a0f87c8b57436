"""The run as data: scores.json (exact, for programs) and scores.csv (for spreadsheets)."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inctrl.files.plain import document, number_cell, text_cell
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


def to_json(info: RunInfo, rows: Sequence[AnyRow]) -> bytes:
    """One document, results in order of arrival; null where a number is not finite."""
    content = {
        "schema": SCHEMA,
        "started": info.started,
        "machine": info.machine,
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
    return document(content)


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
            cells = [text_cell(r.name), r.verdict, *map(number_cell, numbers)]
            writer.writerow([*cells, len(r.regions), r.map, r.overlay, ""])
        else:
            writer.writerow([text_cell(r.name), *[""] * 8, text_cell(r.error)])
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _result(row: Row) -> dict[str, Any]:
    """A row as it stands in the document: without pictures, the size by name."""
    values = asdict(row)
    del values["pictures"], values["doubted"]
    height, width = values.pop("size")
    return {**values, "height": height, "width": width}

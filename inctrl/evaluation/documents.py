"""An evaluation as files: results.json, results.csv and shots.json.

Nothing in them depends on when it was run: on one machine, with as many threads, the same
evaluation gives the same bytes.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from inctrl.errors import UsageError
from inctrl.evaluation.results import Cell, Contender, Evaluation, TestSet
from inctrl.evaluation.tables import COMPARED, Mean, Tables, cell_name, ordered, tables
from inctrl.files.plain import document, number_cell, text_cell
from inctrl.inspection.calibration import MOST_SHOTS
from inctrl.maths.intervals import Spread
from inctrl.maths.limits import at_most, exceeds
from inctrl.maths.metrics import METRICS
from inctrl.types import Verdict

DIGITS = 10
"""Decimals of figures in files: further ones differ from machine to machine."""


def to_json(evaluation: Evaluation) -> bytes:
    """All of it but the pictures, in UTF-8; the same evaluation gives the same bytes.

    null stands for what is undefined or not finite. Names are exact, as in scores.json.
    """
    found = tables(evaluation)
    content = vars(evaluation) | {
        "schema": "inctrl/evaluation/1",
        "metrics": METRICS,
        "cells": [_cell(cell, found.cell(place)) for place, cell in ordered(evaluation)],
        "tables": _rows(found),
        "machines": evaluation.machines,
    }
    del content["examples"]
    return document(content, sort_keys=True)


def from_json(document: bytes) -> Evaluation:
    """The evaluation of a results.json, without its maps and examples."""
    content = json.loads(document)
    return Evaluation(
        contenders=tuple(Contender(**_frozen(one)) for one in content["contenders"]),
        tests=tuple(TestSet(**_frozen(one)) for one in content["tests"]),
        shots=tuple(content["shots"]),
        seeds=tuple(content["seeds"]),
        alpha=content["alpha"],
        cells=tuple(_read_cell(one) for one in content["cells"]),
    )


def to_csv(evaluation: Evaluation) -> bytes:
    """RFC 4180 in UTF-8, a row a cell; empty where a figure is undefined or not finite.

    Texts that a spreadsheet would run as a formula get a single quote in front.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    names = ("contender", "dataset", "category")
    writer.writerow([*names, "k", "seed", *METRICS, "threshold", "bytes"])
    found = tables(evaluation)
    for place, cell in ordered(evaluation):
        numbers = [number_cell(_rounded(value)) for value in found.cell(place).values()]
        texts = [text_cell(getattr(cell, name)) for name in names]
        row = [*texts, cell.k, cell.seed, *numbers, number_cell(cell.threshold), cell.bytes]
        writer.writerow(row)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def shots_json(evaluation: Evaluation) -> bytes:
    """The names of the shots of every category, number of shots and seed.

    Contenders that were given different ones cannot be compared: then an error says which.
    """
    lists: dict[tuple[int, int, int], Cell] = {}
    for (_, *place), cell in ordered(evaluation):
        known = lists.setdefault((place[0], place[1], place[2]), cell)
        if known.shots != cell.shots:
            raise UsageError(
                f"{cell_name(known)} and {cell_name(cell)} saw different shots; evaluate both "
                "again with one list of shots"
            )
    rows = [
        {"dataset": c.dataset, "category": c.category, "k": c.k, "seed": c.seed, "names": c.shots}
        for _, c in sorted(lists.items(), key=lambda item: item[0])
    ]
    return document({"schema": "inctrl/shots/1", "shots": rows}, sort_keys=True)


def _cell(cell: Cell, figures: Mapping[str, float | None]) -> dict[str, Any]:
    row = vars(cell) | {"figures": {key: _rounded(value) for key, value in figures.items()}}
    del row["pixels"], row["machine"]  # among the figures, and told once for all cells
    return row


def _rows(t: Tables) -> dict[str, Any]:
    """The tables as rows that name what they are of."""
    categories, datasets, overall = [], [], []
    for c, contender in enumerate(t.evaluation.contenders):
        for k, shots in enumerate(t.evaluation.shots):
            who = {"contender": contender.label, "k": shots}
            for i, test in enumerate(t.evaluation.tests):
                figures = {m: _spread_row(t.category(m, c, i, k)) for m in t.metrics}
                where = {"dataset": test.dataset, "category": test.category}
                categories.append(who | where | {"figures": figures})
            for name in t.datasets:
                means = {m: _mean_row(t.dataset(m, c, name, k)) for m in t.metrics}
                datasets.append(who | {"dataset": name, "figures": means})
            means = {m: _mean_row(t.overall(m, c, k)) for m in t.metrics}
            overall.append(who | {"figures": means})
    return {
        "categories": categories,
        "datasets": datasets,
        "overall": overall,
        "differences": list(_differences(t)),
    }


def _differences(t: Tables) -> Iterator[dict[str, Any]]:
    """Every pair; null as a data set or number of shots means the mean over all."""
    contenders = t.evaluation.contenders
    shots: list[tuple[int | None, int | None]] = [*enumerate(t.evaluation.shots), (None, None)]
    for (i, first), (j, second) in combinations(enumerate(contenders), 2):
        for metric in COMPARED:
            for dataset in (*t.datasets, None):
                for k, count in shots:
                    found = t.difference(metric, i, j, k, dataset)
                    if found is not None:
                        pair = {"first": first.label, "second": second.label, "metric": metric}
                        numbers = {key: _rounded(value) for key, value in vars(found).items()}
                        yield pair | {"dataset": dataset, "k": count} | numbers


def _spread_row(found: Spread) -> dict[str, Any]:
    return {"mean": _rounded(found.mean), "sd": _rounded(found.sd), "seeds": found.seeds}


def _mean_row(found: Mean) -> dict[str, Any]:
    return _spread_row(found.spread) | {"parts": found.parts, "of": found.of}


def _rounded(value: Any) -> Any:
    """+ 0.0, since -0.0 would be written with its sign."""
    return round(value, DIGITS) + 0.0 if isinstance(value, float) else value


def _read_cell(content: dict[str, Any]) -> Cell:
    fields = {key: value for key, value in _frozen(content).items() if key != "figures"}
    fields["scores"] = tuple(math.nan if v is None else v for v in content["scores"])
    fields["p_values"] = tuple(math.nan if v is None else v for v in content["p_values"])
    fields["threshold"] = math.inf if content["threshold"] is None else content["threshold"]
    fields.setdefault("verdicts", tuple(_verdicts_before(content)))
    return Cell(**fields, pixels=None)


def _verdicts_before(content: dict[str, Any]) -> Iterator[Verdict]:
    """Those that a file of before they were kept follows from: few shots leave undecided what has
    the least p-value that they can show."""
    shots, limit = len(content["shots"]), content["threshold"]
    least = 1 / (min(shots, MOST_SHOTS) + 1)
    for score, p_value in zip(content["scores"], content["p_values"], strict=True):
        if score is not None and limit is not None and shots > 1 and exceeds(score, limit):
            yield "anomalous"
        else:
            yield "undecided" if p_value is None or at_most(p_value, least) else "normal"


def _frozen(content: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}

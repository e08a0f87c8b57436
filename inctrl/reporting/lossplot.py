"""The curve of a training's losses, as places in a picture that needs no library."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inctrl.reporting.plot import round_step

MOST = 400
"""Points that are drawn; the steps between two of them are averaged."""


@dataclass(frozen=True)
class Tick:
    """A labelled place, in percent of the width or height."""

    at: float
    label: str


@dataclass(frozen=True)
class LossPlot:
    """Paths in percent of the frame, from its upper left corner.

    steps    the losses of the steps
    epochs   the mean losses of the epochs, with their points
    last     the last loss, and its step
    """

    steps: str
    epochs: str
    points: tuple[tuple[float, float], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    last: tuple[int, float]


def loss_plot(rows: Sequence[Mapping[str, Any]]) -> LossPlot | None:
    """None before there are two losses."""
    steps = _averaged(_losses(row for row in rows if "epoch" not in row))
    epochs = _losses(row for row in rows if "epoch" in row)
    every = [*steps, *epochs]
    if len(every) < 2:
        return None
    right = max(step for step, _ in every)
    top = max(loss for _, loss in every)
    bottom = min(0.0, min(loss for _, loss in every))
    ticks = _ticks(bottom, top)
    top = max(top, ticks[-1])

    def at(point: tuple[float, float]) -> tuple[float, float]:
        step, loss = point
        return round(100 * step / right, 2), round(100 * (top - loss) / ((top - bottom) or 1), 2)

    last = (steps or epochs)[-1]
    return LossPlot(
        steps=_path([at(point) for point in steps]),
        epochs=_path([at(point) for point in epochs]),
        points=tuple(at(point) for point in epochs),
        across=tuple(Tick(at((v, 0))[0], f"{v:,.0f}") for v in _ticks(0, right) if v <= right),
        up=tuple(Tick(at((0, v))[1], f"{v:g}") for v in ticks),
        last=(int(last[0]), last[1]),
    )


def _losses(rows: Any) -> list[tuple[float, float]]:
    """Step and loss of the rows that have a finite one."""
    found = []
    for row in rows:
        loss = row.get("loss")
        if isinstance(loss, int | float) and math.isfinite(loss):
            found.append((float(row["step"]), float(loss)))
    return found


def _averaged(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = -(-len(points) // MOST) or 1
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]


def _ticks(low: float, high: float) -> list[float]:
    """Round values that span low to high."""
    step = round_step((high - low) / 5 or 1.0)
    first = math.floor(low / step + 1e-9)
    count = math.ceil((high - first * step) / step - 1e-9)
    return [round((first + i) * step, 12) for i in range(count + 1)]


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if len(points) > 1 else ""

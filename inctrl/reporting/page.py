"""The page: one self-contained report.html that fetches nothing."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inctrl.reporting import words
from inctrl.reporting.colours import CIVIDIS
from inctrl.reporting.overlay import opacities
from inctrl.reporting.pictures import thumbnail
from inctrl.reporting.plot import plot
from inctrl.reporting.run import AnyRow, Row, RunInfo, failed, scored
from inctrl.reporting.templates import environment
from inctrl.views import Views

MOST_SHOTS = 24
MOST_LISTED = 2000
"""Rows in words at the most; scores.csv has them all."""


def render(info: RunInfo, rows: Sequence[AnyRow], seconds: float) -> str:
    """The page of a finished run; `seconds` is the time that the queries took.

    Cards are drawn for the rows that still have their pictures, the others are listed.
    """
    ranked = scored(rows)
    unpictured = [r for r in ranked if r.pictures is None]
    return (
        environment(Path(__file__).parent)
        .get_template("report.html.j2")
        .render(
            info=info,
            headline=words.headline(rows),
            tally=words.tally(rows),
            total=len(rows),
            cards=[r for r in ranked if r.pictures is not None],
            listed=unpictured[:MOST_LISTED],
            unlisted=max(0, len(unpictured) - MOST_LISTED),
            failures=failed(rows)[:MOST_LISTED],
            more_failures=max(0, len(failed(rows)) - MOST_LISTED),
            plot=plot(ranked, info.calibration_scores, info.threshold),
            shots=[thumbnail(image) for image in info.shot_images[:MOST_SHOTS]],
            colour_bar=_colour_bar(info),
            provenance=_provenance(info, ranked, seconds),
            has_limit=math.isfinite(info.threshold),
        )
    )


def _colour_bar(info: RunInfo) -> dict[str, Any]:
    """Stops of the gradient and where on it, in percent, the limit lies (None: off the bar).

    Without a limit the stops fade as the maps do.
    """
    scale = info.scale
    width = scale.high - scale.low
    share = (scale.limit - scale.low) / width if width > 0 else math.nan
    stops = [f"#{colour}" for colour in CIVIDIS[::2]]
    if not scale.limited:
        alphas = opacities(scale, len(stops))
        stops = [f"{stop}{alpha:02x}" for stop, alpha in zip(stops, alphas, strict=True)]
    return {
        "stops": ", ".join(stops),
        "limit": round(100 * share, 1) if 0 <= share <= 1 else None,
    }


def _provenance(info: RunInfo, ranked: Sequence[Row], seconds: float) -> list[tuple[str, str]]:
    """Label and value of all that made the run, in reading order."""
    card = info.card
    each = sorted(sum(r.timing.values()) for r in ranked if r.timing)
    options = ", ".join(f"{key} = {value}" for key, value in card.options.items())
    window = "none (8-bit images)" if card.shots else "none"
    if card.window:
        window = f"{card.window[0]:g} to {card.window[1]:g}"
    backbone = f"{card.backbone}, {card.image_size} px, layers {', '.join(card.layers)}"
    count = len(info.calibration_scores)
    scores = f", {words.plural(count, 'score')}" if count else ""
    wanted = ("Wanted false alarms", f"{words.percent(info.alpha)} of normal images (alpha)")
    rows = [
        ("Started", info.started),
        ("Computed on", words.printable(info.machine)),
        ("inctrl", card.inctrl),
        ("Item", words.printable(card.item)),
        ("Normal set", card.normal_set or "none: the shots were given"),
        ("Backbone", words.printable(backbone)),
        ("Backbone fingerprint", card.fingerprint),
        ("Detector", card.detector),
        ("Options", words.printable(options) or "none"),
        ("Adapter", words.printable(card.adapter or "none")),
        ("Fit", card.fit),
        *([("Seen", seen)] if (seen := Views(card.orientation, card.tiles).words) else []),
        ("Brightness window", window),
        ("Text prior", words.prior_words(card)),
        ("Calibration", f"{info.method}{scores}"),
        *([wanted] if count else []),
        ("Score limit", words.number(info.threshold)),
        ("Map scale", " / ".join(map(words.number, _scale(info))) + " (low / limit / high)"),
        ("Preparing the shots" if card.shots else "Preparing", f"{info.seconds:.2f} s"),
        ("Inspecting the queries", f"{seconds:.2f} s, with the writing of this report"),
    ]
    if each:
        middle = each[len(each) // 2]
        rows.append(("Time of a query", f"{middle:.3f} s (median, without reading and writing)"))
    return rows


def _scale(info: RunInfo) -> tuple[float, float, float]:
    return info.scale.low, info.scale.limit, info.scale.high

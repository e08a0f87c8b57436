"""What `inctrl detect` says of its queries while it goes on."""

import logging
import math
import sys
from typing import TYPE_CHECKING

from inctrl.cli.output import say

if TYPE_CHECKING:
    from inctrl.types import Failure, Result

NOTES = 8
"""Most lines on how queries differ from the shots."""
logger = logging.getLogger("inctrl")


def tell(outcome: "Result | Failure", as_json: bool) -> None:
    """One line for each query on stdout: verdict, score, limit, p-value, name."""
    from inctrl.reporting.words import printable
    from inctrl.types import Failure

    if isinstance(outcome, Failure):
        sys.stderr.write(f"inctrl: {outcome.error}\n")
        line = f"unreadable  {'':29}  {printable(outcome.name)}\n"
    else:
        limit = f"limit {_figure(outcome.threshold)}  p {outcome.p_value:.3f}"
        if not math.isfinite(outcome.threshold):
            limit = "no limit"
        numbers = f"{_figure(outcome.score):>8}  {limit:21}"
        line = f"{outcome.verdict:10}  {numbers:29}  {printable(outcome.name)}\n"
        for doubt in outcome.image.doubts:
            logger.warning("%s: %s", printable(outcome.name), doubt)
    if not as_json:
        say(line)


def tell_compared(notes: dict[str, list[str]]) -> None:
    """How queries differ from the shots: one line for all that differ alike."""
    from inctrl.inspection.likeness import listed
    from inctrl.reporting.words import printable

    often = sorted(notes.items(), key=lambda pair: -len(pair[1]))
    for note, names in often[:NOTES]:
        logger.warning("%s: %s", listed([printable(name) for name in names]), note)
    if len(often) > NOTES:
        more = sum(len(names) for _, names in often[NOTES:])
        logger.warning("the report has such notes on %d further images", more)


def _figure(score: float) -> str:
    """Distances of some detectors run to thousands, residuals lie below one."""
    return f"{score:.4f}" if abs(score) < 100 else f"{score:.1f}"

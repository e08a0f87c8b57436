"""What made an evaluation: contenders, seeds, shots, limits, in words."""

from dataclasses import dataclass

from inctrl.evaluation.results import Contender, Evaluation
from inctrl.reporting.words import percent, plural, printable


@dataclass(frozen=True)
class Made:
    """Labels and values: of the run as a whole, and of each contender by its label."""

    run: tuple[tuple[str, str], ...]
    contenders: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def made(evaluation: Evaluation) -> Made:
    """All of it, in reading order, printable."""
    alpha = f"{percent(evaluation.alpha)} of normal images (alpha)"
    run = (
        ("Wanted false alarms", alpha),
        ("Shots", ", ".join(map(str, evaluation.shots))),
        ("Seeds", ", ".join(map(str, evaluation.seeds))),
        ("Protocol", printable(evaluation.protocol) or "none published"),
        ("Kept apart", printable(evaluation.group_by) or "nothing beyond the images themselves"),
        ("Data", "; ".join(_data(evaluation))),
        ("Computed on", printable("; ".join(evaluation.machines)) or "not recorded"),
        *((("Note", printable(note))) for note in evaluation.notes),
    )
    named = tuple((printable(c.label), _contender(c)) for c in evaluation.contenders)
    return Made(run, named)


def _data(evaluation: Evaluation) -> list[str]:
    found = []
    for name in dict.fromkeys(test.dataset for test in evaluation.tests):
        tests = [test for test in evaluation.tests if test.dataset == name]
        bad = sum(sum(test.anomalous) for test in tests)
        images = sum(len(test.images) for test in tests)
        count = plural(len(tests), "category", "categories")
        kinds = f"{images - bad:,} normal and {bad:,} anomalous test images"
        found.append(f"{printable(name)} ({count}, {kinds})")
    return found


def _contender(contender: Contender) -> tuple[tuple[str, str], ...]:
    options = ", ".join(f"{key} = {value}" for key, value in contender.options.items())
    adapter = printable(contender.adapter or "none")
    if contender.adapter_sha256:
        adapter += f", sha256 {printable(contender.adapter_sha256)}"
    layers = ", ".join(contender.layers)
    return (
        ("Detector", printable(contender.detector)),
        ("Options", printable(options) or "none"),
        ("Backbone", printable(f"{contender.backbone}, {contender.image_size} px")),
        ("Layers", printable(layers)),
        ("Backbone fingerprint", printable(contender.fingerprint)),
        ("Adapter", adapter),
        ("Fit", contender.fit),
        *([("Seen", seen)] if (seen := contender.views.words) else []),
        ("Text prior", printable(contender.text_prior) or "none"),
    )

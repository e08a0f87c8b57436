"""What `inctrl evaluate` prints: means over the seeds, and what the audit found."""

from inctrl.evaluation.audit import Finding
from inctrl.evaluation.results import Evaluation
from inctrl.evaluation.tables import Mean, Tables, tables
from inctrl.maths.metrics import METRICS
from inctrl.reporting.words import printable

OVERALL = ("image_auroc", "image_ap", "pixel_auroc", "aupro_30", "false_alarms", "recall")
"""The figures that the last tables show."""
FEWER = (
    "* mean over fewer categories: a contender failed, see the notes, or nothing can be measured "
    "there"
)


def summary(evaluation: Evaluation) -> str:
    """Image AUROC by data set, then the main figures over all; in per cent."""
    found = tables(evaluation)
    seeds = len(evaluation.seeds)
    blocks = [f"per cent, mean +- standard deviation over {seeds} seed{'s' * (seeds > 1)}"]
    if len(found.datasets) > 1:
        blocks += [_block(found, "image_auroc", name) for name in found.datasets]
    blocks += [_block(found, metric, None) for metric in OVERALL]
    return "\n\n".join(block for block in blocks if block) + "\n"


def audit_line(finding: Finding) -> str:
    """One check: pass or FAIL, how far scores moved, and where."""
    name = f"{finding.contender}  {finding.category}  {finding.check}"
    if finding.fault:
        return printable(f"FAIL  {name}  {finding.fault}") + "\n"
    where = f"  ({finding.where})" if finding.moved else ""
    verdict = "pass" if finding.passed else "FAIL"
    return printable(f"{verdict}  {name}  moved {finding.moved:.1e}{where}") + "\n"


def _block(found: Tables, metric: str, dataset: str | None) -> str:
    """A table of one figure; empty where no contender has it."""
    evaluation = found.evaluation
    rows = [
        (
            printable(contender.label),
            [_mean(found, metric, c, k, dataset) for k in range(len(evaluation.shots))],
        )
        for c, contender in enumerate(evaluation.contenders)
    ]
    if all(mean.spread.mean is None for _, means in rows for mean in means):
        return ""
    width = max(24, *(len(label) for label, _ in rows))
    where = printable(f"{dataset or _everything(found)}: {METRICS[metric].title}")
    head = f"{'':{width}}" + "".join(f"{f'k={k}':>16}" for k in evaluation.shots)
    lines = [
        f"{label:{width}}" + "".join(f"{_cell(m):>16}" for m in means) for label, means in rows
    ]
    fewer = any(_fewer(mean) for _, means in rows for mean in means)
    return "\n".join([where, head, *lines, *([FEWER] if fewer else [])])


def _mean(found: Tables, metric: str, contender: int, k: int, dataset: str | None) -> Mean:
    if dataset is None:
        return found.overall(metric, contender, k)
    return found.dataset(metric, contender, dataset, k)


def _everything(found: Tables) -> str:
    if len(found.datasets) > 1:
        return f"mean of {len(found.datasets)} data sets"
    count = len(found.evaluation.tests)
    return f"{found.datasets[0]}, {count} {'category' if count == 1 else 'categories'}"


def _cell(mean: Mean) -> str:
    if mean.spread.mean is None:
        return "n/a"
    sd = "" if mean.spread.sd is None else f" +-{100 * mean.spread.sd:5.2f}"
    return f"{100 * mean.spread.mean:.2f}{sd}{'*' if _fewer(mean) else ''}"


def _fewer(mean: Mean) -> bool:
    """Whether it lacks categories, and may not be compared with one that does not."""
    return mean.spread.mean is not None and mean.parts < mean.of

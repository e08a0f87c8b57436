"""Feedback on a set: what a false alarm, a confirmed defect or its undoing make of it."""

import asyncio
import math
from dataclasses import dataclass

from inctrl.errors import Conflict, UnreadableImage
from inctrl.maths.limits import exceeds
from inctrl.service.effort import looks_at
from inctrl.service.uploads import Upload
from inctrl.service.workbench import Workbench
from inctrl.store import KeptShots, SetVersion
from inctrl.types import Failure


@dataclass(frozen=True)
class Judged:
    """An image as the latest version of a set judges it; its blob is kept, its pixels are not."""

    before: SetVersion
    kept: KeptShots
    score: float
    threshold: float

    @property
    def sha256(self) -> str:
        return self.kept.shots[0].sha256


@dataclass(frozen=True)
class Adjusted:
    """What feedback, or its undoing, did to a set.

    score   of the image before, by which it was judged; NaN for an undoing
    """

    id: str
    before: SetVersion
    after: SetVersion
    threshold_before: float
    threshold_after: float
    score: float

    @property
    def words(self) -> str:
        """It in a sentence."""
        limit, stays = self._limit_words
        if self.before.version != self.after.version:
            name = f"{self.after.name}@{self.after.version}"
            return f"{name} has {len(self.after.shots)} shots; {limit}"
        like_normal = not (math.isnan(self.score) or exceeds(self.score, self.threshold_after))
        if stays and like_normal and math.isfinite(self.threshold_after):
            return f"{limit}: the image scores like a normal one ({self.score:.4f})"
        return limit

    @property
    def _limit_words(self) -> tuple[str, bool]:
        """What became of the limit, and whether it is what it was."""
        old, new = f"{self.threshold_before:.4f}", f"{self.threshold_after:.4f}"
        if not math.isfinite(self.threshold_after):
            more = "" if not math.isfinite(self.threshold_before) else f" any more (it was {old})"
            return f"there is no limit{more}: give more normal images", False
        if not math.isfinite(self.threshold_before):
            return f"there was no limit, now it is {new}", False
        if old == new:
            return f"the limit stays at {old}", True
        return f"the limit moves from {old} to {new}", False


async def false_alarm(bench: Workbench, name: str, upload: Upload, note: str = "") -> Adjusted:
    """Take a query among the normals of a set, as a new version.

    Told again it changes nothing, and gives what it did the first time.
    """
    judged = await _judged(bench, name, upload)
    sets, feedback = bench.store.sets, bench.store.feedback

    def commit() -> tuple[str, SetVersion, SetVersion]:
        with bench.store.database.transaction():
            before = judged.before
            after = sets.add(
                name, judged.kept, note=note, origin="false_alarm", base=before.version
            )
            id = feedback.record(name, judged.sha256, before.version, after.version)
            row = feedback.get(id)
            if row.version_before != before.version:  # that of the first time
                before = sets.get(name, row.version_before)
                after = sets.get(name, row.version_after)
            return id, before, after

    id, before, after = await asyncio.to_thread(commit)
    threshold = judged.threshold if before == judged.before else await _threshold(bench, before)
    return Adjusted(id, before, after, threshold, await _threshold(bench, after), judged.score)


async def confirm_defect(bench: Workbench, name: str, upload: Upload) -> Adjusted:
    """Let a defect count for the limit of a set, and for nothing else."""
    judged = await _judged(bench, name, upload)
    before = judged.before
    id = await asyncio.to_thread(bench.store.feedback.confirm, name, judged.kept)
    threshold = await _threshold(bench, before)
    return Adjusted(id, before, before, judged.threshold, threshold, judged.score)


async def undo(bench: Workbench, id: str) -> Adjusted:
    """Take feedback back: a version without the image, or a limit without the defect."""
    remark = await asyncio.to_thread(bench.store.feedback.get, id)
    if remark.undone:
        raise Conflict(f"feedback {id!r} has been undone already")
    seen = await bench.version(remark.set)
    threshold = await _threshold(bench, seen)

    def commit() -> tuple[SetVersion, SetVersion]:
        with bench.store.database.transaction():
            bench.store.feedback.undo(id)
            latest = bench.store.sets.get(remark.set)
            known = {shot.sha256 for shot in latest.shots}
            made = remark.version_before != remark.version_after
            if remark.kind == "defect" or not made or remark.sha256 not in known:
                return latest, latest
            if len(known) == 1:
                raise Conflict(
                    f"this is the only image left in set {remark.set!r}; add another normal "
                    "image before, or remove the set"
                )
            return latest, bench.store.sets.drop(remark.set, [remark.sha256], origin="undo")

    before, after = await asyncio.to_thread(commit)
    if before != seen:  # somebody has changed the set meanwhile
        threshold = await _threshold(bench, before)
    return Adjusted(id, before, after, threshold, await _threshold(bench, after), float("nan"))


async def _judged(bench: Workbench, name: str, upload: Upload) -> Judged:
    """An image by the latest version of a set."""
    version = await bench.version(name)
    fitted = await bench.fitted(version)
    async with bench.decoded(upload) as (picture, _):
        looks = looks_at(fitted, picture)
        result = await bench.engine.inspect(fitted, picture, float("inf"), looks)
        if isinstance(result, Failure):
            raise UnreadableImage(result.error)
        kept = await asyncio.to_thread(bench.store.sets.keep, [picture])
    return Judged(version, kept, result.score, fitted.calibration.threshold)


async def _threshold(bench: Workbench, version: SetVersion) -> float:
    return (await bench.fitted(version)).calibration.threshold

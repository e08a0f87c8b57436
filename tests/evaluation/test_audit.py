"""The audit finds every way in which a score can know too much, and nothing where it does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from labelled import entrant, plan_of, work_of, write_set

from inctrl.adapters.file import AdapterConfig
from inctrl.adapters.file import save as save_adapter
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.prompt_context import PromptContext
from inctrl.adapters.registration import Registration
from inctrl.backbones.features import Tally
from inctrl.data.categories import Category
from inctrl.data.masks import read_mask
from inctrl.detectors import DETECTORS, build_detector
from inctrl.detectors.incontext import InContext
from inctrl.evaluation.audit import CHECKS, TOLERANCE, Finding, audit
from inctrl.evaluation.contenders import (
    Entrant,
    Spec,
    adapter_spec,
    load_entrants,
    read_spec,
)
from inctrl.evaluation.features import DecodedImages, SharedFeatures
from inctrl.evaluation.score import Scores, score_category
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.types import Prediction


def findings(
    tmp_path: Path, one: Entrant, score: Any = score_category, **options: Any
) -> dict[str, Finding]:
    write_set(tmp_path / "set", **options)
    plan = plan_of(tmp_path / "set", [one], shots=(2,), seeds=1)
    work = work_of(plan, tmp_path / "out")
    return {found.check: found for found in audit(plan, work.contents, work.features, score)}


def failed(found: dict[str, Finding]) -> set[str]:
    return {check for check, finding in found.items() if not finding.passed}


@pytest.mark.parametrize("deep", [False, True])
def test_an_honest_detector_passes_every_check(tmp_path: Path, deep: bool) -> None:
    found = findings(tmp_path, entrant(), deep=deep, good=9, bad=9)
    assert list(found) == list(CHECKS)
    assert failed(found) == set()


class ScaledByItsBatch(InContext):
    """As anomaly maps are often shown: between the least and the greatest of the batch."""

    def score(self, queries: Any, context: Any) -> Prediction:
        made = super().score(queries, context)
        return Prediction(made.score / made.score.max(), made.anomaly_map)


class ScalesMapsByItsBatch(InContext):
    def score(self, queries: Any, context: Any) -> Prediction:
        made = super().score(queries, context)
        return Prediction(made.score, made.anomaly_map - made.anomaly_map.mean(dim=0))


@pytest.mark.parametrize("detector", [ScaledByItsBatch(), ScalesMapsByItsBatch()])
def test_scores_that_depend_on_their_batch_are_found(tmp_path: Path, detector: InContext) -> None:
    found = findings(tmp_path, entrant(detector=detector), good=6, bad=6)
    assert {"batches", "alone"} <= failed(found)
    assert not {"again", "labels", "masks", "encoding"} & failed(found)


class Remembers(InContext):
    """Statistics that run on from call to call, as of a normalisation left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = 0.0

    def score(self, queries: Any, context: Any) -> Prediction:
        made = super().score(queries, context)
        self.mean = 0.9 * self.mean + 0.1 * float(made.score.mean())
        return Prediction(made.score - self.mean, made.anomaly_map)


def test_statistics_that_run_over_calls_are_found(tmp_path: Path) -> None:
    found = findings(tmp_path, entrant(detector=Remembers()), good=9, bad=9)
    assert {"again", "order"} <= failed(found)


class Whitens(FakeBackbone):
    """Features less the mean of those that were encoded with them."""

    def encode_images(self, pixels: Any) -> Any:
        made = super().encode_images(pixels)
        if len(pixels) == 1:
            return made
        return replace(made, patches=tuple(p - p.mean(dim=0) for p in made.patches))


def test_features_that_depend_on_what_is_encoded_with_them_are_found(tmp_path: Path) -> None:
    found = findings(tmp_path, entrant(backbone=Whitens()))
    assert failed(found) == {"encoding"}


def peeks_at_labels(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    """Half of a per cent is enough."""
    made = score_category(fitted, category, opened, together)
    values = zip(made.values, category.test, strict=True)
    return replace(made, values=tuple(v * (1 + 0.005 * s.anomalous) for v, s in values))


def peeks_at_kinds(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    made = score_category(fitted, category, opened, together)
    values = zip(made.values, category.test, strict=True)
    return replace(made, values=tuple(v + 0.1 * (s.kind == "hole") for v, s in values))


def centres_by_class(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    """Turning labels round changes nothing here; dealing them out anew does."""
    made = score_category(fitted, category, opened, together)
    values, bad = np.array(made.values), np.array([s.anomalous for s in category.test])
    for side in (bad, ~bad):
        if side.any():
            values[side] -= values[side].mean()
    return replace(made, values=tuple(values.tolist()))


def knows_how_many_are_bad(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    """Dealing labels out anew changes nothing here; turning them round does."""
    made = score_category(fitted, category, opened, together)
    share = np.mean([sample.anomalous for sample in category.test])
    return replace(made, values=tuple(float(v - 0.01 * share) for v in made.values))


def peeks_at_masks(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    made = score_category(fitted, category, opened, together)
    masked = [s.mask is not None and bool(read_mask(s, (24, 32)).any()) for s in category.test]
    return replace(
        made, values=tuple(v + 0.1 * m for v, m in zip(made.values, masked, strict=True))
    )


def scaled_by_the_test_set(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    """Min-max over all test images, before anything is fused with it."""
    made = score_category(fitted, category, opened, together)
    low, high = min(made.values), max(made.values)
    return replace(made, values=tuple((v - low) / max(high - low, 1e-9) for v in made.values))


def counts_on_the_order(
    fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
) -> Scores:
    """Sets list their defects last or first."""
    made = score_category(fitted, category, opened, together)
    return replace(made, values=tuple(v + 1e-3 * i for i, v in enumerate(made.values)))


@pytest.mark.parametrize(
    ("score", "checks"),
    [
        (peeks_at_labels, {"labels"}),
        (peeks_at_kinds, {"labels"}),
        (centres_by_class, {"labels", "alone"}),
        (knows_how_many_are_bad, {"labels", "alone"}),
        (peeks_at_masks, {"masks"}),
        (scaled_by_the_test_set, {"alone"}),
        (counts_on_the_order, {"order", "alone"}),
    ],
)
def test_a_scorer_that_knows_too_much_is_found_by_the_check_for_it(
    tmp_path: Path, score: Any, checks: set[str]
) -> None:
    assert failed(findings(tmp_path, entrant(), score, good=5, bad=7)) == checks


def test_a_finding_names_the_image_that_moved_most(tmp_path: Path) -> None:
    found = findings(tmp_path, entrant(), counts_on_the_order)["alone"]
    assert found.moved > TOLERANCE
    assert found.where == "field/test/hole/03.png"


def test_a_contender_that_cannot_be_scored_does_not_pass(tmp_path: Path) -> None:
    one = entrant("zeroshot", detector=build_detector("zeroshot"))
    found = findings(tmp_path, one)
    assert failed(found) == {"all"}
    assert "no text tower" in found["all"].fault


def test_few_images_are_looked_at_from_all_over_the_set(tmp_path: Path) -> None:
    seen: set[str] = set()

    def watches(
        fitted: FittedInspector, category: Category, opened: DecodedImages, together: int
    ) -> Scores:
        seen.update(category.short(sample.image) for sample in category.test)
        return score_category(fitted, category, opened, together)

    findings(tmp_path, entrant(), watches, good=60, bad=60)
    assert len(seen) == 40
    assert {"field/test/good/00.png", "field/test/hole/59.png"} <= seen


def random_adapter(kind: str, folder: Path) -> str:
    """An adapter of a kind for `tiny` at 64 pixels, its weights moved at random."""
    backbone = Inspector.load(image_size=64, cache="off").backbone
    seen = backbone.encode_images(torch.zeros(1, 3, 64, 64))
    grids = [tuple(p.shape[1:3]) for p in seen.patches]
    torch.manual_seed(0)
    modules: dict[str, Any] = {
        "inctrl": lambda: InCTRLFusion(seen.image.shape[1], grids[0][0] * grids[0][1]),
        "registration": lambda: Registration([p.shape[3] for p in seen.patches], grids, hidden=8),
        "prompt_context": lambda: PromptContext(4, backbone.embed_words("a").shape[1]),  # type: ignore[attr-defined]
    }
    module = modules[kind]()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    config = AdapterConfig(
        kind=kind,
        backbone="tiny",
        fingerprint=backbone.fingerprint,
        image_size=64,
        layers=tuple(backbone.layers),
        shape=module.shape,
        text=kind != "registration",
    )
    save_adapter(folder, config, module.eval(), "made by a test")
    return str(folder)


def of_every_kind(folder: Path) -> list[Spec]:
    """Every detector of the table, with an adapter where it takes one."""
    kinds = {name: entry.adapter for name, entry in DETECTORS.items()}
    return [
        adapter_spec(random_adapter(kind, folder / name)) if kind else read_spec(name)
        for name, kind in kinds.items()
    ]


@pytest.fixture(scope="module")
def entrants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entrant]:
    specs = of_every_kind(tmp_path_factory.mktemp("adapters"))
    loaded = load_entrants(specs, SharedFeatures(), Tally(), image_size=64)
    return {one.contender.detector: one for one in loaded}


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_passes_on_the_real_backbone(
    tmp_path: Path, entrants: dict[str, Entrant], name: str
) -> None:
    found = findings(tmp_path, entrants[name], good=5, bad=5)
    assert len(found) == len(CHECKS)
    assert [finding for finding in found.values() if not finding.passed] == []

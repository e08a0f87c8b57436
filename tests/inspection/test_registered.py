"""Sets of a store seen by an inspector: prepared once, reused, lowered by confirmed defects."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeBackbone

from inctrl.backbones.cache import FeatureCache
from inctrl.decoding import decode
from inctrl.detectors import build_detector
from inctrl.errors import NotStored
from inctrl.images import Picture
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.registered import Registered
from inctrl.store import Store, open_store
from inctrl.views import AS_THEY_ARE, Views


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def picture(seed: int, shade: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 120, (48, 48, 3), dtype=np.uint8)
    pixels[12:30, 12:30] += np.uint8(shade)
    return decode(pixels, f"{seed}.png")


def inspector(backbone: FakeBackbone, **options: str) -> Inspector:
    return Inspector(backbone, build_detector("incontext", options, None))


def shots(count: int) -> list[Picture]:
    return [picture(seed) for seed in range(count)]


def test_a_set_scores_as_its_shots_do(store: Store) -> None:
    store.sets.create("part", shots(4), item="part")
    of_store = Registered(store, inspector(FakeBackbone())).fitted("part")
    alone = inspector(FakeBackbone()).fit(shots(4), item="part")
    query = picture(9, 80)
    for fitted in (of_store, Registered(store, inspector(FakeBackbone())).fitted("part@1")):
        result, expected = fitted.inspect([query])[0], alone.inspect([query])[0]
        assert result.score == expected.score
        assert result.threshold == expected.threshold
        assert result.evidence == expected.evidence
        np.testing.assert_array_equal(result.anomaly_map, expected.anomaly_map)
    assert of_store.card == replace(alone.card, normal_set="part@1")


def test_a_version_that_is_known_encodes_no_shot(store: Store) -> None:
    store.sets.create("part", shots(4))
    first, second = FakeBackbone(), FakeBackbone()
    Registered(store, inspector(first)).fitted("part")
    assert first.encoded == 4
    fitted = Registered(store, inspector(second)).fitted("part")
    assert second.encoded == 0
    fitted.inspect([picture(9)])
    assert second.encoded == 1


@pytest.mark.parametrize("views", [Views("any", 1), Views("fixed", 2), Views("any", "auto")])
def test_a_set_is_prepared_and_found_again_as_it_is_seen(store: Store, views: Views) -> None:
    store.sets.create("part", shots(4), item="part", views=views)
    alone = inspector(FakeBackbone()).fit(shots(4), item="part", **vars(views))
    first, second = FakeBackbone(), FakeBackbone()
    query = picture(9, 80)
    for backbone in (first, second):
        fitted = Registered(store, inspector(backbone)).fitted("part")
        before = backbone.encoded
        result, expected = fitted.inspect([query])[0], alone.inspect([query])[0]
        assert result.score == expected.score
        assert result.threshold == expected.threshold
        assert result.evidence == expected.evidence
        assert fitted.card == replace(alone.card, normal_set="part@1")
        assert (fitted.orientation, fitted.tiles) == (views.orientation, views.tiles)
    assert before == 0  # of the second: no shot is encoded again
    store.sets.change("part", orientation="fixed", tiles=1)
    latest, former = (Registered(store, inspector(second)).fitted(n) for n in ("part", "part@1"))
    assert (latest.views, former.views) == (AS_THEY_ARE, views)
    assert latest.inspect([query])[0].score != former.inspect([query])[0].score


def test_a_new_version_encodes_only_what_is_new(store: Store) -> None:
    store.sets.create("part", shots(4))
    Registered(store, inspector(FakeBackbone())).fitted("part")
    store.sets.add("part", [picture(50)])
    backbone = FakeBackbone()
    fitted = Registered(store, inspector(backbone)).fitted("part")
    assert backbone.encoded == 1
    assert fitted.normal_set == "part@2"
    assert len(fitted.shots) == 5


@pytest.mark.parametrize(
    "other",
    [
        lambda: inspector(FakeBackbone(fingerprint="fake-2")),
        lambda: inspector(FakeBackbone(), top_share="0.5"),
        lambda: Inspector(FakeBackbone(), build_detector("patchcore", {}, None)),
        lambda: replace(inspector(FakeBackbone()), fit_mode="crop"),
    ],
    ids=["backbone", "option", "detector", "fit"],
)
def test_each_inspector_has_a_context_of_its_own(store: Store, other) -> None:  # type: ignore[no-untyped-def]
    version = store.sets.create("part", shots(3))
    mine = Registered(store, inspector(FakeBackbone()))
    theirs = Registered(store, other())
    assert mine.key(version) != theirs.key(version)
    for registered in (mine, theirs):
        registered.prepared(version)
    assert store.contexts.count("part") == 2


def test_queries_leave_nothing_in_the_store(store: Store) -> None:
    store.sets.create("part", shots(3))
    fitted = Registered(store, inspector(FakeBackbone())).fitted("part")

    def files() -> set[Path]:
        return {path for path in store.folder.rglob("*.safetensors") if path.is_file()}

    before = files()
    fitted.inspect([picture(9), picture(10)])
    assert files() == before


def test_features_beyond_their_bound_are_forgotten_when_a_set_is_prepared(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.sets.create("part", shots(3))
    monkeypatch.setattr("inctrl.inspection.registered.FeatureCache", partial(FeatureCache, limit=1))
    Registered(store, inspector(FakeBackbone())).fitted("part")
    assert list(store.features_folder.rglob("*.safetensors")) == []
    monkeypatch.undo()
    store.sets.add("part", [picture(50)])
    Registered(store, inspector(FakeBackbone())).fitted("part")
    assert len(list(store.features_folder.rglob("*.safetensors"))) == 4


def test_alpha_is_chosen_when_a_set_is_used(store: Store) -> None:
    store.sets.create("part", shots(5))
    loose, tight = (
        Registered(store, inspector(FakeBackbone())).fitted("part", alpha=alpha)
        for alpha in (0.3, 0.01)
    )
    assert loose.calibration.threshold < tight.calibration.threshold


def test_a_confirmed_defect_moves_the_limit_and_nothing_else(store: Store) -> None:
    store.sets.create("part", shots(5))
    backbone = FakeBackbone()
    registered = Registered(store, inspector(backbone))
    before = registered.fitted("part")
    highest, limit = max(before.calibration.scores), before.calibration.threshold
    candidates = [picture(seed) for seed in range(20, 140)]
    scores = [result.score for result in before.inspect(candidates)]
    missed = [i for i, score in enumerate(scores) if highest < score <= limit]
    defect, score = candidates[missed[0]], scores[missed[0]]
    id = store.feedback.confirm("part", defect)
    after = registered.fitted("part")
    assert after.calibration.threshold == pytest.approx((highest + score) / 2)
    assert after.calibration.calibrated == before.calibration.threshold
    assert after.inspect([defect])[0].score == score
    assert after.normal_set == before.normal_set
    encoded = backbone.encoded
    registered.fitted("part")
    assert backbone.encoded == encoded  # its score is remembered
    store.feedback.undo(id)
    assert registered.fitted("part").calibration.threshold == before.calibration.threshold


def test_a_name_that_is_not_there_says_so(store: Store) -> None:
    store.sets.create("part", shots(2))
    for reference in ("other", "part@2"):
        with pytest.raises(NotStored, match=reference.split("@")[0]):
            Registered(store, inspector(FakeBackbone())).fitted(reference)

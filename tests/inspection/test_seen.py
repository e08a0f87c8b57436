"""Parts that lie any way round, and images seen in tiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from torch import Tensor
from torch.nn import functional as F

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.backbones.cache import FeatureCache
from inctrl.decoding import open_image
from inctrl.detectors import build_detector
from inctrl.detectors.coop import CoOp
from inctrl.detectors.incontext import InContext, InContextOptions
from inctrl.detectors.inctrl import InCTRL, InCTRLOptions
from inctrl.errors import UsageError
from inctrl.inspection import seen
from inctrl.inspection.fitted import inspect_together
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.maths.turns import turned
from inctrl.protocols import Detector
from inctrl.types import Fit, Result
from inctrl.views import Tiles


def part(seed: int, size: tuple[int, int] = (96, 96), spot: bool = False) -> np.ndarray:
    """A grey field with a blue bar above its middle; the spot is a small red square."""
    random = np.random.default_rng(seed)
    pixels = random.normal(120, 3, (*size, 3)).clip(0, 255).astype(np.uint8)
    height, width = size
    pixels[height // 8 : height // 4, width // 4 : 3 * width // 4] = (30, 40, 200)
    if spot:
        pixels[-9:-3, 6:12] = (250, 20, 20)
    return pixels


def inspector(**options: object) -> Inspector:
    return Inspector(FakeBackbone(), InContext(), cache=None, **options)  # type: ignore[arg-type]


SHOTS = [part(seed) for seed in range(4)]
FIELDS = [np.full((300, 400, 3), 118 + i, dtype=np.uint8) for i in range(3)]


class Directional(FakeBackbone):
    """Sees of each cell how much brighter it is to the right, and below."""

    def _cells(self, pixels: Tensor, grid: int) -> Tensor:
        quarters = F.adaptive_avg_pool2d(pixels.mean(dim=1, keepdim=True), 2 * grid)[:, 0]
        corners = quarters.unflatten(1, (grid, 2)).unflatten(3, (grid, 2))  # b h y w x
        right = corners[..., 1].mean(2) - corners[..., 0].mean(2)
        below = corners[:, :, 1].mean(3) - corners[:, :, 0].mean(3)
        return torch.stack([right, below, torch.full_like(right, 0.02)], dim=-1)


def ramp(seed: int, spot: bool = False) -> np.ndarray:
    """Brighter from left to right; the spot is darker to its right."""
    random = np.random.default_rng(seed)
    values = 40 + 1.5 * np.arange(96) + random.normal(0, 1, (96, 1))
    pixels = np.repeat(values[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    if spot:
        pixels[36:60, 36:60] = pixels[36:60, 36:60][:, ::-1]
    return pixels


def test_parts_turned_in_any_way_are_normal_where_the_shots_are_turned_too() -> None:
    directed = Inspector(Directional(), InContext())
    shots = [ramp(seed) for seed in range(4)]
    queries = [turned(ramp(50 + turn), turn) for turn in range(8)]
    fixed = directed.fit(shots).inspect(queries)
    anyway = directed.fit(shots, orientation="any").inspect(queries)
    assert [result.verdict for result in fixed[1:]] == ["anomalous"] * 7
    assert not any(anyway[turn].verdict == "anomalous" for turn in (0, 2, 4, 6))
    assert all(b.score < a.score for a, b in zip(fixed[1:], anyway[1:], strict=True))


@pytest.mark.parametrize("turn", [0, 1, 2, 6])
def test_a_defect_on_a_turned_part_is_still_found(turn: int) -> None:
    fitted = inspector().fit(SHOTS, orientation="any")
    query = part(60)
    query[54:66, 30:48] = (250, 20, 20)
    [result] = fitted.inspect([turned(query, turn)])
    assert result.verdict == "anomalous"


def test_a_left_out_shot_is_left_out_with_its_turns() -> None:
    """Against its own turns it would score like a copy of itself."""
    unlike = [turned(part(seed), turn) for seed, turn in ((0, 0), (1, 2), (2, 4))]
    odd = part(3, spot=True)
    fitted = inspector().fit([*unlike, odd], orientation="any")
    assert fitted.calibration.scores[3] > 5 * max(fitted.calibration.scores[:3])


def test_evidence_shows_the_place_in_the_unturned_shot() -> None:
    """The bar of a query lies where that of an upside-down shot does not."""
    fitted = inspector().fit([part(0)], orientation="any")
    query = turned(part(9), 4)
    query[72:84, 24:72] = (60, 70, 255)  # the bar, a little lighter: the worst place
    [result] = fitted.inspect([query])
    evidence = result.evidence
    assert evidence is not None
    assert evidence.query_box.top >= 60
    assert evidence.shot_box.bottom <= 36
    box = evidence.shot_box
    shown = fitted.shots[0].rgb[box.top : box.bottom, box.left : box.right].reshape(-1, 3)
    assert shown.mean(axis=0)[2] > 150


@pytest.mark.parametrize("orientation", ["fixed", "any"])
def test_evidence_shows_the_place_of_a_tile_in_the_whole_shot(orientation: str) -> None:
    rgb = part(0, (240, 320))
    rgb[200:230, 20:60] = (20, 200, 40)
    query = part(1, (240, 320))
    query[200:230, 20:60] = (20, 230, 40)
    fitted = inspector().fit([rgb], orientation=orientation, tiles=4)  # type: ignore[arg-type]
    [result] = fitted.inspect([query])
    assert result.evidence is not None
    for box in (result.evidence.query_box, result.evidence.shot_box):
        assert 180 <= box.top < box.bottom <= 240
        assert 0 <= box.left < box.right <= 80


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(96, 96), (120, 200), (31, 400), (5, 9)])
@pytest.mark.parametrize("tiles", [1, 2, 3, "auto"])
def test_maps_of_tiled_images_come_back_at_the_size_of_the_image(
    tiles: Tiles, size: tuple[int, int], fit: Fit
) -> None:
    fitted = inspector(fit_mode=fit).fit([part(s, size) for s in range(3)], tiles=tiles)
    [result] = fitted.inspect([part(9, size)])
    assert result.anomaly_map.shape == size
    assert np.isfinite(result.anomaly_map).all()


@pytest.mark.parametrize("tiles", [1, 2, 3, 4, 8, "auto"])
def test_a_uniform_image_has_a_uniform_map(tiles: Tiles) -> None:
    fitted = inspector().fit(FIELDS, tiles=tiles)
    [result] = fitted.inspect([np.full((300, 400, 3), 160, dtype=np.uint8)])
    assert float(np.ptp(result.anomaly_map)) < 1e-6
    assert result.anomaly_map.mean() > 1e-5


def test_a_small_defect_that_the_whole_view_misses_is_found_in_tiles() -> None:
    shots = [part(seed, (384, 512)) for seed in range(4)]
    query = part(9, (384, 512))
    query[300:306, 200:206] = (160, 110, 120)
    [whole], [tiled] = (inspector().fit(shots, tiles=n).inspect([query]) for n in (1, 8))
    assert whole.verdict != "anomalous"
    assert tiled.verdict == "anomalous"
    row, column = np.unravel_index(tiled.anomaly_map.argmax(), tiled.anomaly_map.shape)
    assert abs(row - 303) < 12
    assert abs(column - 203) < 12


def test_one_by_one_equals_batches_and_shots_and_queries_may_differ_in_size() -> None:
    shots = [part(seed, size) for seed, size in enumerate([(96, 96), (120, 90), (200, 300)])]
    queries = [part(20 + i, size, spot=i % 2 == 0) for i, size in enumerate([(64, 64), (90, 200)])]
    queries += [part(30, (400, 260), spot=True), part(31, (70, 70))]
    for tiles in (3, "auto"):
        scores = [
            [r.score for r in inspector(batch=batch).fit(shots, tiles=tiles).inspect(queries)]  # type: ignore[arg-type]
            for batch in (1, 3, 64)
        ]
        for other in scores[1:]:
            assert other == pytest.approx(scores[0], abs=1e-6)


def test_queries_of_sets_with_other_tiles_are_encoded_together_and_score_the_same() -> None:
    one = inspector()
    fitted = [one.fit(SHOTS, tiles=tiles) for tiles in (1, 3, 2)]
    query = part(40, spot=True)
    alone = [f.inspect([query])[0] for f in fitted]
    together = inspect_together([(f, open_image(query)) for f in fitted])
    for mine, other in zip(together, alone, strict=True):
        assert isinstance(mine, Result)
        assert mine.score == pytest.approx(other.score, abs=1e-6)
        assert np.allclose(mine.anomaly_map, other.anomaly_map, atol=1e-6)


def test_small_images_are_seen_as_a_whole_by_auto_exactly_as_without() -> None:
    queries = [part(20, (60, 60)), part(21, (60, 60), spot=True)]
    shots = [part(seed, (60, 60)) for seed in range(3)]
    plain, auto = inspector().fit(shots), inspector().fit(shots, tiles="auto")
    for a, b in zip(plain.inspect(queries), auto.inspect(queries), strict=True):
        assert a.score == b.score
        assert np.array_equal(a.anomaly_map, b.anomaly_map)
        assert a.evidence == b.evidence
    assert plain.calibration == auto.calibration


def test_the_bank_is_bounded_and_evidence_still_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 400)
    monkeypatch.setattr(seen, "PER_SHOT", 640)
    shots = [part(s, (240, 320)) for s in range(4)]
    fitted = inspector().fit(shots, orientation="any", tiles=4)
    assert len(fitted.context.patches[0]) == 400
    query = part(9, (240, 320))
    query[30:60, 80:240] = (60, 70, 255)
    [result] = fitted.inspect([query])
    assert result.evidence is not None
    box = result.evidence.shot_box
    shown = fitted.shots[result.evidence.shot].rgb[box.top : box.bottom, box.left : box.right]
    assert shown.reshape(-1, 3).mean(axis=0)[2] > 140
    again = inspector().fit(shots, orientation="any", tiles=4).inspect([query])[0]
    assert again.score == result.score


def test_the_order_of_the_shots_does_not_matter_to_a_thinned_bank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seen, "MOST", 200)
    shots = [part(s, (240, 320)) for s in range(4)]
    found = [
        inspector().fit(order, tiles=3).inspect([part(9, (240, 320))])[0].score
        for order in (shots, shots[::-1])
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize("views", [{"orientation": "any"}, {"tiles": 3}])
def test_views_are_told_apart_in_the_cache(tmp_path: Path, views: dict[str, object]) -> None:
    cached = inspector()
    first = cached.fit(SHOTS, **views).inspect([part(9)])[0].score  # type: ignore[arg-type]
    remembering = Inspector(FakeBackbone(), InContext(), cache=FeatureCache(tmp_path))
    for _ in range(2):
        again = remembering.fit(SHOTS, **views).inspect([part(9)])[0].score  # type: ignore[arg-type]
        assert again == pytest.approx(first, abs=1e-7)
    plain = remembering.fit(SHOTS).inspect([part(9)])[0].score
    assert plain == pytest.approx(inspector().fit(SHOTS).inspect([part(9)])[0].score, abs=1e-7)


@pytest.mark.parametrize(
    "views", [{}, {"orientation": "any"}, {"tiles": 3}, {"orientation": "any", "tiles": "auto"}]
)
def test_a_saved_context_keeps_how_images_are_seen(
    tmp_path: Path, views: dict[str, object]
) -> None:
    query = part(9, (200, 260), spot=True)
    fitted = inspector().fit([part(s, (200, 260)) for s in range(3)], **views)  # type: ignore[arg-type]
    save_context(fitted, tmp_path / "saved")
    read = load_context(inspector(), tmp_path / "saved")
    assert (read.orientation, read.tiles) == (
        views.get("orientation", "fixed"),
        views.get("tiles", 1),
    )
    assert read.card == fitted.card
    [before], [after] = fitted.inspect([query]), read.inspect([query])
    assert before.score == after.score
    assert np.array_equal(before.anomaly_map, after.anomaly_map)
    assert before.evidence == after.evidence


@pytest.mark.parametrize(
    "detector",
    [*map(build_detector, ("padim", "regad", "zeroshot")), CoOp(0.1)],
    ids=lambda detector: detector.name,
)
@pytest.mark.parametrize("views", [{"orientation": "any"}, {"tiles": 2}, {"tiles": "auto"}])
def test_a_detector_that_compares_equal_places_refuses(
    detector: Detector[Any], views: dict[str, object]
) -> None:
    name = detector.name
    with pytest.raises(UsageError, match=f"{name!r} does not look for patches at any place"):
        Inspector(FakeBackbone(), detector).fit(SHOTS, **views)  # type: ignore[arg-type]


class Outside(InContext):
    """Somebody's own, which no table knows."""

    name = "outside"


def test_a_detector_of_no_table_says_itself_whether_it_looks_at_any_place() -> None:
    anyhow = [turned(shot, 2 * number) for number, shot in enumerate(SHOTS)]
    fitted = Inspector(FakeBackbone(), Outside()).fit(anyhow)
    assert any("orientation 'any'" in line for line in fitted.calibration.warnings)
    assert Inspector(FakeBackbone(), Outside()).fit(SHOTS, tiles=2).tiles == 2


@pytest.mark.parametrize("name", ["incontext", "patchcore", "spade"])
@pytest.mark.parametrize("views", [{"orientation": "any"}, {"tiles": 3}])
def test_detectors_that_look_at_any_place_find_the_spot_in_all_views(
    name: str, views: dict[str, object]
) -> None:
    fitted = Inspector(FakeBackbone(), build_detector(name)).fit(SHOTS, **views)  # type: ignore[arg-type]
    good, bad = fitted.inspect([part(70), part(71, spot=True)])
    if name != "spade":  # whose score is of the image as a whole, not of a place
        assert bad.score > good.score
    assert bad.evidence is not None
    row, column = np.unravel_index(bad.anomaly_map.argmax(), bad.anomaly_map.shape)
    assert row > 70
    assert column < 30


def place(result: Result) -> tuple[int, int]:
    row, column = np.unravel_index(result.anomaly_map.argmax(), result.anomaly_map.shape)
    return int(row), int(column)


@pytest.mark.parametrize("views", [{"orientation": "any"}, {"tiles": 2}])
def test_a_trained_fusion_sees_each_tile_as_a_query_of_its_own(views: dict[str, object]) -> None:
    detector = InCTRL(InCTRLFusion(7, 64), text=False, options=InCTRLOptions())
    fitted = Inspector(FakeBackbone(), detector).fit(SHOTS, **views)  # type: ignore[arg-type]
    [result] = fitted.inspect([part(71, spot=True)])
    row, column = place(result)
    assert row > 70
    assert column < 30


@pytest.mark.parametrize("views", [{"orientation": "any"}, {"tiles": 2}])
def test_windows_and_sentences_work_on_tiles_too(views: dict[str, object]) -> None:
    detector = Inspector.load(
        "tiny", detector="winclip", device="cpu", image_size=96, cache="off", layers=["stride8"]
    )
    fitted = detector.fit(SHOTS[:2], **views)  # type: ignore[arg-type]
    query = part(71, (192, 192))
    query[150:180, 10:40] = (250, 20, 20)
    [result] = fitted.inspect([query])
    assert result.anomaly_map.shape == (192, 192)
    row, column = place(result)
    assert row > 120
    assert column < 70
    [alone] = detector.fit([], **views).inspect([query])  # type: ignore[arg-type]
    assert alone.verdict == "undecided"
    assert np.isfinite(alone.anomaly_map).all()


def test_parts_that_ask_for_the_place_of_a_patch_keep_their_grids() -> None:
    detector = InContext(InContextOptions(position_weight=0.5))
    fitted = Inspector(FakeBackbone(), detector).fit(SHOTS, orientation="any")
    assert fitted.context.patches[0].shape == (32, 8, 8, 7)


def test_more_patches_than_can_be_compared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST_WHOLE", 1000)
    spade = Inspector(FakeBackbone(), build_detector("spade"))
    with pytest.raises(UsageError, match=r"of shot 'array' are more .* fewer tiles or fewer shots"):
        spade.fit(SHOTS, orientation="any", tiles=2)
    with pytest.raises(UsageError, match="1024 patches of 4 shots are more"):
        spade.fit(SHOTS, tiles=2)


def test_tiles_of_what_is_cropped_would_have_gaps() -> None:
    with pytest.raises(UsageError, match="'crop' leaves out the borders"):
        inspector(fit_mode="crop").fit(SHOTS, tiles=2)
    inspector(fit_mode="crop").fit(SHOTS, orientation="any")


@pytest.mark.parametrize("tiles", [0, -1, 9, "many"])
def test_a_number_of_tiles_is_checked(tiles: object) -> None:
    with pytest.raises(UsageError, match="tiles"):
        inspector().fit(SHOTS, tiles=tiles)  # type: ignore[arg-type]

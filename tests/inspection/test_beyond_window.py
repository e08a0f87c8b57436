"""A defect brighter or darker than all normal images is never lost in the window."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeBackbone
from numpy.typing import NDArray

from inctrl.detectors.incontext import InContext
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.images import Window
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.types import Result


def part(
    seed: int, spot: int | None = None, side: int = 16, dtype: type = np.uint16
) -> NDArray[np.generic]:
    """A noisy field of about 1600, a plateau of 4000 on its right, and a spot on the plateau."""
    random = np.random.default_rng(seed)
    values = random.normal(1600, 60, (80, 80)) + random.uniform(-400, 400, (10, 10)).repeat(
        8, 0
    ).repeat(8, 1)
    values[:, 40:] = random.normal(4000, 3, (80, 40))
    if spot is not None:
        values[30 : 30 + side, 50 : 50 + side] = spot
    return values.astype(dtype)


def inspector() -> Inspector:
    return Inspector(backbone=FakeBackbone(), detector=InContext())


def fitted(dtype: type = np.uint16, window: Window | None = None) -> FittedInspector:
    return inspector().fit([part(seed, dtype=dtype) for seed in range(4)], window=window)


def judged(fit: FittedInspector, query: NDArray[np.generic]) -> Result:
    [result] = fit.inspect([query])
    return result


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("spot", [65_000, 30_000, 0])
def test_a_spot_far_beyond_the_window_is_anomalous_at_its_place(dtype: type, spot: int) -> None:
    result = judged(fitted(dtype), part(50, spot, dtype=dtype))
    assert result.verdict == "anomalous"
    assert any("of the pixels lie far" in note for note in result.notes)
    row, column = np.unravel_index(result.anomaly_map.argmax(), result.anomaly_map.shape)
    assert 22 <= row < 54
    assert 42 <= column < 74


def test_a_spot_too_small_for_the_map_is_undecided_and_told() -> None:
    query = part(50)
    query[30, 50:55] = 65_000
    result = judged(fitted(), query)
    assert result.score <= result.threshold
    assert result.verdict == "undecided"
    assert any("(up to 65000)" in note for note in result.notes)


def test_a_good_image_with_two_hot_pixels_is_normal_with_the_same_score_but_for_them() -> None:
    query = part(50)
    query[5, 5] = query[60, 70] = 65_535
    good, hot = judged(fitted(), part(50)), judged(fitted(), query)
    assert good.verdict == hot.verdict == "normal"
    assert hot.score == pytest.approx(good.score, rel=0.02)
    assert any("taken for hot or dead" in note for note in hot.notes)


def test_values_that_normal_images_reach_too_are_nothing_to_tell() -> None:
    shots = [part(seed, 9000, side=6) for seed in range(4)]
    result = judged(inspector().fit(shots), part(50, 9000, side=6))
    assert not any("of the pixels lie" in note for note in result.notes)


def test_a_window_by_hand_is_no_way_to_lose_them_either() -> None:
    result = judged(fitted(window=Window(1000, 4500)), part(50, 65_000))
    assert result.verdict == "anomalous"
    assert fitted(window=Window(1000, 4500)).card.window == (1000, 4500)


def test_a_saved_context_knows_how_far_its_shots_reach(tmp_path: Path) -> None:
    fit, query = fitted(), part(50, 65_000)
    save_context(fit, tmp_path / "c")
    kept = load_context(inspector(), tmp_path / "c")
    assert kept.window == fit.window
    assert judged(kept, query).score == judged(fit, query).score
    assert judged(kept, query).notes == judged(fit, query).notes


def test_a_context_of_before_does_not_call_such_an_image_normal(tmp_path: Path) -> None:
    save_context(fitted(), tmp_path / "c")
    index = json.loads((tmp_path / "c/context.json").read_text())
    del index["reach"]
    (tmp_path / "c/context.json").write_text(json.dumps(index))
    kept = load_context(inspector(), tmp_path / "c")
    assert judged(kept, part(50)).verdict == "normal"
    result = judged(kept, part(50, 65_000))
    assert result.verdict != "normal"
    assert any("far above the window" in note for note in result.notes)


def test_without_shots_the_window_by_hand_stands_for_them() -> None:
    alone = Inspector(FakeBackbone(has_text=True), ZeroShot()).fit([], window=Window(1000, 4500))
    assert any("far above the window" in note for note in judged(alone, part(50, 65_000)).notes)
    assert not any("far above" in note for note in judged(alone, part(50)).notes)


def test_images_of_another_depth_than_the_shots_are_never_called_normal() -> None:
    shallow = [np.clip(part(seed) / 16, 0, 255).astype(np.uint8) for seed in range(5)]
    for shots, query in (
        (shallow[:4], shallow[4].astype(np.uint16)),
        ([part(seed) for seed in range(4)], shallow[4]),
    ):
        result = judged(inspector().fit(shots), query)
        assert result.verdict != "normal"
        assert any("brightness cannot be compared" in note for note in result.notes)


def test_an_image_marked_as_too_bright_is_not_called_darker_than_the_shots() -> None:
    """Red is darker than the white that it stands for."""
    result = judged(fitted(), np.full((80, 80), 65_000, np.uint16))
    assert "100 % of the pixels lie far above" in result.notes[1]
    assert not any("darker" in note or "blurrier" in note for note in result.notes)

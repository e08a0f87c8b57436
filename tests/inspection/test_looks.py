"""A query that is unlike the shots as a photograph is said to be so; its verdict stays."""

import io

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest
from fakes import FakeBackbone
from numpy.typing import NDArray

from inctrl.detectors.incontext import InContext
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.inspection.inputs import SHOWN
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]


def part(seed: int, defect: bool = False) -> Pixels:
    """A gray part with ridges, 64 x 64, each a little different; the defect is a dark spot."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    values = (
        90 + 0.6 * y + 40 * (np.sin(x / 2 + random.random()) > 0) + random.normal(0, 1, (64, 64))
    )
    values *= 1 + 0.05 * random.standard_normal()
    if defect:
        values[(y - 40) ** 2 + (x - 30) ** 2 < 40] = 20
    return np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noisy(pixels: Pixels, level: float = 12) -> Pixels:
    shaken = pixels + np.random.default_rng(9).normal(0, level, pixels.shape)
    return shaken.clip(0, 255).astype(np.uint8)


def blurred(pixels: Pixels, radius: float = 1.5) -> Pixels:
    return np.asarray(PIL.Image.fromarray(pixels).filter(PIL.ImageFilter.GaussianBlur(radius)))


def brighter(pixels: Pixels) -> Pixels:
    return (pixels.astype(float) * 1.7).clip(0, 255).astype(np.uint8)


def darker(pixels: Pixels) -> Pixels:
    return (pixels * 0.4).astype(np.uint8)


def compressed(pixels: Pixels) -> Pixels:
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG", quality=10)
    return np.asarray(PIL.Image.open(stream).convert("RGB"))


def smaller(pixels: Pixels) -> Pixels:
    return np.asarray(PIL.Image.fromarray(pixels).resize((32, 32), PIL.Image.Resampling.LANCZOS))


class Finer(FakeBackbone):
    """Sees 64 pixels a side, so that the parts are shown as they are."""

    def __init__(self) -> None:
        super().__init__()
        half = (0.5, 0.5, 0.5)
        self.preprocessing = Preprocessing(size=64, mean=half, std=half)


def inspector() -> Inspector:
    return Inspector(Finer(), InContext())


SHOTS = [part(seed) for seed in range(4)]


def notes(query: Pixels, shots: list[Pixels] = SHOTS) -> str:
    [result] = inspector().fit(shots).inspect([query])
    return "; ".join(result.notes)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (noisy, "noisier"),
        (blurred, "blurrier"),
        (brighter, "brighter"),
        (darker, "darker"),
        (smaller, "smaller"),
    ],
)
def test_a_query_unlike_the_shots_as_a_photograph_is_named(change: object, word: str) -> None:
    said = notes(change(part(70)))  # type: ignore[operator]
    assert word in said
    assert "than the shots: its score may be higher for that alone" in said


def test_a_query_saved_at_a_lower_quality_than_the_shots_is_named() -> None:
    random = np.random.default_rng(0)
    shade = np.add.outer(np.arange(64), np.arange(64))[..., None]
    grainy = [(60 + shade + random.normal(0, 4, (64, 64, 3))).astype(np.uint8) for _ in range(5)]
    assert "more compressed than the shots" in notes(compressed(grainy[4]), grainy[:4])
    assert "more compressed" not in notes(grainy[4], grainy[:4])


def test_one_shot_is_enough_to_name_a_gross_difference() -> None:
    assert "noisier than the shots" in notes(noisy(part(70), 40), SHOTS[:1])
    assert "than the shots" not in notes(darker(part(70)), SHOTS[:1])  # parts may vary so much


def test_several_differences_stand_in_one_note() -> None:
    assert "darker and smaller than the shots" in notes(darker(smaller(part(70))))


@pytest.mark.parametrize("query", [part(71), part(72), SHOTS[0], part(73, defect=True)])
def test_queries_photographed_like_the_shots_have_no_such_note(query: Pixels) -> None:
    assert "than the shots" not in notes(query)


def test_a_larger_query_is_nothing_to_warn_of() -> None:
    assert "than the shots" not in notes(np.repeat(np.repeat(part(70), 2, axis=0), 2, axis=1))


def test_beyond_what_the_tower_sees_fewer_pixels_are_not_smaller() -> None:
    large = [np.asarray(PIL.Image.fromarray(shot).resize((512, 512))) for shot in SHOTS]
    half = np.asarray(PIL.Image.fromarray(part(70)).resize((200, 200)))
    assert "smaller" not in notes(half, large)


def test_photographs_too_large_to_be_kept_whole_are_like_their_shots() -> None:
    large = [np.repeat(np.repeat(part(seed), 36, axis=0), 36, axis=1) for seed in (0, 1, 2, 70)]
    assert large[0].shape[0] ** 2 > SHOWN
    assert "than the shots" not in notes(large[3], large[:3])
    assert "blurrier than the shots" in notes(blurred(large[3], 60), large[:3])


def test_the_note_changes_no_verdict_and_no_score() -> None:
    fitted = inspector().fit(SHOTS)
    for query in (noisy(part(70)), darker(part(73, defect=True))):
        [result] = fitted.inspect([query])
        assert result.verdict == fitted.calibration.judge(result.score)


def test_a_loaded_context_and_another_alpha_say_the_same(tmp_path: object) -> None:
    fitted = inspector().fit(SHOTS)
    save_context(fitted, f"{tmp_path}/context")
    loaded = load_context(inspector(), f"{tmp_path}/context")
    query = noisy(part(70))
    said = [one.inspect([query])[0].notes for one in (fitted, loaded, fitted.with_alpha(0.3))]
    assert said[0] == said[1] == said[2]
    assert fitted.with_alpha(0.3).looks is fitted.looks  # the shots are looked at once


def test_without_shots_nothing_is_compared() -> None:
    fitted = Inspector(FakeBackbone(has_text=True), ZeroShot()).fit([])
    [result] = fitted.inspect([noisy(part(70))])
    assert not any("than the shots" in note for note in result.notes)

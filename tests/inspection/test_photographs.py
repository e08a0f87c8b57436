"""One photograph saved several times is one shot: it does not show how normal images vary."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fakes import FakeBackbone
from scipy import ndimage

from inctrl.decoding import open_image
from inctrl.detectors.incontext import InContext
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.photographs import copies_told, photographs
from inctrl.inspection.saved import load_context, save_context


def photograph(seed: int, size: tuple[int, int] = (240, 200)) -> PIL.Image.Image:
    """Soft shapes of some colour with a fine grain."""
    random = np.random.default_rng(seed)
    shapes = ndimage.gaussian_filter(random.normal(0, 1, (size[1], size[0], 3)), (9, 9, 0)) * 700
    grain = ndimage.gaussian_filter(random.normal(0, 1, (size[1], size[0], 1)), (1, 1, 0)) * 20
    pixels = np.clip(120 + random.normal(0, 9, 3) + shapes + grain, 0, 255)
    return PIL.Image.fromarray(pixels.astype(np.uint8))


def saved(image: PIL.Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def moved(image: PIL.Image.Image, by: int) -> bytes:
    pixels = np.pad(np.asarray(image), ((by, 0), (by, 0), (0, 0)), mode="reflect")
    return saved(PIL.Image.fromarray(pixels[:-by, :-by]), "PNG")


def exposed(image: PIL.Image.Image, gain: float) -> bytes:
    return saved(image.point(lambda level: round(level * gain)), "PNG")


ONE = photograph(0)
COPIES = {
    "quality 95": saved(ONE, quality=95),
    "quality 80": saved(ONE, quality=80),
    "quality 60": saved(ONE, quality=60),
    "quality 40": saved(ONE, quality=40),
    "webp": saved(ONE, "WEBP", quality=70),
    "half": saved(ONE.resize((120, 100)), "PNG"),
    "three quarters": saved(ONE.resize((180, 150)), quality=90),
    "darker": exposed(ONE, 0.95),
    "brighter": exposed(ONE, 1.05),
    "moved by 1": moved(ONE, 1),
    "moved by 3": moved(ONE, 3),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_photograph_saved_again_is_found(name: str) -> None:
    images = [open_image(saved(ONE, "PNG"), "a"), open_image(COPIES[name], name)]
    assert photographs(images) == [[0, 1]]


def test_different_photographs_are_not_taken_for_one() -> None:
    images = [open_image(saved(photograph(seed)), str(seed)) for seed in range(8)]
    assert photographs(images) == [[i] for i in range(8)]
    assert photographs([]) == []
    assert copies_told([[0], [1]], ["a", "b"]) == ()


def test_copies_are_named_with_what_they_are_copies_of() -> None:
    names = list("abcdefgh")
    [first, second] = copies_told([[0, 2, 3, 4, 5, 6], [1, 7]], names)
    assert "shots 'c', 'd', 'e', 'f' and 1 more are nearly copies of 'a'" in first
    assert "'h' are nearly copies of 'b'" in second


def inspector() -> Inspector:
    return Inspector(backbone=FakeBackbone(), detector=InContext())


def test_four_qualities_of_one_photograph_are_one_shot(tmp_path: Path) -> None:
    fitted = inspector().fit([COPIES[f"quality {q}"] for q in (95, 80, 60, 40)])
    assert fitted.calibration.shots == 1
    assert "nearly copies" in fitted.calibration.warnings[0]
    assert "one shot does not show how normal images vary" in fitted.calibration.warnings[1]
    other = saved(photograph(5))
    [result] = fitted.inspect([other])
    assert result.verdict == "undecided"
    save_context(fitted, tmp_path / "c")
    [again] = load_context(inspector(), tmp_path / "c").inspect([other])
    assert (again.score, again.threshold) == (result.score, result.threshold)


def test_the_limit_counts_each_photograph_once() -> None:
    others = [saved(photograph(seed)) for seed in (1, 2)]
    plain = inspector().fit([COPIES["quality 95"], *others]).calibration
    copied = inspector().fit([COPIES["quality 95"], COPIES["quality 60"], *others]).calibration
    assert copied.shots == plain.shots == 3
    assert copied.scores == plain.scores
    assert copied.threshold == plain.threshold
    assert len(copied.warnings) == 1 + len(plain.warnings)


def test_shots_without_copies_are_calibrated_as_ever() -> None:
    calibration = inspector().fit([saved(photograph(seed)) for seed in range(4)]).calibration
    assert calibration.shots == len(calibration.scores) == 4
    assert not any("nearly copies" in warning for warning in calibration.warnings)

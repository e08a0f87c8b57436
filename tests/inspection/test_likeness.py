"""Images of other proportions, sizes, depths and colours than the shots are told, never refused."""

import numpy as np
import pytest
from fakes import FakeBackbone
from numpy.typing import NDArray

from inctrl.decoding import open_image
from inctrl.detectors.incontext import InContext
from inctrl.images import Image
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.likeness import Kind, kind_of, unlike_query, unlike_shots

SIDE = 224


def image(
    name: str, width: int = 160, height: int = 160, colour: tuple[int, int, int] = (90, 120, 60)
) -> Image:
    pixels = np.random.default_rng(len(name)).integers(0, 40, (height, width, 1))
    return open_image((pixels + np.array(colour)).astype(np.uint8), name)


def gray(name: str, width: int = 160, height: int = 160) -> Image:
    return image(name, width, height, (100, 100, 100))


def kind(one: Image) -> Kind:
    return kind_of(one, SIDE)


SQUARE = [kind(gray(f"{i}.png")) for i in range(4)]


def test_shots_of_one_kind_are_nothing_to_tell() -> None:
    assert unlike_shots(SQUARE, "squash") == ()
    assert unlike_shots([], "squash") == ()
    assert unlike_query(kind(gray("query")), SQUARE, "squash") == ()
    assert unlike_query(kind(gray("query")), [], "squash") == ()


@pytest.mark.parametrize("size", [(165, 160), (150, 160), (200, 160), (90, 112)])
def test_a_small_difference_of_proportions_is_nothing_to_tell(size: tuple[int, int]) -> None:
    assert unlike_query(kind(gray("query", *size)), SQUARE, "squash") == ()
    assert unlike_shots([*SQUARE, kind(gray("other", *size))], "squash") == ()


@pytest.mark.parametrize(
    ("fit", "says"), [("squash", "squashing"), ("crop", "cuts other parts"), ("pad", "other bars")]
)
def test_shots_of_several_proportions_are_named_with_what_it_does(fit: str, says: str) -> None:
    odd = [kind(gray("wide.png", 320, 80)), kind(gray("tall.png", 80, 320))]
    [warning] = unlike_shots([SQUARE[0], *odd, SQUARE[1]], fit)  # type: ignore[arg-type]
    assert "'wide.png' (320 x 80), 'tall.png' (80 x 320)" in warning
    assert "'0.png' (160 x 160)" in warning
    assert says in warning
    assert "the limit is loose" in warning


def test_of_many_unlike_shots_a_few_are_named() -> None:
    odd = [kind(gray(f"wide-{i}.png", 320, 80)) for i in range(9)]
    [warning] = unlike_shots([*odd, *SQUARE, *SQUARE, *SQUARE], "squash")
    assert "'wide-3.png' (320 x 80) and 5 more" in warning


def test_a_query_of_other_proportions_than_all_shots_is_told() -> None:
    wide = kind(gray("wide.png", 320, 80))
    [note] = unlike_query(wide, SQUARE, "squash")
    assert "(320 x 80) are not those of the shots (160 x 160)" in note
    assert unlike_query(wide, [*SQUARE, wide], "squash") == ()


def test_a_query_turned_on_its_side_is_told() -> None:
    shots = [kind(gray("landscape", 400, 300))]
    assert len(unlike_query(kind(gray("portrait", 300, 400)), shots, "squash")) == 1


def test_sizes_count_as_far_as_the_backbone_can_tell_them_apart() -> None:
    large = [kind(gray("large", 2000, 2000))]
    assert unlike_query(large[0], [kind(gray("half", 1000, 1000))], "squash") == ()
    [note] = unlike_query(large[0], [kind(gray("tiny", 40, 40))], "squash")
    assert "its size (2000 x 2000) is far from that of the shots (40 x 40)" in note
    assert "those are enlarged" in note
    [warning] = unlike_shots([*large, kind(gray("tiny", 40, 40))], "squash")
    assert "'tiny' (40 x 40)" in warning


def test_colours_among_gray_shots_and_the_reverse_are_told() -> None:
    coloured = [kind(image(f"c{i}.png")) for i in range(3)]
    [note] = unlike_query(coloured[0], SQUARE, "squash")
    assert "it has colours and the shots are gray" in note
    [note] = unlike_query(SQUARE[0], coloured, "squash")
    assert "it is gray and the shots have colours" in note
    [warning] = unlike_shots([*coloured, SQUARE[1]], "squash")
    assert "shots '1.png' are gray, unlike 'c0.png'" in warning
    tinged = kind(image("tinged", colour=(100, 101, 104)))
    assert unlike_query(tinged, SQUARE, "squash") == ()


def test_depths_among_the_shots_are_told() -> None:
    deep = np.random.default_rng(0).normal(1000, 40, (160, 160)).astype(np.uint16)
    kinds = [*SQUARE, kind(open_image(deep, "deep.tif"))]
    [warning] = unlike_shots(kinds, "squash")
    assert "shots 'deep.tif' have more than 8 bits a pixel, unlike '0.png'" in warning


def field(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.normal(120, 8, (height, width, 3)).clip(0, 255).astype(np.uint8)


def test_an_inspector_warns_of_its_shots_and_notes_its_queries() -> None:
    inspector = Inspector(backbone=FakeBackbone(), detector=InContext())
    mixed = inspector.fit([field(0, 60, 60), field(1, 60, 60), field(2, 200, 50)])
    assert any("other proportions" in warning for warning in mixed.calibration.warnings)
    fitted = inspector.fit([field(seed, 60, 60) for seed in range(4)])
    assert not any("give shots of one kind" in warning for warning in fitted.calibration.warnings)
    same, wide = fitted.inspect([field(8, 62, 60), field(9, 200, 50)])
    assert same.notes == ()
    assert any("are not those of the shots" in note for note in wide.notes)

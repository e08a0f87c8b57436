from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from inctrl.maths.overlap import PixelCounter, pixel_figures

Pair = tuple[np.ndarray, np.ndarray]


def curve(pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """FPR and PRO at every threshold, one at a time: the definition, slowly."""
    regions = []
    for values, mask in pairs:
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [values[labels == i + 1] for i in range(count)]
    normal = np.concatenate([values[~mask] for values, mask in pairs])
    thresholds = np.unique(np.concatenate([values.ravel() for values, _ in pairs]))[::-1]
    points = [(0.0, 0.0)]
    for t in thresholds:
        points.append((np.mean(normal >= t), np.mean([np.mean(r >= t) for r in regions])))
    return np.array(points)[:, 0], np.array(points)[:, 1]


def area(pairs: Sequence[Pair], limit: float) -> float:
    """By trapezoid up to the limit, where the curve is cut in proportion."""
    fpr, pro = curve(pairs)
    total = 0.0
    for x0, x1, y0, y1 in zip(fpr, fpr[1:], pro, pro[1:], strict=False):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        total += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return total / limit


def single(values: Sequence[Sequence[float]], mask: Sequence[Sequence[int]]) -> Pair:
    return np.array(values, dtype=np.float32), np.array(mask, dtype=bool)


@st.composite
def image_sets(draw: st.DrawFn) -> list[Pair]:
    """Up to four small images of few values, so that many pixels tie; some without defects."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.integers(1, 12))
    pairs = []
    for _ in range(draw(st.integers(1, 4))):
        shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
        mask = random.random(shape) < draw(st.sampled_from([0.0, 0.2, 0.5]))
        values = (random.integers(levels, size=shape) + mask).astype(np.float32)
        pairs.append((values, mask))
    return pairs


@settings(max_examples=200, deadline=None)
@given(image_sets())
def test_it_is_what_a_loop_over_all_thresholds_and_regions_gives(pairs: list[Pair]) -> None:
    labels = np.concatenate([mask.ravel() for _, mask in pairs])
    figures = pixel_figures(pairs)
    if labels.all() or not labels.any():
        assert set(figures.values()) == {None}
        return
    assert figures["aupro_30"] == pytest.approx(area(pairs, 0.3), abs=1e-12)
    assert figures["aupro_05"] == pytest.approx(area(pairs, 0.05), abs=1e-12)
    values = np.concatenate([values.ravel() for values, _ in pairs])
    assert figures["pixel_auroc"] == pytest.approx(roc_auc_score(labels, values), abs=1e-12)


def test_a_map_that_is_right_everywhere_gets_1_and_one_that_is_wrong_gets_0() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:4, 2:4] = True
    right = mask.astype(np.float32)
    assert set(pixel_figures([(right, mask)]).values()) == {1.0}
    assert set(pixel_figures([(-right, mask)]).values()) == {0.0}


def test_a_map_of_one_value_gets_the_diagonal_up_to_each_limit() -> None:
    mask = np.eye(10, dtype=bool)
    figures = pixel_figures([(np.zeros((10, 10), np.float32), mask)])
    assert figures == pytest.approx({"pixel_auroc": 0.5, "aupro_30": 0.15, "aupro_05": 0.025})


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    # The large region lies above all normal pixels, the small one below them.
    pair = single([[9, 9, 9, 9, 1, 1, 1, 1, 0]], [[1, 1, 1, 1, 0, 0, 0, 0, 1]])
    figures = pixel_figures([pair])
    assert figures["aupro_30"] == pytest.approx(0.5)
    assert figures["pixel_auroc"] == pytest.approx(4 / 5)


def test_pixels_that_touch_by_a_corner_are_one_region() -> None:
    values = [[9, 0, 1], [0, 0, 1], [1, 1, 0]]
    mask = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    # A third of one region and all of another are found; by edges alone it were 2 of 4 regions.
    other = single([[9, 1, 1]], [[1, 0, 0]])
    assert pixel_figures([single(values, mask), other])["aupro_05"] == pytest.approx(2 / 3)


def test_normal_images_count_among_the_false_positives() -> None:
    damaged = single([[5, 1, 1, 1]], [[1, 0, 0, 0]])
    loud = (np.full((1, 6), 7, np.float32), np.zeros((1, 6), bool))
    assert pixel_figures([damaged])["aupro_30"] == 1
    assert pixel_figures([damaged, loud])["aupro_30"] == 0


def test_maps_are_compared_as_they_are_from_image_to_image() -> None:
    quiet = single([[2, 1, 1, 1]], [[1, 0, 0, 0]])
    loud = single([[9, 5, 5, 5]], [[1, 0, 0, 0]])
    # Stretched to 0..1 each, both would be found without one false positive.
    assert pixel_figures([quiet, loud])["aupro_30"] == pytest.approx(0.5)


def test_the_curve_is_cut_in_proportion_inside_a_tie() -> None:
    # All 4 normal pixels and the anomalous one tie: PRO = FPR, which at 0.3 is inside the step.
    assert pixel_figures([single([[1, 1, 1, 1, 1]], [[1, 0, 0, 0, 0]])])["aupro_30"] == 0.15


def test_regions_are_those_of_one_image() -> None:
    pairs = [single([[9, 1]], [[1, 0]]), single([[0, 1]], [[1, 0]])]
    assert pixel_figures(pairs)["aupro_30"] == pytest.approx(0.5)


@pytest.mark.parametrize("fill", [0, 1])
def test_without_both_kinds_of_pixels_nothing_is_defined(fill: int) -> None:
    mask = np.full((3, 3), fill, dtype=bool)
    assert set(pixel_figures([(np.ones((3, 3), np.float32), mask)]).values()) == {None}
    assert set(pixel_figures([]).values()) == {None}


def test_the_maps_stay_as_they_are_and_images_may_follow_after_a_look() -> None:
    random = np.random.default_rng(0)
    pairs = [(random.random((6, 5), np.float32), random.random((6, 5)) < 0.3) for _ in range(4)]
    before = [values.copy() for values, _ in pairs]
    counter = PixelCounter()
    for pair in pairs:
        counter.add(*pair)
        counter.figures()
    assert counter.figures() == pixel_figures(pairs[::-1])
    assert all((values == old).all() for (values, _), old in zip(pairs, before, strict=True))


@pytest.mark.parametrize(
    ("values", "mask", "words"),
    [
        (np.zeros((3, 4), np.float32), np.zeros((4, 3), bool), "resize the map"),
        (np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), bool), "resize the map"),
        (np.zeros((3, 4), np.float32), np.zeros((3, 4), np.uint8), "mask > 0"),
        (np.full((3, 4), np.nan, np.float32), np.zeros((3, 4), bool), "12 of 12 map values"),
        (np.full((3, 4), np.inf, np.float32), np.zeros((3, 4), bool), "not finite"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    values: np.ndarray, mask: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        pixel_figures([(values, mask)])

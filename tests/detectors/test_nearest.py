"""Detectors that keep patches: evidence names the right one."""

from typing import Any

import pytest
from test_contract import features, item

from inctrl.detectors import build_detector, detector_for
from inctrl.errors import UsageError
from inctrl.protocols import Explains

KEEPING: list[tuple[str, dict[str, str]]] = [
    ("incontext", {}),
    ("patchcore", {"patch": "1"}),
    ("patchcore", {"patch": "1", "embedding": "average", "search": "flat"}),
    ("spade", {}),
    ("winclip", {}),
]


@pytest.mark.parametrize(("name", "options"), KEEPING)
def test_the_nearest_patch_is_the_one_that_was_copied(name: str, options: dict[str, str]) -> None:
    detector: Any = build_detector(name, options)
    assert isinstance(detector, Explains)
    grids = ((6, 8), (6, 8))
    shots, query = features(3, grids=grids), features(1, 7, grids)
    for layer, source in zip(query.patches, shots.patches, strict=True):
        layer[0, 4, 2] = source[1, 3, 7]
    context = detector.prepare(shots, item())
    height, width = detector.score(query, context).anomaly_map.shape[1:]
    cell = (int((4.5) * height / 6), int(2.5 * width / 8))
    match = detector.nearest(query, context, cell)
    assert (match.query, match.grid) == ((4, 2), (6, 8))
    assert (match.shot, match.row, match.column) == (1, 3, 7)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("patchcore", "patch", "2"),
        ("patchcore", "fraction", "0"),
        ("patchcore", "sampler", "random"),
        ("patchcore", "reweight", "perhaps"),
        ("patchcore", "neighbours", "0"),
        ("spade", "neighbours", "0"),
        ("padim", "eps", "0"),
        ("padim", "map_size", "2"),
        ("padim", "chanels", "5"),
    ],
)
def test_an_impossible_option_is_refused_by_name(name: str, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=option):
        build_detector(name, {option: value})


def test_no_detector_takes_an_adapter_of_an_unknown_kind() -> None:
    assert detector_for("registration") == "regad"
    with pytest.raises(UsageError, match="kind of adapter 'foo'"):
        detector_for("foo")


def test_a_sum_of_winclips_maps_is_not_bounded() -> None:
    assert build_detector("winclip").bounded
    assert not build_detector("winclip", {"fusion": "sum"}).bounded

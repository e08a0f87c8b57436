"""What every detector promises, on features made by hand: few shots break none of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from inctrl.detectors import DETECTORS, build_detector
from inctrl.protocols import Detector
from inctrl.types import Features, Item, concatenate

DETECTED = ["incontext", "patchcore", "spade", "padim", "regad", "winclip", "coop", "zeroshot"]
VARIANTS = {
    "patchcore whole": ("patchcore", {"reweight": "true", "embedding": "average"}),
    "patchcore thinned": ("patchcore", {"keep_shots": "0", "fraction": "0.3"}),
    "patchcore exact": ("patchcore", {"keep_shots": "0", "sampler": "exact", "neighbours": "3"}),
    "patchcore flat": ("patchcore", {"search": "flat", "upsample": "nearest"}),
    "patchcore ivf": ("patchcore", {"search": "ivf"}),
    "padim drawn": ("padim", {"channels": "5"}),
    **{name: (name, {}) for name in DETECTED},
}
GRIDS = [((6, 6), (3, 3)), ((4, 7), (2, 4)), ((1, 5), (1, 3)), ((1, 1), (1, 1))]
NOVEL = 6.0
"""Strength of a planted defect; positions differ by about 1, images by 0.1."""


def item() -> Item:
    prototypes = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0, 0, 1], [0, 1.0, 0, 1]]), dim=1
    )
    return Item("thing", prototypes, raw_prototypes=2 * prototypes)


def features(
    count: int, seed: int = 0, grids: tuple[tuple[int, int], ...] = GRIDS[0], defect: bool = False
) -> Features:
    """Images of one pattern with a little noise; a defect changes the first cell of each layer."""
    pattern = torch.Generator().manual_seed(99)
    noise = torch.Generator().manual_seed(seed)

    def noisy(*shape: int, lead: tuple[int, ...] = (count,)) -> Tensor:
        base = torch.randn(*shape, generator=pattern)
        return base + 0.1 * torch.randn(*lead, *shape, generator=noise)

    patches = tuple(noisy(h, w, 8) for h, w in grids)
    windows = tuple(
        noisy(h - size + 1, w - size + 1, 4)
        for size in (2, 3)
        for h, w in [grids[0]]
        if min(h, w) >= size
    )
    versions = tuple(
        p[:, None] + 0.1 * torch.randn(count, 21, *p.shape[1:], generator=noise) for p in patches
    )
    image = torch.tensor([2.0, 0, 1, 2]) + 0.1 * torch.randn(count, 4, generator=noise)
    if defect:
        for patch in patches:
            patch[:, 0, 0] += NOVEL
        for window in windows:
            window[:, 0, 0] = torch.tensor([0.0, 2, 1, 2])
        image = torch.tensor([0.0, 2, 1, 2]) + 0.1 * torch.randn(count, 4, generator=noise)
    return Features(patches, image, windows, versions)


def constant(count: int) -> Features:
    made = features(1)
    same = [torch.ones_like(x) for x in (*made.patches, made.image, *made.windows, *made.versions)]
    n, w = len(made.patches), len(made.windows)
    layers = [x.expand(count, *x.shape[1:]).clone() for x in same]
    return Features(
        tuple(layers[:n]), layers[n], tuple(layers[n + 1 : n + 1 + w]), tuple(layers[n + 1 + w :])
    )


@pytest.fixture(params=VARIANTS)
def make(request: pytest.FixtureRequest) -> Callable[[], Detector[Any]]:
    name, options = VARIANTS[request.param]
    return lambda: build_detector(name, options, adapter_for(name))


def adapter_for(name: str) -> Any:
    """Of a detector that cannot be without one, what it reads of it."""
    if name != "coop":
        return None
    return SimpleNamespace(
        config=SimpleNamespace(kind="prompt_context"), module=SimpleNamespace(temperature=0.1)
    )


def test_every_detector_that_needs_no_trained_module_is_tested() -> None:
    assert set(DETECTORS) - {name for name, _ in VARIANTS.values()} == {"inctrl"}


def test_the_table_says_who_needs_shots(make: Callable[[], Detector[Any]]) -> None:
    detector = make()
    assert DETECTORS[detector.name].needs_shots is detector.needs_shots


@pytest.mark.parametrize("grids", GRIDS, ids=str)
@pytest.mark.parametrize("k", [1, 2, 40])
def test_scores_and_maps_are_finite(
    make: Callable[[], Detector[Any]], grids: tuple[tuple[int, int], ...], k: int
) -> None:
    """k = 40 is more shots than the coarse layers have positions."""
    detector = make()
    context = detector.prepare(features(k, grids=grids), item())
    for queries in (features(3, 1, grids), features(3, 1, grids, defect=True)):
        prediction = detector.score(queries, context)
        assert prediction.score.shape == (3,)
        assert prediction.anomaly_map.ndim == 3
        assert torch.isfinite(prediction.score).all()
        assert torch.isfinite(prediction.anomaly_map).all()


@pytest.mark.parametrize("k", [1, 4])
def test_a_defect_scores_higher_and_the_map_shows_where(
    make: Callable[[], Detector[Any]], k: int
) -> None:
    detector = make()
    context = detector.prepare(features(k), item())
    good = detector.score(features(8, 1), context)
    bad = detector.score(features(8, 2, defect=True), context)
    assert bad.score.min() > good.score.max()
    if detector.localises and detector.name != "zeroshot":
        height, width = bad.anomaly_map.shape[1:]
        for values in bad.anomaly_map:
            row, column = divmod(int(values.argmax()), width)
            assert row <= height / 3
            assert column <= width / 3


def test_constant_images_are_finite_and_not_anomalous(make: Callable[[], Detector[Any]]) -> None:
    detector = make()
    for k in (1, 3):
        context = detector.prepare(constant(k), item())
        same = detector.score(constant(2), context)
        assert torch.isfinite(same.score).all()
        assert torch.isfinite(same.anomaly_map).all()
        if detector.needs_shots:
            other = detector.score(features(2, 3), context)
            # A thinned bank may lack the borders of a constant image, a whole one lacks nothing.
            share = 1 if detector.options.get("keep_shots") == 0 else 1e-3
            assert float(same.score.max()) < share * float(other.score.min())


def test_the_same_twice_and_one_by_one(make: Callable[[], Detector[Any]]) -> None:
    shots, queries = features(5), features(4, 1)
    first, second = make(), make()
    together = first.score(queries, first.prepare(shots, item()))
    context = second.prepare(shots, item())
    again = second.score(queries, context)
    assert torch.equal(together.score, again.score)
    assert torch.equal(together.anomaly_map, again.anomaly_map)
    alone = [second.score(queries[i : i + 1], context) for i in range(len(queries))]
    close(torch.cat([p.score for p in alone]), together.score)
    close(torch.cat([p.anomaly_map for p in alone]), together.anomaly_map)


def test_a_context_survives_packing(make: Callable[[], Detector[Any]]) -> None:
    detector, queries = make(), features(3, 1)
    context = detector.prepare(features(2), item())
    packed = detector.pack(context)
    assert all(isinstance(tensor, Tensor) for tensor in packed.values())
    once, twice = (detector.score(queries, c) for c in (context, detector.unpack(packed)))
    assert torch.equal(once.score, twice.score)
    assert torch.equal(once.anomaly_map, twice.anomaly_map)


NEAREST = ["incontext", "patchcore", "patchcore exact", "winclip"]


@pytest.mark.parametrize("variant", NEAREST)
def test_duplicate_shots_change_no_nearest_neighbour_score(variant: str) -> None:
    """One neighbour, that is, and banks that are not thinned."""
    name, options = VARIANTS[variant]
    if name == "patchcore":
        options = {**options, "neighbours": "1", "fraction": "1"}
    detector, shots = build_detector(name, options), features(3)
    twice, queries = concatenate([shots, shots]), features(3, 1)
    once = detector.score(queries, detector.prepare(shots, item()))
    doubled = detector.score(queries, detector.prepare(twice, item()))
    close(doubled.score, once.score)
    close(doubled.anomaly_map, once.anomaly_map)


def close(ours: Tensor, theirs: Tensor) -> None:
    """To rounding, relative to the largest magnitude."""
    scale = max(1.0, float(theirs.abs().max()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5 * scale)

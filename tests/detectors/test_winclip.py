from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from torch import Tensor

from inctrl.backbones.rewired import windowed
from inctrl.detectors import build_detector
from inctrl.detectors.winclip import WinCLIP, WinCLIPOptions
from inctrl.errors import UsageError
from inctrl.inspection.inputs import NO_FEATURES
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.maths.neighbours import unit
from inctrl.maths.windows import window_index
from inctrl.types import Features, Item, Prediction

IMAGES = Path(__file__).parents[2] / "demos" / "images"
EMBEDDING, CHANNELS = 6, 5


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ITEM = Item(
    "thing",
    unit(torch.randn(2, EMBEDDING, generator=generator(90))),
    torch.randn(2, EMBEDDING, generator=generator(91)),
)


def features(
    count: int,
    grid: tuple[int, int] = (5, 5),
    sizes: Sequence[int] = (2, 3),
    patches: tuple[int, int] | None = None,
    seed: int = 0,
) -> Features:
    """Random ones of a tower with windows: those that the grid is large enough for."""
    random = generator(seed)
    windows = tuple(
        torch.randn(count, grid[0] - s + 1, grid[1] - s + 1, EMBEDDING, generator=random)
        for s in sizes
        if s <= min(grid)
    )
    tokens = torch.randn(count, *(patches or grid), CHANNELS, generator=random)
    return Features((tokens,), torch.randn(count, EMBEDDING, generator=random), windows)


def predict(
    queries: Features, shots: Features = NO_FEATURES, **options: float | int | str
) -> Prediction:
    detector = WinCLIP(WinCLIPOptions(**options))  # type: ignore[arg-type]
    return detector.score(queries, detector.prepare(shots, ITEM))


def by_hand(queries: Features, shots: Features | None, temperature: float) -> Prediction:
    """Loops over images, windows and cells, straight from the paper's words."""
    normal, anomalous = (ITEM.prototypes[i].double().numpy() for i in (0, 1))

    def cosine(a: Tensor, b: np.ndarray) -> float:
        x = a.double().numpy()
        return float(x @ b / np.linalg.norm(x) / np.linalg.norm(b))

    def said(token: Tensor) -> float:
        up, down = cosine(token, anomalous) / temperature, cosine(token, normal) / temperature
        return 1 / (1 + np.exp(down - up))

    def nearest(token: Tensor, memory: Tensor) -> float:
        return (1 - max(cosine(token, m.double().numpy()) for m in memory.flatten(0, 2))) / 2

    def on_cells(values: list[float], index: list[list[int]], cells: int) -> np.ndarray:
        over = [[v for v, w in zip(values, index, strict=True) if c in w] for c in range(cells)]
        return np.array([len(mine) / sum(1 / v for v in mine) for mine in over])

    grid = (queries.patches[0].shape[1], queries.patches[0].shape[2])
    scores, maps = [], []
    for i in range(len(queries)):
        whole = said(queries.image[i])
        text, seen = [np.full(grid[0] * grid[1], whole)], []
        for place, windows in enumerate(queries.windows):
            index = window_index(grid, grid[0] - windows.shape[1] + 1).tolist()
            flat = windows[i].flatten(0, 1)
            text.append(on_cells([said(t) for t in flat], index, grid[0] * grid[1]))
            if shots:
                distances = [nearest(t, shots.windows[place]) for t in flat]
                seen.append(on_cells(distances, index, grid[0] * grid[1]))
        zero_shot = len(text) / sum(1 / t for t in text)
        if not shots:
            scores.append(whole)
            maps.append(zero_shot)
            continue
        tokens = queries.patches[-1][i].flatten(0, 1)
        seen.append(np.array([nearest(t, shots.patches[-1]) for t in tokens]))
        association = sum(seen) / len(seen)
        scores.append((whole + association.max()) / 2)
        maps.append((zero_shot + association) / 2)
    found = torch.tensor(np.stack(maps)).float().unflatten(1, grid)
    return Prediction(torch.tensor(scores).float(), found)


def assert_same(found: Prediction, expected: Prediction, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(found.score, expected.score, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.anomaly_map, expected.anomaly_map, atol=tolerance, rtol=0)


# The definition


@pytest.mark.parametrize("grid", [(5, 5), (3, 6), (7, 4), (2, 5), (1, 4)])
@pytest.mark.parametrize("shots", [0, 1, 3])
def test_any_grid_and_any_number_of_shots_is_the_definition(
    grid: tuple[int, int], shots: int
) -> None:
    """On (2, 5) windows of 3 do not fit, on (1, 4) none do: the others are averaged."""
    queries = features(2, grid, seed=1)
    memory = features(shots, grid, seed=2) if shots else NO_FEATURES
    found = predict(queries, memory, temperature=0.3)
    assert found.anomaly_map.shape == (2, *grid)
    assert_same(found, by_hand(queries, memory if shots else None, 0.3), 2e-6)


def test_scales_are_chosen_in_any_order() -> None:
    queries, shots = features(2, sizes=(1, 4), seed=1), features(2, sizes=(1, 4), seed=2)
    found = predict(queries, shots, scales="4, 1", temperature=0.3)
    assert_same(found, by_hand(queries, shots, 0.3), 2e-6)
    assert WinCLIP(WinCLIPOptions(scales="4, 1,4")).windows == (1, 4)


def test_the_sum_of_the_maps_ranks_as_their_mean() -> None:
    queries, shots = features(2, seed=1), features(1, seed=2)
    mean, total = predict(queries, shots), predict(queries, shots, fusion="sum")
    torch.testing.assert_close(total.anomaly_map, 2 * mean.anomaly_map)
    torch.testing.assert_close(total.score, mean.score)


def test_raw_prototypes_are_normalised_when_used() -> None:
    detector = WinCLIP(WinCLIPOptions(prototypes="raw"))
    assert ITEM.raw_prototypes is not None
    expected = ITEM.raw_prototypes / ITEM.raw_prototypes.norm(dim=1, keepdim=True)
    torch.testing.assert_close(detector.prepare(NO_FEATURES, ITEM).prototypes, expected)


def test_stride_two_sees_every_second_window_and_the_last() -> None:
    """Rows of 6 cells, windows of 2: those at 0, 2, 4 tile the grid."""
    queries, shots = features(1, (6, 7), (2,), seed=1), features(1, (6, 7), (2,), seed=2)
    rows, columns = [0, 2, 4], [0, 2, 4, 5]
    changed = queries.windows[0].clone()
    changed[:, 1::2] = 100
    changed[:, :, [1, 3]] = -100
    other = Features(queries.patches, queries.image, (changed,))
    options = {"stride": 2, "scales": "2", "temperature": 0.3}
    assert torch.equal(changed[:, rows][:, :, columns], queries.windows[0][:, rows][:, :, columns])
    assert_same(predict(other, shots, **options), predict(queries, shots, **options))
    assert (predict(queries, shots, **options).anomaly_map > 0).all()


# Grids of two kinds


def test_finer_patches_make_a_finer_map() -> None:
    queries = features(2, (4, 5), patches=(8, 10), seed=1)
    shots = features(2, (4, 5), patches=(8, 10), seed=2)
    found = predict(queries, shots)
    assert found.anomaly_map.shape == (2, 8, 10)
    assert predict(queries).anomaly_map.shape == (2, 4, 5)
    assert found.anomaly_map.isfinite().all()


@pytest.mark.parametrize("patches", [(8, 10), (4, 5), (2, 3)])
def test_the_nearest_patch_belongs_to_the_cell(patches: tuple[int, int]) -> None:
    """A query that is shot 1 upside down: each patch has its like at the mirrored row."""
    shots = features(3, (4, 5), patches=patches, seed=2)
    query = Features(
        (shots.patches[0][1:2].flip(1),), shots.image[:1], tuple(w[:1] for w in shots.windows)
    )
    detector = WinCLIP()
    context = detector.prepare(shots, ITEM)
    rows, columns = detector.score(query, context).anomaly_map.shape[1:]
    match = detector.nearest(query, context, (rows - 1, columns - 1))
    assert match.query == (patches[0] - 1, patches[1] - 1)
    assert (match.shot, match.row, match.column) == (1, 0, patches[1] - 1)
    assert match.grid == patches


# Few shots, degenerate ones


def test_duplicates_of_shots_change_nothing() -> None:
    queries, shots = features(3, seed=1), features(2, seed=2)
    again = shots[[0, 1, 1, 0, 0]]
    assert_same(predict(queries, again), predict(queries, shots))


def test_more_shots_than_positions() -> None:
    queries, shots = features(2, (3, 3), seed=1), features(40, (3, 3), seed=2)
    assert_same(predict(queries, shots, temperature=0.3), by_hand(queries, shots, 0.3), 2e-6)


def test_more_shots_never_raise_a_score() -> None:
    queries, shots = features(4, seed=1), features(6, seed=2)
    few, many = predict(queries, shots[:2]), predict(queries, shots)
    assert (many.score <= few.score + 1e-7).all()
    assert (many.anomaly_map <= few.anomaly_map + 1e-7).all()


@pytest.mark.parametrize("shots", [0, 1, 4])
def test_scores_do_not_depend_on_the_batch_and_are_repeatable(shots: int) -> None:
    queries = features(5, seed=1)
    memory = features(shots, seed=2) if shots else NO_FEATURES
    together = predict(queries, memory)
    alone = [predict(queries[i : i + 1], memory) for i in range(5)]
    assert_same(
        Prediction(torch.cat([p.score for p in alone]), torch.cat([p.anomaly_map for p in alone])),
        together,
    )
    assert torch.equal(predict(queries, memory).anomaly_map, together.anomaly_map)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_constant_images_are_finite(level: float) -> None:
    flat = features(2)
    flat = Features(
        tuple(torch.full_like(p, level) for p in flat.patches),
        torch.full_like(flat.image, level),
        tuple(torch.full_like(w, level) for w in flat.windows),
    )
    for shots in (NO_FEATURES, flat[:1], features(2, seed=3)):
        found = predict(flat, shots)
        assert found.score.isfinite().all()
        assert found.anomaly_map.isfinite().all()
        assert (found.anomaly_map >= 0).all()


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-7, 1e-6])
def test_near_copies_of_a_shot_are_near_zero_and_never_below(noise: float) -> None:
    """Cosines round to more than 1 here; an inverse of what is left would explode."""
    shots = features(1, (6, 9), seed=2)
    queries = Features(
        tuple(
            p * (1 + noise * torch.randn(p.shape, generator=generator(5))) for p in shots.patches
        ),
        shots.image,
        tuple(
            w * (1 + noise * torch.randn(w.shape, generator=generator(6))) for w in shots.windows
        ),
    )
    both, text = predict(queries, shots, fusion="sum"), predict(queries)
    association = both.anomaly_map - text.anomaly_map
    assert association.abs().max() < 1e-6
    assert (2 * both.score - text.score).abs().max() < 1e-6
    assert both.anomaly_map.isfinite().all()


def test_a_sure_sentence_does_not_divide_by_zero() -> None:
    """cos / T = 10 000 apart: the probability is 0 and has no inverse."""
    normal = torch.zeros(EMBEDDING).index_fill(0, torch.tensor(0), 1.0)
    item = Item("thing", torch.stack([normal, -normal]))
    queries = features(1)
    sure = Features(
        queries.patches, normal[None], tuple(normal.expand_as(w) for w in queries.windows)
    )
    detector = WinCLIP(WinCLIPOptions(temperature=1e-4))
    found = detector.score(sure, detector.prepare(NO_FEATURES, item))
    assert found.score.tolist() == pytest.approx([1e-12], rel=1e-6, abs=0)
    torch.testing.assert_close(found.anomaly_map, torch.full((1, 5, 5), 1e-12), rtol=1e-6, atol=0)


# Contexts and options


@pytest.mark.parametrize("grid", [(5, 5), (1, 3)])
@pytest.mark.parametrize("shots", [0, 2])
def test_a_packed_context_gives_the_same_scores(grid: tuple[int, int], shots: int) -> None:
    queries = features(2, grid, seed=1)
    detector = WinCLIP()
    context = detector.prepare(features(shots, grid) if shots else NO_FEATURES, ITEM)
    again = detector.unpack(detector.pack(context))
    before, after = detector.score(queries, context), detector.score(queries, again)
    assert torch.equal(before.score, after.score)
    assert torch.equal(before.anomaly_map, after.anomaly_map)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": "0"}, "temperature=0 is not in"),
        ({"temperature": "nan"}, "temperature=nan is not in"),
        ({"prototypes": "rwa"}, "did you mean 'raw'"),
        ({"fusion": "max"}, "fusion 'max'"),
        ({"scales": ""}, "scales='' is not a list of sizes such as 2,3"),
        ({"scales": "2,x"}, "scales='2,x' is not"),
        ({"scales": "0,2"}, "scales='0,2' is not"),
        ({"scales": "-2"}, "scales='-2' is not"),
        ({"stride": "3"}, r"stride=3 is not in \[1, 2\]"),
        ({"stride": "0"}, "stride=0 is not in"),
        ({"top_share": "1"}, "unknown option of winclip 'top_share'"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_detector("winclip", options)


def test_a_backbone_without_text_or_windows_is_named() -> None:
    for options, item in (({}, Item("thing")), ({"prototypes": "raw"}, Item("x", ITEM.prototypes))):
        with pytest.raises(UsageError, match=r"'winclip' compares images with sentences"):
            build_detector("winclip", options).prepare(NO_FEATURES, item)
    with pytest.raises(UsageError, match="'fake' cannot look through windows; use 'tiny'"):
        windowed(FakeBackbone(has_text=True), (2, 3))


# The whole way, on the embedded backbone


def loaded(**options: str | int) -> Inspector:
    return Inspector.load(
        "tiny",
        detector="winclip",
        domain="winclip",
        device="cpu",
        image_size=160,
        cache="off",
        options=options,
    )


def brick(kind: str) -> list[Path]:
    return sorted((IMAGES / "brick" / kind).glob("*.png"))


def test_shots_of_a_product_end_to_end(tmp_path: Path) -> None:
    inspector = loaded()
    fitted = inspector.fit(brick("normal")[:3], item="brick")
    results = fitted.inspect(brick("query"))
    for result in results:
        assert 0 <= result.score <= 1
        assert np.isfinite(result.anomaly_map).all()
        assert result.evidence is not None
        assert result.evidence.shot_name in {str(path) for path in brick("normal")[:3]}
    assert fitted.card.text_prior == "bank 'winclip'"
    save_context(fitted, tmp_path / "context")
    again = load_context(inspector, tmp_path / "context").inspect(brick("query"))
    assert [r.score for r in again] == [r.score for r in results]


@pytest.mark.parametrize("scales", ["2,3,9", "9"])
def test_no_shots_end_to_end(scales: str) -> None:
    """The grid is 5 x 5: windows of 9 are left out."""
    results = loaded(scales=scales).fit([], item="brick").inspect(brick("query"))
    assert all(result.verdict == "undecided" for result in results)
    assert all(0 < result.score < 1 for result in results)
    assert all(np.isfinite(result.anomaly_map).all() for result in results)


def test_one_shot_and_a_finer_layer_end_to_end() -> None:
    inspector = Inspector.load(
        "tiny", detector="winclip", device="cpu", image_size=96, cache="off", layers=["stride8"]
    )
    [result] = inspector.fit(brick("normal")[:1], item="brick").inspect(brick("query")[:1])
    assert np.isfinite(result.anomaly_map).all()

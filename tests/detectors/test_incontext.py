from dataclasses import replace

import pytest
import torch
from fakes import FakeBackbone

from inctrl.detectors import build_detector
from inctrl.detectors.incontext import TEMPERATURE, InContext, InContextOptions
from inctrl.errors import UsageError
from inctrl.maths.neighbours import unit
from inctrl.maths.similarity import anomalous_probability
from inctrl.types import Features, Item

ITEM = Item("thing")


def features(count: int, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return FakeBackbone().encode_images(torch.randn(count, 3, 32, 32, generator=generator))


def loop_map(query: Features, shots: Features, weight: float = 0.0) -> torch.Tensor:
    """One image, straight from the definition: every position against every position."""
    maps = []
    for q, s in zip(query.patches, shots.patches, strict=True):
        rows, columns = q.shape[1:3]
        values = torch.zeros(rows, columns)
        for r in range(rows):
            for c in range(columns):
                best = -9.0
                for k in range(len(s)):
                    for y in range(rows):
                        for x in range(columns):
                            cosine = torch.cosine_similarity(q[0, r, c], s[k, y, x], dim=0)
                            away = ((r - y) / rows) ** 2 + ((c - x) / columns) ** 2
                            best = max(best, float(cosine) - weight * away)
                values[r, c] = (1 - best) / 2
        maps.append(values[None, None])
    size = maps[0].shape[-2:]
    resized = [torch.nn.functional.interpolate(m, size=size, mode="bilinear") for m in maps]
    return torch.stack(resized).mean(0)[0, 0]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_map_is_the_definition(weight: float) -> None:
    query, shots = features(1, 1), features(2)
    detector = InContext(InContextOptions(position_weight=weight))
    prediction = detector.score(query, detector.prepare(shots, ITEM))
    torch.testing.assert_close(prediction.anomaly_map[0], loop_map(query, shots, weight))
    highest = prediction.anomaly_map.flatten().topk(2).values.mean()  # 3 % of 64 positions
    torch.testing.assert_close(prediction.score[0], highest)


def test_of_n_by_n_tiles_an_nth_of_the_worst_share_is_the_score() -> None:
    query, shots = features(1, 1), features(2)
    detector = InContext(InContextOptions(top_share=0.25))
    tile = detector.score(replace(query, closer=4.0), detector.prepare(shots, ITEM))
    highest = tile.anomaly_map.flatten().topk(4).values.mean()  # a quarter of 16 of 64 positions
    torch.testing.assert_close(tile.score[0], highest)


def test_a_shot_itself_scores_zero() -> None:
    shots, detector = features(3), InContext()
    prediction = detector.score(shots, detector.prepare(shots, ITEM))
    torch.testing.assert_close(prediction.score, torch.zeros(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        InContextOptions(),
        InContextOptions(position_weight=1.0, image_weight=0.5, reverse_weight=0.5),
    ],
)
def test_a_context_without_some_shots_is_that_of_the_others(options: InContextOptions) -> None:
    shots, query, detector = features(5), features(2, 1), InContext(options)
    prototypes = torch.nn.functional.normalize(torch.randn(2, shots.image.shape[1]), dim=1)
    item = Item("thing", prototypes)
    whole = detector.prepare(shots, item)
    for gone in (range(1), range(2, 3), range(1, 4), range(4, 5)):
        context = detector.without(whole, gone)
        others = detector.prepare(shots[[i for i in range(5) if i not in gone]], item)
        expected, found = detector.score(query, others), detector.score(query, context)
        torch.testing.assert_close(found.anomaly_map, expected.anomaly_map)
        torch.testing.assert_close(found.score, expected.score)
        assert detector.text_weight(context) == detector.text_weight(others)
        assert all(a is b for a, b in zip(context.patches, whole.patches, strict=True))


def test_patches_of_unit_length_are_taken_as_they_are() -> None:
    shots, query, detector = features(3), features(2, 1), InContext()
    units = replace(shots, patches=tuple(map(unit, shots.patches)), unit=True)
    context = detector.prepare(units, ITEM)
    assert all(a is b for a, b in zip(context.patches, units.patches, strict=True))
    expected = detector.score(query, detector.prepare(shots, ITEM))
    assert torch.equal(detector.score(query, context).score, expected.score)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_weight": 0.5},
        {"reverse_weight": 0.5},
        {"position_weight": 1.0},
        {"image_weight": 0.5, "reverse_weight": 0.5, "position_weight": 1.0},
    ],
)
def test_scores_do_not_depend_on_the_batch(options: dict[str, float]) -> None:
    queries, detector = features(5, 1), InContext(InContextOptions(**options))
    context = detector.prepare(features(3), ITEM)
    together = detector.score(queries, context)
    alone = [detector.score(queries[i : i + 1], context) for i in range(5)]
    one_by_one = torch.cat([p.score for p in alone])
    torch.testing.assert_close(together.score, one_by_one, atol=1e-6, rtol=0)
    maps = torch.cat([p.anomaly_map for p in alone])
    torch.testing.assert_close(together.anomaly_map, maps, atol=1e-6, rtol=0)


def test_shots_in_another_order_or_twice_change_nothing() -> None:
    queries, shots, detector = features(2, 1), features(3), InContext()
    scores = [
        detector.score(queries, detector.prepare(shots[rows], ITEM)).score
        for rows in ([0, 1, 2], [2, 0, 1], [0, 1, 2, 2, 1])
    ]
    torch.testing.assert_close(scores[0], scores[1])
    torch.testing.assert_close(scores[0], scores[2])


def test_reverse_residual_sees_what_is_missing() -> None:
    """A query that shows half of the shot twice has nothing new, but lacks the other half."""
    shot = torch.zeros(1, 3, 32, 32)
    shot[..., 16:] = 1
    query = torch.zeros(1, 3, 32, 32)
    backbone = FakeBackbone()
    plain, reverse = InContext(), InContext(InContextOptions(reverse_weight=1.0))
    scores = [
        float(
            d.score(
                backbone.encode_images(query), d.prepare(backbone.encode_images(shot), ITEM)
            ).score
        )
        for d in (plain, reverse)
    ]
    assert scores[0] < 1e-6
    assert scores[1] > 0.1


def test_a_constant_image_is_finite() -> None:
    black = Features((torch.zeros(1, 4, 4, 3), torch.zeros(1, 2, 2, 3)), torch.zeros(1, 3))
    detector = InContext()
    assert torch.isfinite(detector.score(black, detector.prepare(black, ITEM)).score).all()


def said_of(tokens: torch.Tensor, *, damaged: bool) -> Item:
    """An item whose prototypes call these image tokens damaged, or flawless."""
    towards = torch.nn.functional.normalize(tokens.mean(dim=0), dim=0)
    pair = torch.stack([towards, -towards])
    return Item("thing", pair.flip(0) if damaged else pair)


def test_the_text_prior_moves_scores_where_the_shots_bear_it_out() -> None:
    queries, shots, detector = features(4, 1), features(3), InContext()
    plain = detector.score(queries, detector.prepare(shots, ITEM)).score
    item = said_of(shots.image, damaged=False)
    context = detector.prepare(shots, item)
    prediction = detector.score(queries, context)
    weight = detector.text_weight(context)
    assert weight == pytest.approx(0.1, abs=0.01)
    said = anomalous_probability(queries.image, item.prototypes, TEMPERATURE)
    expected = plain * (1 + weight * (said - context.text.shots.mean()))
    torch.testing.assert_close(prediction.score, expected)
    flipped = Features(queries.patches, -queries.image)  # what it says of them turns round
    assert bool((detector.score(flipped, context).score > prediction.score).all())


def test_the_text_prior_is_off_where_it_calls_a_shot_damaged() -> None:
    queries, shots, detector = features(4, 1), features(3), InContext()
    plain = detector.score(queries, detector.prepare(shots, ITEM)).score
    context = detector.prepare(shots, said_of(shots.image, damaged=True))
    assert detector.text_weight(context) == 0
    assert torch.equal(detector.score(queries, context).score, plain)
    one_bad = Features(shots.patches, torch.cat([shots.image[:2], -shots.image[2:]]))
    assert detector.text_weight(detector.prepare(one_bad, said_of(shots.image, damaged=False))) == 0


def test_the_text_prior_can_be_switched_off_and_survives_packing() -> None:
    queries, shots = features(2, 1), features(3)
    item = said_of(shots.image, damaged=False)
    off = InContext(InContextOptions(text_weight=0))
    assert not off.uses_text
    assert off.prepare(shots, item).text is None
    detector = InContext()
    context = detector.prepare(shots, item)
    again = detector.unpack(detector.pack(context))
    assert torch.equal(detector.score(queries, context).score, detector.score(queries, again).score)
    assert detector.text_weight(again) == detector.text_weight(context) > 0


@pytest.mark.parametrize("k", [1, 512])
def test_any_number_of_shots(k: int) -> None:
    detector = InContext()
    prediction = detector.score(features(1, 1), detector.prepare(features(k), ITEM))
    assert prediction.anomaly_map.shape == (1, 8, 8)
    assert torch.isfinite(prediction.score).all()


def test_the_nearest_patch_is_named() -> None:
    shots, detector = features(3), InContext()
    match = detector.nearest(shots[1:2], detector.prepare(shots, ITEM), (4, 6))
    assert (match.shot, match.row, match.column) == (1, 4, 6)


def test_a_packed_context_gives_the_same_scores() -> None:
    queries, detector = features(2, 1), InContext()
    context = detector.prepare(features(2), ITEM)
    again = detector.unpack(detector.pack(context))
    assert torch.equal(detector.score(queries, context).score, detector.score(queries, again).score)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"top_shar": "0.1"}, "did you mean 'top_share'"),
        ({"top_share": "much"}, "not a float"),
        ({"text_weight": "2"}, "text_weight=2 is not in"),
    ],
)
def test_wrong_options_are_named(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_detector("incontext", options)


def test_unknown_detectors_are_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'incontext'"):
        build_detector("incontex")
    with pytest.raises(UsageError, match="needs a trained adapter"):
        build_detector("inctrl")

import pytest
import torch
from fakes import FakeBackbone

from inctrl.detectors import build_detector
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import UsageError
from inctrl.inspection.inputs import NO_FEATURES
from inctrl.types import Features, Item

ITEM = Item("thing", torch.eye(2, 7))


def features(count: int, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return FakeBackbone().encode_images(torch.randn(count, 3, 32, 32, generator=generator))


def test_the_score_is_the_share_of_the_anomalous_sentences() -> None:
    """Softmax of cosine / 0.01 by hand: alike 1/2; cosines 0.8 and 0.6 make exp(-20)."""
    tokens = torch.zeros(3, 7)
    tokens[:, :2] = torch.tensor([[1.0, 1.0], [0.8, 0.6], [1.2, 1.6]])
    queries = Features(features(3).patches, tokens)
    detector = ZeroShot()
    score = detector.score(queries, detector.prepare(NO_FEATURES, ITEM)).score
    rare = 1 / (1 + torch.tensor(20.0).exp())
    torch.testing.assert_close(score, torch.stack([torch.tensor(0.5), rare, 1 - rare]))


def test_the_map_shows_the_place_that_the_image_has_once() -> None:
    """Both layers know 0 degrees everywhere and 90 at one place: a residual of 1/2 there."""
    fine = torch.tensor([1.0, 0.0]).repeat(1, 4, 4, 1)
    fine[0, 1, 2] = torch.tensor([0.0, 3.0])
    detector = ZeroShot()
    context = detector.prepare(NO_FEATURES, ITEM)
    anomaly_map = detector.score(Features((fine, fine), torch.ones(1, 7)), context).anomaly_map
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 2] = 0.5
    torch.testing.assert_close(anomaly_map, expected, atol=1e-6, rtol=0)


def test_scores_do_not_depend_on_the_batch() -> None:
    queries, detector = features(5, 1), ZeroShot()
    context = detector.prepare(NO_FEATURES, ITEM)
    together = detector.score(queries, context)
    alone = [detector.score(queries[i : i + 1], context) for i in range(5)]
    one_by_one = torch.cat([p.score for p in alone])
    torch.testing.assert_close(together.score, one_by_one, atol=1e-6, rtol=0)
    maps = torch.cat([p.anomaly_map for p in alone])
    torch.testing.assert_close(together.anomaly_map, maps, atol=1e-6, rtol=0)


def test_shots_take_no_part_in_a_score() -> None:
    queries, detector = features(2, 1), ZeroShot()
    without = detector.score(queries, detector.prepare(NO_FEATURES, ITEM))
    given = detector.score(queries, detector.prepare(features(3), ITEM))
    assert torch.equal(without.score, given.score)
    assert torch.equal(without.anomaly_map, given.anomaly_map)


def test_a_black_image_is_finite() -> None:
    black = Features((torch.zeros(1, 4, 4, 3), torch.zeros(1, 1, 1, 3)), torch.zeros(1, 7))
    detector = ZeroShot()
    prediction = detector.score(black, detector.prepare(NO_FEATURES, ITEM))
    assert torch.isfinite(prediction.anomaly_map).all()
    assert prediction.score.tolist() == [0.5]


def test_a_packed_context_gives_the_same_scores() -> None:
    queries, detector = features(2, 1), ZeroShot()
    context = detector.prepare(NO_FEATURES, ITEM)
    again = detector.unpack(detector.pack(context))
    assert torch.equal(detector.score(queries, context).score, detector.score(queries, again).score)


def test_what_it_cannot_use_is_named() -> None:
    with pytest.raises(UsageError, match="no text tower"):
        ZeroShot().prepare(NO_FEATURES, Item("thing"))
    with pytest.raises(UsageError, match="unknown option of zeroshot 'top_share'"):
        build_detector("zeroshot", {"top_share": "0.1"})

"""The joint space of `tiny`, with random heads."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from inctrl.backbones.tiny.joint import (
    CLASSES,
    CLIP,
    CONCEPT_WEIGHT,
    DAMAGED,
    FLAWLESS,
    LOGITS_A_UNIT,
    MEANING,
    POOLED,
    PREFIX,
    STATE_GAIN,
    STATISTICS,
    JointSpace,
)
from inctrl.errors import InvalidFile, MissingModel

Seen = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def space() -> JointSpace:
    torch.manual_seed(0)
    made = JointSpace().eval().requires_grad_(False)
    made.names.copy_(normalize(torch.randn(CLASSES, MEANING), dim=-1))
    made.mean.copy_(torch.randn(STATISTICS))
    made.deviation.copy_(torch.rand(STATISTICS) + 0.5)
    made.wording[2].weight.mul_(30)  # so that some sentences speak out
    for vote in made.damage:
        vote[3].weight.mul_(60)
    return made


@pytest.fixture(scope="module")
def seen() -> Seen:
    torch.manual_seed(1)
    return torch.randn(5, POOLED), 5 * torch.randn(5, CLASSES), 2 * torch.randn(5, STATISTICS)


@pytest.fixture(scope="module")
def meaning() -> torch.Tensor:
    torch.manual_seed(2)
    return normalize(torch.randn(6, MEANING), dim=-1)


def content_by_hand(space: JointSpace, pooled: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The mean class name and the mapped feature of one image, both of unit length, added."""
    votes = torch.exp(classes - classes.max())
    concept = sum(v / votes.sum() * name for v, name in zip(votes, space.names, strict=True))
    linear = space.linear.weight @ pooled + space.linear.bias
    content = CONCEPT_WEIGHT * concept / concept.norm() + linear / linear.norm()
    return content / content.norm()


def state_by_hand(space: JointSpace, statistics: torch.Tensor) -> torch.Tensor:
    """a of one image: the mean log-odds of the networks, squeezed."""
    shown = ((statistics - space.mean) / space.deviation).clip(-CLIP, CLIP)
    logits = [vote[3](vote[1](vote[0](shown))) for vote in space.damage]
    return torch.tanh(sum(logits) / len(logits) / LOGITS_A_UNIT)[0]


def test_all_vectors_have_one_length(space: JointSpace, seen: Seen, meaning: torch.Tensor) -> None:
    lengths = torch.cat([space.image(*seen), space.sentence(meaning)]).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((11,), (1 + STATE_GAIN**2) ** 0.5))


def test_an_inner_product_is_content_and_state(
    space: JointSpace, seen: Seen, meaning: torch.Tensor
) -> None:
    images, sentences = space.image(*seen), space.sentence(meaning)
    assert images.shape == (5, MEANING + 3)
    assert sentences.shape == (6, MEANING + 3)
    said = space.wording(meaning).softmax(dim=1)
    for i in range(5):
        content = content_by_hand(space, seen[0][i], seen[1][i])
        a = state_by_hand(space, seen[2][i])
        assert 0.05 < abs(a) < 1
        for j in range(6):
            u = said[j, DAMAGED] - said[j, FLAWLESS]
            expected = content @ meaning[j] + STATE_GAIN**2 * a * u
            torch.testing.assert_close(images[i] @ sentences[j], expected, atol=1e-5, rtol=1e-5)


def test_what_fills_up_the_length_of_images_and_of_sentences_never_meets(
    space: JointSpace, seen: Seen, meaning: torch.Tensor
) -> None:
    images, sentences = space.image(*seen)[:, -2:], space.sentence(meaning)[:, -2:]
    assert (images[:, 0] > 0).all()
    assert (sentences[:, 1] > 0).all()
    assert (images @ sentences.T == 0).all()


def test_more_damage_is_nearer_to_sentences_on_damage(space: JointSpace, seen: Seen) -> None:
    """Two images that differ in their log-odds alone, and a sentence on damage."""
    worse = JointSpace().eval().requires_grad_(False)
    worse.load_state_dict(space.state_dict())
    for vote in worse.damage:
        vote[3].bias.add_(LOGITS_A_UNIT)
    damaged = torch.zeros(1, MEANING + 3)
    damaged[0, MEANING] = 1
    gain = (worse.image(*seen) - space.image(*seen)) @ damaged.T
    assert (gain > 0).all()
    content = slice(0, MEANING)
    assert torch.equal(worse.image(*seen)[:, content], space.image(*seen)[:, content])


@pytest.mark.parametrize("far", [1e4, -1e4])
def test_statistics_beyond_the_clip_count_as_the_clip(
    space: JointSpace, seen: Seen, far: float
) -> None:
    statistics = seen[2].clone()
    statistics[:, 7] = far
    edge = seen[2].clone()
    edge[:, 7] = space.mean[7] + (CLIP if far > 0 else -CLIP) * space.deviation[7]
    torch.testing.assert_close(space.damage_logit(statistics), space.damage_logit(edge))


def test_company_changes_nothing(space: JointSpace, seen: Seen, meaning: torch.Tensor) -> None:
    alone = torch.cat([space.image(*(part[i : i + 1] for part in seen)) for i in range(5)])
    torch.testing.assert_close(space.image(*seen), alone, atol=1e-6, rtol=1e-5)
    sentences = torch.cat([space.sentence(meaning[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(space.sentence(meaning), sentences, atol=1e-6, rtol=1e-5)


def test_the_surest_state_is_finite(space: JointSpace) -> None:
    sure = JointSpace().eval().requires_grad_(False)
    sure.wording[2].weight.zero_()
    sure.wording[2].bias.copy_(torch.tensor([-500.0, 500.0, -500.0]))
    vector = sure.sentence(torch.eye(1, MEANING))[0]
    assert vector[MEANING:].tolist() == pytest.approx([STATE_GAIN, 0, 0])


@pytest.fixture
def stored(space: JointSpace) -> dict[str, torch.Tensor]:
    named = {PREFIX + name: tensor.clone() for name, tensor in space.state_dict().items()}
    return {**named, "text.positional_embedding": torch.zeros(2, 2)}  # of the tower beside it


def test_it_comes_back_from_a_file(
    space: JointSpace,
    seen: Seen,
    meaning: torch.Tensor,
    stored: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    save_file(stored, tmp_path / "w.safetensors")
    loaded = JointSpace.load(tmp_path / "w.safetensors")
    assert torch.equal(loaded.image(*seen), space.image(*seen))  # no dropout either
    assert torch.equal(loaded.sentence(meaning), space.sentence(meaning))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_half_precision_is_read_as_single(
    seen: Seen, stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file({n: t.half() for n, t in stored.items()}, tmp_path / "w.safetensors")
    loaded = JointSpace.load(tmp_path / "w.safetensors")
    assert {t.dtype for t in loaded.state_dict().values()} == {torch.float32}
    assert loaded.image(*seen).isfinite().all()


def test_files_that_do_not_fit_are_told_in_one_line(
    stored: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    stored.pop(PREFIX + "names")
    stored[PREFIX + "mean"] = torch.zeros(7)
    stored[PREFIX + "extra"] = torch.zeros(1)
    save_file(stored, path)
    with pytest.raises(InvalidFile) as caught:
        JointSpace.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "1 missing (names)" in message
    assert "mean (7,), wanted (2392,)" in message
    assert "1 unknown (extra)" in message
    path.write_bytes(b"{}")
    with pytest.raises(InvalidFile, match=r"w\.safetensors.*not a readable weights file"):
        JointSpace.load(path)
    path.unlink()
    with pytest.raises(MissingModel, match=r"w\.safetensors"):
        JointSpace.load(path)

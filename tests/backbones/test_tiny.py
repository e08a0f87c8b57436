"""The embedded backbone with its shipped weights: images and sentences in one space."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from tokenizers import Tokenizer

from inctrl.backbones import load_backbone
from inctrl.backbones.cache import FeatureCache
from inctrl.backbones.tiny import SHIPPED
from inctrl.backbones.tiny.backbone import DESCRIBED, TinyBackbone
from inctrl.backbones.tiny.joint import MEANING, STATE_GAIN, JointSpace
from inctrl.backbones.tiny.text import CONFIG, PREFIX, TOKENIZER, WEIGHTS, TextTower
from inctrl.backbones.tiny.tower import load_tower
from inctrl.data.defects import damage
from inctrl.decoding import open_image
from inctrl.detectors import build_detector
from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.files.tensors import read_part
from inctrl.inspection.inspector import Inspector
from inctrl.maths.statistics import image_statistics
from inctrl.prompting import load_bank, prototypes

IMAGES = Path(__file__).parents[2] / "demos" / "images"
Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def backbone() -> TinyBackbone:
    loaded = load_backbone("tiny", image_size=96, device="cpu")
    assert isinstance(loaded, TinyBackbone)
    return loaded


@pytest.fixture(scope="module")
def full() -> TinyBackbone:
    """At the size that its statistics were trained at."""
    loaded = load_backbone("tiny", device="cpu")
    assert isinstance(loaded, TinyBackbone)
    return loaded


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what is shipped."""
    copied = tmp_path / "made"
    shutil.copytree(SHIPPED, copied)
    return copied


def says_damaged(backbone: TinyBackbone, sentences: Sequence[str]) -> torch.Tensor:
    """u in -1..1, of each sentence."""
    return backbone.encode_text(sentences)[:, MEANING] / STATE_GAIN


def looks_damaged(backbone: TinyBackbone, images: Sequence[Rgb]) -> torch.Tensor:
    """a in -1..1, of each image."""
    shown = backbone.preprocessing([open_image(image) for image in images], "squash")
    return backbone.encode_images(shown).image[:, MEANING] / STATE_GAIN


# Images


def test_shapes_follow_the_strides_of_the_default_layers(
    backbone: TinyBackbone, full: TinyBackbone, pixels: torch.Tensor
) -> None:
    features = backbone.encode_images(pixels)
    assert backbone.layers == ("stride16", "stride32")
    assert [p.shape for p in features.patches] == [(3, 6, 6, 112), (3, 3, 3, 320)]
    assert features.image.shape == (3, 259)
    assert backbone.has_text
    assert full.image_size == 288


def test_all_strides_can_be_tapped_finest_first(
    backbone: TinyBackbone, pixels: torch.Tensor
) -> None:
    wanted = ["stride32", "stride4", "stride16", "stride8"]
    tapped = load_backbone("tiny", image_size=96, layers=wanted, device="cpu")
    features = tapped.encode_images(pixels)
    assert tapped.layers == ("stride4", "stride8", "stride16", "stride32")
    assert [p.shape[1:] for p in features.patches] == [
        (24, 24, 24),
        (12, 12, 40),
        (6, 6, 112),
        (3, 3, 320),
    ]
    ours = backbone.encode_images(pixels)
    for mine, theirs in zip(ours.patches, features.patches[2:], strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(ours.image, features.image)  # whatever is tapped


def test_the_image_token_is_the_joint_spaces_of_what_the_tower_sees(
    backbone: TinyBackbone, pixels: torch.Tensor
) -> None:
    tower = load_tower(96, DESCRIBED, "cpu")
    seen = tower.encode_images(pixels)
    classes, space = tower.classifier(seen.image), JointSpace.load(SHIPPED / WEIGHTS)
    expected = space.image(seen.image, classes, image_statistics(seen.patches))
    torch.testing.assert_close(backbone.encode_images(pixels).image, expected)


@pytest.mark.parametrize("size", [64, 96])
def test_a_batch_gives_what_its_images_give_alone(size: int) -> None:
    backbone = load_backbone("tiny", image_size=size, device="cpu")
    pixels = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    batch = backbone.encode_images(pixels)
    assert batch.image.isfinite().all()
    alone = [backbone.encode_images(pixels[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(
        batch.image, torch.cat([a.image for a in alone]), atol=1e-5, rtol=1e-5
    )


def test_black_and_white_images_have_finite_tokens(full: TinyBackbone) -> None:
    blank = [np.full((40, 60, 3), level, dtype=np.uint8) for level in (0, 255)]
    shown = full.preprocessing([open_image(image) for image in blank], "squash")
    assert full.encode_images(shown).image.isfinite().all()


# Sentences


@pytest.mark.parametrize(
    "sentence",
    ["", " ", "zxqjv", "🦊🦊", "漢字", "naïve Ωμέγα\x00", "word " * 2000, "\ud800", "a \udcff cat"],
)
def test_any_text_has_an_embedding(backbone: TinyBackbone, sentence: str) -> None:
    found = backbone.encode_text([sentence, "a dog"])
    assert found.shape == (2, 259)
    assert found.isfinite().all()
    assert found.norm(dim=1).tolist() == pytest.approx([(1 + STATE_GAIN**2) ** 0.5] * 2)


def test_no_sentences_give_no_rows(backbone: TinyBackbone) -> None:
    assert backbone.encode_text([]).shape == (0, 259)


def test_other_words_have_other_embeddings(backbone: TinyBackbone) -> None:
    near = backbone.encode_text(["a photo of a cat", "a picture of a kitten", "a steel bridge"])
    meaning = near[:, :MEANING]
    assert meaning[0] @ meaning[1] > meaning[:2].mean(dim=0) @ meaning[2] + 0.3


@pytest.mark.parametrize("noun", ["bottle", "carpet", "circuit board", "walnut", "brain"])
def test_the_wording_of_a_state_is_understood(backbone: TinyBackbone, noun: str) -> None:
    bad = [f"a photo of a damaged {noun}", f"broken {noun}", f"a {noun} with a large defect"]
    good = [f"a photo of a flawless {noun}", f"perfect {noun}", f"a {noun} without any defects"]
    said = says_damaged(backbone, [*bad, *good, f"a photo of a {noun}"])
    assert said[:3].min() > 0 > said[3:6].max()
    assert said[:3].mean() > 0.5
    assert said[3:6].mean() < -0.5
    assert abs(said[6]) < 0.5  # that says neither


# Images and sentences


def textured(seed: int) -> Rgb:
    noise = np.random.default_rng(seed).uniform(0, 1, (168, 168, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 350 * (smooth - 0.5), 0, 255).astype(np.uint8)


def woven(seed: int) -> Rgb:
    y, x = np.indices((168, 168))
    grain = np.random.default_rng(seed).normal(0, 8, (168, 168))
    gray = np.clip(128 + 40 * np.sin(x / 3) * np.sin(y / 3) + grain, 0, 255)
    return np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)


def test_a_damaged_texture_looks_damaged(full: TinyBackbone) -> None:
    """On average over textures, kinds of damage and strengths; faint ones may be missed."""
    clean = [draw(seed) for draw in (textured, woven) for seed in range(3)]
    before = looks_damaged(full, clean)
    for kind in ("scratch", "hole", "crack", "missing"):
        bad = [damage(im, kind, np.random.default_rng(i)).rgb for i, im in enumerate(clean)]
        after = looks_damaged(full, bad)
        assert (after - before).mean() > 0.15, kind
        assert (after > before).float().mean() > 0.6, kind


def test_prompts_alone_tell_damaged_textures_from_clean_ones(full: TinyBackbone) -> None:
    """The whole prior, any noun: prototypes of the shipped bank against image tokens."""
    normal, anomalous = prototypes(full, load_bank("industrial"), "fabric")
    clean = [woven(seed) for seed in range(4)]
    bad = [damage(im, "hole", np.random.default_rng(i)).rgb for i, im in enumerate(clean)]
    shown = full.preprocessing([open_image(image) for image in (*clean, *bad)], "squash")
    contrast = full.encode_images(shown).image @ (anomalous - normal)
    assert contrast[4:].mean() > contrast[:4].mean() + 0.05


def test_gravel_is_called_gravel(full: TinyBackbone) -> None:
    paths = [sorted((IMAGES / kind / "normal").glob("*.png"))[:3] for kind in ("gravel", "brick")]
    shown = [open_image(path) for kind in paths for path in kind]
    tokens = full.encode_images(full.preprocessing(shown, "squash")).image[:, :MEANING]
    own = full.encode_text(["a close-up photo of gravel texture"])[:, :MEANING]
    others = [
        "a photo of a dog",
        "a cup of coffee",
        "a man rides a horse",
        "a photo of an airplane",
    ]
    likeness = tokens @ own.T
    unlike = tokens @ full.encode_text(others)[:, :MEANING].T
    assert (likeness[:3] > unlike[:3].amax(dim=1, keepdim=True)).all()
    assert likeness[:3].min() > likeness[3:].max()


def test_sentences_are_encoded_once(
    tmp_path: Path, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    encode_text = TinyBackbone.encode_text

    def counted(self: TinyBackbone, sentences: Sequence[str]) -> torch.Tensor:
        asked.append(len(sentences))
        return encode_text(self, sentences)

    monkeypatch.setattr(TinyBackbone, "encode_text", counted)

    def inspector() -> Inspector:
        loaded = load_backbone("tiny", image_size=64, device="cpu")
        return Inspector(loaded, build_detector("zeroshot"), cache=FeatureCache(tmp_path))

    images = sorted(IMAGES.glob("brick/normal/*"))[:4]
    fitted = inspector().fit(images[:2], item="brick")
    assert len(asked) == 1
    fitted.inspect(images[2:])
    fitted.inspect(images)
    assert len(asked) == 1
    again = inspector()
    first = again.describe("brick").prototypes
    assert len(asked) == 1
    other = again.describe("gravel").prototypes
    assert len(asked) == 2
    assert first is not None
    assert other is not None
    assert not torch.equal(first, other)


def test_the_text_tower_is_read_when_the_first_sentence_comes(
    backbone: TinyBackbone, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_backbone("tiny", image_size=96, device="cpu")
    monkeypatch.setattr(TextTower, "load", None)
    loaded.encode_images(pixels)
    with pytest.raises(TypeError):
        loaded.encode_text(["a cable"])


# Files


def test_the_shipped_text_side_is_small() -> None:
    names = {path.name for path in SHIPPED.iterdir()}
    assert names == {CONFIG, TOKENIZER, WEIGHTS, "README.md", "training.json"}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 16 * 2**20


def test_open_clip_reads_the_shipped_configuration_and_weights(
    backbone: TinyBackbone,
) -> None:
    """As one model of two towers; its sentences are ours, at its full context length."""
    pair = open_clip.create_model(f"local-dir:{SHIPPED}", load_weights=False).eval()
    missing, unknown = pair.load_state_dict(read_part(SHIPPED / WEIGHTS, PREFIX), strict=False)
    assert not unknown
    assert all(name.startswith(("visual.", "logit_scale")) for name in missing)
    assert pair.visual.trunk.default_cfg["architecture"] == "tf_efficientnet_lite0"
    tokenizer = Tokenizer.from_file(str(SHIPPED / TOKENIZER))
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), length=pair.context_length)
    sentences = ["a damaged bottle", "word " * 50]
    tokens = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(sentences)])
    with torch.inference_mode():
        theirs = pair.encode_text(tokens, normalize=True)
    ours = backbone.encode_text(sentences)[:, :MEANING]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_shipped_tokenizer_belongs_to_the_configuration() -> None:
    text = json.loads((SHIPPED / CONFIG).read_text())["model_cfg"]["text_cfg"]
    tokenizer = Tokenizer.from_file(str(SHIPPED / TOKENIZER))
    assert open_clip.CLIPTextCfg(**text).context_length == tokenizer.truncation["max_length"]
    assert tokenizer.get_vocab_size() == text["vocab_size"]
    assert tokenizer.token_to_id("[SEP]") == text["eos_id"]
    assert tokenizer.token_to_id("[PAD]") == text["pad_id"]
    assert tokenizer.encode("word " * 50).ids[-1] == text["eos_id"]


@pytest.mark.parametrize("name", ["README.md", "training.json", CONFIG])
def test_what_is_shipped_names_no_local_path(name: str) -> None:
    text = (SHIPPED / name).read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|mnt|Users|var)/|\w:\\", text)


def test_a_folder_of_the_training_program_is_used(
    folder: Path, backbone: TinyBackbone, pixels: torch.Tensor
) -> None:
    copied = load_backbone(f"tiny:{folder}", image_size=96, device="cpu")
    assert copied.name == f"tiny:{folder}"
    assert copied.fingerprint == backbone.fingerprint
    torch.testing.assert_close(
        copied.encode_images(pixels).image, backbone.encode_images(pixels).image
    )


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_the_fingerprint_follows_every_file_of_the_folder(
    folder: Path, backbone: TinyBackbone, name: str
) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    changed = load_backbone(f"tiny:{folder}", image_size=96, device="cpu")
    assert changed.fingerprint != backbone.fingerprint


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(MissingModel, match=rf"no '{re.escape(name)}' in .*training program"):
        load_backbone(f"tiny:{folder}")


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(MissingModel, match=r"no 'open_clip_config\.json' in '/nowhere'"):
        load_backbone("tiny:/nowhere")
    with pytest.raises(UsageError, match="did you mean 'stride16'"):
        load_backbone("tiny", layers=["stride61"])
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        load_backbone("tinny")
    with pytest.raises(UsageError, match="image size 100 does not fit 'tiny'"):
        load_backbone("tiny", image_size=100)


def test_damaged_weights_are_told(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"{}")
    with pytest.raises(InvalidFile, match=WEIGHTS):
        load_backbone(f"tiny:{folder}")


def test_the_fingerprint_follows_size_and_layers_and_is_stable(backbone: TinyBackbone) -> None:
    again = load_backbone("tiny", image_size=96)
    other_size = load_backbone("tiny", image_size=64)
    other_layers = load_backbone("tiny", image_size=96, layers=["stride8"])
    prints = [b.fingerprint for b in (backbone, again, other_size, other_layers)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert len(prints[0]) == 64

"""The text tower of `tiny`, with random weights."""

import json
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from recipe.tiny_teacher import write_teacher
from safetensors.torch import save_file
from torch.nn.functional import normalize

from inctrl.backbones.tiny import text
from inctrl.backbones.tiny.text import (
    CONFIG,
    PREFIX,
    TOKENIZER,
    WEIGHTS,
    TextTower,
    build,
    encode,
    padded,
)
from inctrl.errors import InvalidFile, MissingModel
from inctrl.files.tensors import read_part
from tiny import vocabulary
from tiny.distil import configuration

SENTENCES = ["", "a dog", "a photo of a damaged bottle with a scratch", "x " * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tower")
    source = vocabulary.teacher_tokenizer(write_teacher(base / "teacher"))
    pieces = vocabulary.prune(source, SENTENCES, source.get_vocab_size())
    vocabulary.write(source, pieces, 32, base / TOKENIZER)
    config = configuration(pieces)
    (base / CONFIG).write_text(json.dumps(config))
    torch.manual_seed(0)
    state = build(config["model_cfg"]).state_dict()
    stored = {PREFIX + n: t.half().contiguous() for n, t in state.items()}
    save_file({**stored, "joint.names": torch.ones(2)}, base / WEIGHTS)  # not the tower's
    return base


def test_embeddings_are_float32_of_unit_length(folder: Path) -> None:
    found = TextTower.load(folder)(SENTENCES)
    assert found.shape == (4, 256)
    assert found.dtype == torch.float32
    assert torch.allclose(found.norm(dim=1), torch.ones(4), atol=1e-5)


def test_company_does_not_change_an_embedding(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = TextTower.load(folder)
    together = tower(SENTENCES)
    alone = torch.cat([tower([s]) for s in SENTENCES])
    assert torch.allclose(together, alone, atol=1e-5)
    monkeypatch.setattr(text, "BATCH", 3)
    assert torch.allclose(tower(SENTENCES), together, atol=1e-5)


def test_no_sentences_give_no_rows(folder: Path) -> None:
    assert TextTower.load(folder)([]).shape == (0, 256)


def test_open_clip_says_the_same_of_the_same_configuration(folder: Path) -> None:
    """The shortened pass is open_clip's own, at its full context length."""
    config = json.loads((folder / CONFIG).read_text())["model_cfg"]
    pair = open_clip.CLIP(**config).eval()
    missing, unknown = pair.load_state_dict(read_part(folder / WEIGHTS, PREFIX), strict=False)
    assert not unknown
    assert all(name.startswith(("visual.", "logit_scale")) for name in missing)
    tokenizer = text.read_tokenizer(folder / TOKENIZER)
    rows = [tokenizer.encode(s).ids for s in SENTENCES]
    tokens = torch.tensor([[*row, *[0] * (32 - len(row))] for row in rows])
    with torch.inference_mode():
        theirs = normalize(pair.encode_text(tokens), dim=1)
    assert torch.allclose(TextTower.load(folder)(SENTENCES), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("a \udc80dog", "a dog"),  # half of a pair, as a file name of other bytes gives it
        ("\ud83e\udd8a", "🦊"),  # both halves, as JSON escapes them
        ("\ud800", ""),
    ],
)
def test_surrogates_are_read_as_what_is_left_of_them(
    folder: Path, given: str, read_as: str
) -> None:
    found, expected = TextTower.load(folder)([given, read_as])
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_follows_the_end_token_cannot_reach_it(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())["model_cfg"]
    model = build(config).eval()
    row = [2, 7, 9, model.eos_id]
    with torch.inference_mode():
        short, long = encode(model, padded([row])), encode(model, padded([[*row, 0, 8, 9]]))
    assert torch.allclose(short, long, atol=1e-5)


def test_importing_the_module_imports_no_model_library() -> None:
    code = (
        "import sys, inctrl.backbones.tiny.text\n"
        "print([m for m in ('open_clip', 'tokenizers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_missing_and_damaged_files_are_told(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(InvalidFile, match=name):
        TextTower.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingModel, match=name):
        TextTower.load(tmp_path)

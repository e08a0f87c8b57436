import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import FakeBackbone

from inctrl.adapters import file
from inctrl.adapters.file import AdapterConfig
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.errors import ContextMismatch, InvalidFile, MissingModel, OutputError, UsageError
from inctrl.files.tensors import load_exactly

CONFIG = AdapterConfig(
    kind="inctrl",
    backbone="fake",
    fingerprint="fake-1",
    image_size=32,
    layers=("fine", "coarse"),
    shape={"embed": 8, "positions": 64},
    text=False,
    shots=(2, 4),
    metrics={"auroc": 90.5},
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file.save(tmp_path / "one", CONFIG, InCTRLFusion(8, 64), "# card\n")
    return tmp_path / "one"


def test_an_adapter_comes_back_as_it_was_saved(saved: Path) -> None:
    adapter = file.open_adapter(saved).fit_to(FakeBackbone())
    fusion = adapter.module
    torch.manual_seed(0)
    same = InCTRLFusion(8, 64).state_dict()
    assert adapter.config == CONFIG
    assert all(torch.equal(tensor, same[name]) for name, tensor in fusion.state_dict().items())
    assert sorted(p.name for p in saved.iterdir()) == sorted([file.CONFIG, file.WEIGHTS, file.CARD])


def test_a_folder_is_read_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or whole(path))
    folder = file.open_adapter(saved)
    for path in saved.iterdir():
        path.unlink()
    adapter = folder.fit_to(FakeBackbone())
    assert read == [file.WEIGHTS]
    assert adapter.path == str(saved.resolve())


def test_another_backbone_is_refused(saved: Path) -> None:
    with pytest.raises(ContextMismatch, match="belongs to backbone 'fake'"):
        file.open_adapter(saved).fit_to(FakeBackbone("fake-2"))


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"image_size": 48}, "belongs to backbone 'fake' with image size 48, not 32; load it so"),
        ({"precision": "bfloat16"}, "belongs to backbone 'fake' with precision bfloat16, not f"),
        ({"layers": ["fine"]}, "belongs to backbone 'fake' with layers fine, not fine,coarse;"),
        ({"backbone": "other"}, "belongs to backbone 'other' with .* not to 'fake'; load that"),
        ({}, "backbone 'fake', and these are other weights under the same name"),
    ],
)
def test_what_another_backbone_has_else_is_named(
    saved: Path, differs: dict[str, object], words: str
) -> None:
    text = json.loads((saved / file.CONFIG).read_text())
    (saved / file.CONFIG).write_text(json.dumps({**text, **differs, "fingerprint": "f"}))
    with pytest.raises(ContextMismatch, match=words):
        file.open_adapter(saved).fit_to(FakeBackbone())


def test_missing_and_misshapen_keys_are_listed(saved: Path) -> None:
    text = json.loads((saved / file.CONFIG).read_text())
    (saved / file.CONFIG).write_text(json.dumps({**text, "shape": {"embed": 8, "positions": 65}}))
    with pytest.raises(
        InvalidFile, match=r"map_head.linear1.weight \(128, 64\), wanted \(128, 65\)"
    ):
        file.open_adapter(saved).fit_to(FakeBackbone())
    with pytest.raises(
        InvalidFile, match=r"missing \(bottleneck.down.weight.*1 unknown \(surprise\)"
    ):
        load_exactly(InCTRLFusion(8, 64), {"surprise": torch.zeros(1)}, "here")


def test_weights_that_are_damaged_or_absent_are_named(saved: Path) -> None:
    (saved / file.WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(InvalidFile, match="adapter_model.safetensors"):
        file.open_adapter(saved).fit_to(FakeBackbone())
    (saved / file.WEIGHTS).unlink()
    with pytest.raises(MissingModel, match="adapter_model.safetensors"):
        file.open_adapter(saved).fit_to(FakeBackbone())


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2}', '{"version": 1, "colour": 3}', '{"version": 1}']
)
def test_a_config_that_is_none_is_refused(saved: Path, text: str) -> None:
    (saved / file.CONFIG).write_text(text)
    with pytest.raises(InvalidFile, match="adapter_config.json"):
        file.read_config(saved)


def test_a_config_whose_images_are_no_text_is_refused(saved: Path) -> None:
    stored = json.loads((saved / file.CONFIG).read_text())
    (saved / file.CONFIG).write_text(json.dumps({**stored, "images": ["ab"]}))
    with pytest.raises(InvalidFile, match="images is no text"):
        file.read_config(saved)


def test_a_config_from_before_there_were_low_rank_updates_is_read(saved: Path) -> None:
    stored = json.loads((saved / file.CONFIG).read_text())
    assert stored.pop("lora") == {}
    (saved / file.CONFIG).write_text(json.dumps(stored))
    assert file.read_config(saved) == CONFIG
    assert file.open_adapter(saved).fit_to(FakeBackbone()).lora is None


def test_adapters_are_found_by_name_and_by_folder(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCTRL_ADAPTERS", str(saved.parent))
    assert file.find("one") == file.find(str(saved)) == saved
    with pytest.raises(UsageError, match="did you mean 'one'"):
        file.find("ome")
    with pytest.raises(InvalidFile, match="holds no adapter_config.json"):
        file.find(str(saved.parent))


def test_an_existing_folder_is_not_overwritten(saved: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        file.save(saved, replace(CONFIG, seed=1), InCTRLFusion(8, 64), "")
    assert file.read_config(saved) == CONFIG
    assert [p.name for p in saved.parent.iterdir()] == ["one"]


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    fusion = InCTRLFusion(8, 64)
    with torch.no_grad():
        fusion.bottleneck.down.weight[0, 0] = torch.nan
    with pytest.raises(UsageError, match=r"not finite in 'bottleneck.down.weight'"):
        file.save(tmp_path / "broken", CONFIG, fusion, "# card\n")
    assert not (tmp_path / "broken").exists()

"""How contenders are named, and when two are the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeBackbone
from labelled import entrant, write_adapter

from inctrl.adapters.file import Adapter, read_config
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.backbones.features import Tally
from inctrl.detectors import build_detector
from inctrl.errors import UsageError
from inctrl.evaluation.contenders import (
    Entrant,
    Spec,
    adapter_spec,
    enter,
    load_entrants,
    read_spec,
    sharing,
)
from inctrl.inspection.inspector import Inspector
from inctrl.prompting import load_bank


@pytest.mark.parametrize(
    ("text", "detector", "options", "backbone"),
    [
        ("incontext", "incontext", {}, None),
        ("patchcore:keep_shots=0, fraction=0.3", "patchcore", {"keep_shots": "0"}, None),
        ("padim@cnn:resnet18/a.pth", "padim", {}, "cnn:resnet18/a.pth"),
        ("padim:channels=5@hf:/models/x@1", "padim", {"channels": "5"}, "hf:/models/x@1"),
        ("anomalib:fastflow", "anomalib:fastflow", {}, None),
        ("anomalib:fastflow:epochs=3", "anomalib:fastflow", {"epochs": "3"}, None),
    ],
)
def test_a_spec_is_a_detector_its_options_and_its_backbone(
    text: str, detector: str, options: dict[str, str], backbone: str | None
) -> None:
    spec = read_spec(text)
    assert (spec.label, spec.detector, spec.backbone) == (text, detector, backbone)
    assert dict(spec.options).items() >= options.items()


@pytest.mark.parametrize("text", ["", ":a=1", "padim:channels", "padim@", "padim:a=1,b"])
def test_a_spec_of_another_form_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="NAME\\[:KEY=VALUE,...\\]"):
        read_spec(text)


def test_equal_arguments_load_one_backbone() -> None:
    made: list[tuple[object, ...]] = []

    def load(*args: object, **options: object) -> FakeBackbone:
        made.append(args)
        return FakeBackbone()

    shared = sharing(load)
    first = shared("tiny", layers=["a", "b"], image_size=None)
    assert shared("tiny", layers=("a", "b"), image_size=None) is first
    assert shared("tiny", layers=("a",), image_size=None) is not first
    assert shared("cnn:x", layers=("a", "b"), image_size=None) is not first
    assert len(made) == 3


def test_labels_are_unique() -> None:
    with pytest.raises(UsageError, match="'incontext' is named twice"):
        load_entrants([Spec("incontext", "incontext")] * 2, None, Tally(), image_size=64)


def adapters(*paths: Path) -> tuple[Entrant, ...]:
    return load_entrants([adapter_spec(str(path)) for path in paths], None, Tally())


def test_adapters_whose_folders_have_one_name_are_called_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("z1/final", "z2/final", "other"):
        write_adapter(Path(name), images="0123456789abcdef 00ff00ff00ff00ff")
    found = adapters(Path("z1/final"), Path("z2/final"), Path("other"))
    labels = [one.contender.label for one in found]
    assert labels == ["inctrl (z1/final)", "inctrl (z2/final)", "inctrl (other)"]
    assert found[0].seen == {"0123456789abcdef", "00ff00ff00ff00ff"}


def test_an_adapter_given_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "final")
    for other in (path, path / ".." / "final"):
        with pytest.raises(UsageError, match=r"'inctrl \(final\)' is named twice"):
            adapters(path, other)


def test_detectors_of_one_backbone_share_it() -> None:
    specs = [Spec(name, name) for name in ("incontext", "patchcore")]
    one, other = load_entrants(specs, None, Tally(), image_size=64)
    assert one.inspector.backbone is other.inspector.backbone
    assert one.contender.image_size == 64


def test_an_adapter_needed_and_not_given_is_said() -> None:
    with pytest.raises(UsageError, match="needs a trained adapter"):
        load_entrants([read_spec("inctrl")], None, Tally(), image_size=64)


def test_the_identity_is_of_all_that_scores_depend_on_and_not_of_the_name(tmp_path: Path) -> None:
    text = FakeBackbone(has_text=True)
    base = Inspector(text, build_detector("incontext"))
    sentences = replace(load_bank("inctrl"), templates=("another {s}",))
    config = read_config(write_adapter(tmp_path / "mine"))
    trained = Adapter(str(tmp_path), "0" * 64, config, InCTRLFusion(8, 4))
    others = [
        replace(base, backbone=FakeBackbone("fake-2", has_text=True)),
        replace(base, detector=build_detector("incontext", {"top_share": "0.1"})),
        replace(base, detector=build_detector("spade")),
        replace(base, fit_mode="pad"),
        replace(base, alpha=0.1),
        replace(base, bank=sentences),
        replace(base, adapter=trained),
    ]
    assert len({enter(i, "x").identity for i in (base, *others)}) == 1 + len(others)
    assert enter(base, "x").identity == enter(base, "y").identity
    without = build_detector("incontext", {"text_weight": "0"})
    banks = [replace(base, detector=without, bank=b) for b in (base.bank, sentences)]
    assert len({enter(i, "x").identity for i in banks}) == 1  # no sentence is read


def test_images_are_encoded_one_by_one() -> None:
    assert entrant(batch=8).inspector.batch == 1

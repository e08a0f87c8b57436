"""Models of anomalib on random towers: `make test-anomalib`, in an environment of its own."""

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBackbone

import inctrl
from inctrl.backbones import pixels
from inctrl.backbones.pixels import PixelBackbone
from inctrl.decoding import open_image
from inctrl.detectors import build_detector, detector_entry
from inctrl.detectors.anomalib import MODELS, Anomalib, AnomalibOptions, make
from inctrl.errors import ContextMismatch, MissingModel, UsageError
from inctrl.images import Image
from inctrl.types import Features, Item

ITEM = Item("thing")
LIBRARY = importlib.util.find_spec("anomalib") is not None
SMALL = {
    "anomaly_dino": 56,
    "cfa": 64,
    "dfkde": 64,
    "dfm": 128,
    "fastflow": 64,
    "padim": 64,
    "patchcore": 64,
    "stfpm": 64,
    "supersimplenet": 128,
}
"""Models that run in seconds, and the side of their images."""


def real(test: Callable[..., None]) -> Callable[..., None]:
    """A test that trains a model of the library."""
    absent = pytest.mark.skipif(not LIBRARY, reason="anomalib is absent; run `make test-anomalib`")
    return pytest.mark.anomalib(absent(test))


def backbone(
    size: int | None = None, *, spec: str = "", layers: list[str] | None = None
) -> PixelBackbone:
    return pixels.load(spec, image_size=size, layers=layers, device="cpu", allow_network=False)


def unbuilt(name: str, **options: str) -> Anomalib:
    """A detector as it is before the library is needed."""
    return Anomalib(name, MODELS[name], AnomalibOptions(**options), "2.7.0")


def detector(name: str, *, weights: str = "random", seed: int = 0, **options: str) -> Anomalib:
    return make(name, AnomalibOptions(weights=weights, seed=seed, steps=2, **options))


def pictures(count: int, seed: int, side: int = 64) -> np.ndarray:
    """count S S 3: one texture, each with noise of its own."""
    texture = np.random.default_rng(0).integers(60, 190, (side, side, 3))
    noise = np.random.default_rng(seed + 1).integers(-40, 40, (count, side, side, 3))
    return (texture + noise).astype(np.uint8)


def encoded(shown: PixelBackbone, images: list[Image]) -> Features:
    return shown.encode_images(shown.preprocessing(images, "squash"))


def features(count: int, seed: int, side: int = 64) -> Features:
    images = [open_image(picture) for picture in pictures(count, seed, side)]
    return encoded(backbone(side), images)


def marked(count: int, side: int = 64) -> Features:
    """Images of which the first has a white square in its upper left quarter."""
    queries = features(count, 7, side)
    [layer] = (patches.clone() for patches in queries.patches)
    layer[0, side // 8 : 3 * side // 8, side // 8 : 3 * side // 8] = 1.0
    return Features((layer,), queries.image)


def test_pixels_are_the_picture_and_its_mean_colour() -> None:
    shown, picture = backbone(32), pictures(1, 1, 32)[0]
    seen = encoded(shown, [open_image(picture)])
    assert shown.layers == ("pixels",)
    assert shown.image_size == 32
    assert not shown.has_text
    expected = torch.from_numpy(picture).float() / 255
    torch.testing.assert_close(seen.patches[0], expected[None])
    torch.testing.assert_close(seen.image, expected.mean(dim=(0, 1))[None])


def test_pixels_of_another_size_have_another_fingerprint() -> None:
    default, large = backbone(), backbone(288)
    assert default.image_size == 256
    assert default.fingerprint == backbone().fingerprint != large.fingerprint


def test_pixels_have_no_weights_layers_or_text() -> None:
    with pytest.raises(UsageError, match="leave out ':resnet18'"):
        backbone(spec="resnet18")
    with pytest.raises(UsageError, match="unknown layer of pixels 'stride8'"):
        backbone(layers=["stride8"])
    with pytest.raises(UsageError, match="no text tower"):
        backbone().encode_text(["a cable"])


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anomalib", None)
    with pytest.raises(MissingModel) as caught:
        build_detector("anomalib:padim", {"weights": "random"})
    message = str(caught.value)
    assert "\n" not in message
    assert "inctrl[anomalib]" in message
    assert "environment of its own" in message
    assert "make test-anomalib" in message


def test_an_unknown_name_or_option_says_what_there_is() -> None:
    with pytest.raises(UsageError, match="'patchkore'; did you mean 'patchcore'"):
        detector_entry("anomalib:patchkore")
    with pytest.raises(UsageError, match="'patchkore'; did you mean 'patchcore'"):
        make("patchkore", AnomalibOptions())
    with pytest.raises(UsageError, match="option of anomalib:padim"):
        build_detector("anomalib:padim", {"epochs": "3"})
    with pytest.raises(UsageError, match="steps=-1 is negative"):
        build_detector("anomalib:stfpm", {"steps": "-1"})
    with pytest.raises(UsageError, match="batch=1 is too few"):
        build_detector("anomalib:stfpm", {"batch": "1"})


def test_the_table_is_read_without_the_library() -> None:
    """In a process of its own: other tests of this one may have read the library."""
    read = "import sys; from inctrl.detectors import detector_entry as e; e('anomalib:padim'); "
    heavy = "print(*({'anomalib', 'lightning', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", read + heavy], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_they_want_the_pictures_themselves() -> None:
    assert detector_entry("anomalib:padim").backbone == "pixels"


def test_towers_are_never_random_unasked() -> None:
    with pytest.raises(MissingModel, match=r"'resnet18': .*weights=FILE.*weights=random"):
        unbuilt("padim")
    with pytest.raises(MissingModel, match="wide_resnet101_2"):
        unbuilt("padim", backbone="wide_resnet101_2")
    with pytest.raises(MissingModel, match=r"no file '/no/such\.pt'"):
        unbuilt("padim", weights="/no/such.pt")
    with pytest.raises(MissingModel, match="wants ImageNette, .*images=FOLDER"):
        unbuilt("efficient_ad", weights="random")


def test_what_a_model_does_not_take_is_refused() -> None:
    for name, given in (
        ("draem", {"backbone": "resnet18"}),
        ("ganomaly", {"weights": "hub"}),
        ("anomaly_dino", {"layers": "blocks.3"}),
        ("stfpm", {"images": "textures"}),
    ):
        with pytest.raises(UsageError, match=f"anomalib:{name} .*leave .* out"):
            unbuilt(name, **{"weights": "random", **given})


def test_features_of_a_tower_are_refused() -> None:
    torch.manual_seed(0)
    padim = unbuilt("padim", weights="random")
    of_a_tower = FakeBackbone().encode_images(torch.rand(2, 3, 32, 32))
    with pytest.raises(UsageError, match="use the backbone 'pixels'"):
        padim.prepare(of_a_tower, ITEM)


def test_too_few_normals_are_refused_with_the_least_number() -> None:
    dfm = unbuilt("dfm", weights="random")
    with pytest.raises(UsageError, match="cannot be fitted to 1 normal images but to 2; give 3"):
        dfm.prepare(features(1, 1), ITEM)


def test_images_that_are_too_small_are_refused() -> None:
    padim = unbuilt("padim", weights="random")
    with pytest.raises(UsageError, match="needs images of 32 pixels or more, not 24"):
        padim.prepare(features(2, 1, 24), ITEM)


@real
@pytest.mark.parametrize("name", SMALL)
def test_a_model_keeps_the_rules_of_detectors(name: str) -> None:
    """Finite, the same again, whatever the batch, and the same from a saved context."""
    side = SMALL[name]
    one, queries, shots = detector(name), marked(3, side), features(3, 1, side)
    context = one.prepare(shots, ITEM)
    whole = one.score(queries, context)
    assert whole.score.shape == (3,)
    assert whole.anomaly_map.shape == ((3, side, side) if one.localises else (3, 1, 1))
    assert whole.score.isfinite().all()
    assert whole.anomaly_map.isfinite().all()
    assert (whole.score >= 0).all()
    assert not whole.score.requires_grad
    assert not whole.anomaly_map.requires_grad
    again = one.score(queries, one.prepare(shots, ITEM))
    assert torch.equal(again.score, whole.score)
    assert torch.equal(again.anomaly_map, whole.anomaly_map)
    alone = one.score(queries[1:2], context)
    assert torch.equal(alone.score, whole.score[1:2])
    assert torch.equal(alone.anomaly_map, whole.anomaly_map[1:2])
    packed = {key: tensor.clone() for key, tensor in one.pack(context).items()}
    saved = detector(name)
    read = saved.score(queries, saved.unpack(packed))
    assert torch.equal(read.score, whole.score)
    assert torch.equal(read.anomaly_map, whole.anomaly_map)


@real
@pytest.mark.parametrize("name", ["padim", "patchcore", "stfpm", "anomaly_dino"])
@pytest.mark.parametrize("k", [1, 4, 8])
def test_any_number_of_normals_will_do(name: str, k: int) -> None:
    side = SMALL[name]
    one = detector(name)
    prediction = one.score(marked(2, side), one.prepare(features(k, 1, side), ITEM))
    assert prediction.score[0] > prediction.score[1]
    brightest = int(prediction.anomaly_map[0].argmax())
    assert max(divmod(brightest, side)) < 5 * side // 8


@real
def test_training_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    stfpm = detector("stfpm")
    stfpm.score(features(1, 2), stfpm.prepare(features(2, 1), ITEM))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@real
def test_the_seed_governs_all_that_is_random() -> None:
    shots, queries = features(2, 1), marked(2)
    scores = []
    for seed in (0, 1):
        stfpm = detector("stfpm", seed=seed)
        scores.append(stfpm.score(queries, stfpm.prepare(shots, ITEM)).score)
    assert not torch.equal(*scores)


@real
def test_a_file_of_weights_is_the_tower(tmp_path: Path) -> None:
    """A tower of zeros sees no difference; another file, another record."""
    timm = pytest.importorskip("timm")
    state = timm.create_model("resnet18").state_dict()
    torch.save({n: torch.zeros_like(t) for n, t in state.items()}, tmp_path / "zeros.pth")
    torch.save(state, tmp_path / "random.pth")
    zeros = detector("padim", weights=str(tmp_path / "zeros.pth"))
    maps = zeros.score(marked(2), zeros.prepare(features(2, 1), ITEM)).anomaly_map
    assert float(maps.max() - maps.min()) == 0
    other = detector("padim", weights=str(tmp_path / "random.pth"))
    assert str(other.options["weights"]).startswith("sha256:")
    assert other.options["weights"] != zeros.options["weights"]


@real
@pytest.mark.parametrize(
    ("name", "option", "missed"),
    [("padim", "weights", "weights=FILE"), ("draem", "images", "folder")],
)
def test_a_saved_context_is_read_with_the_options_it_records(
    name: str, option: str, missed: str, tmp_path: Path
) -> None:
    """Neither the file of the tower nor the folder of images need be there any more."""
    timm = pytest.importorskip("timm")
    given = tmp_path / option
    if option == "weights":
        torch.save(timm.create_model("resnet18").state_dict(), given)
    else:
        given.mkdir()
    fitted, shots, queries = detector(name, **{option: str(given)}), features(2, 1), marked(2)
    context = fitted.prepare(shots, ITEM)
    given.rename(tmp_path / "elsewhere")
    recorded = {key: str(value) for key, value in fitted.options.items()}
    other = build_detector(f"anomalib:{name}", recorded)
    assert other.options == fitted.options
    assert other.options["version"] == version("anomalib")
    read = other.score(queries, other.unpack(fitted.pack(context)))
    assert torch.equal(read.score, fitted.score(queries, context).score)
    with pytest.raises(MissingModel, match=missed):
        other.prepare(shots, ITEM)


@real
def test_a_context_of_another_version_of_the_library_is_refused() -> None:
    with pytest.raises(ContextMismatch, match=r"as of anomalib 1\.0"):
        detector("padim", version="1.0")


@real
def test_absent_weights_of_the_hub_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    padim = detector("padim", weights="hub")
    with pytest.raises(MissingModel, match=r"'anomalib:padim': the weights 'resnet18' not found"):
        padim.prepare(features(2, 1), ITEM)


@real
def test_another_tower_can_be_named() -> None:
    light = detector("patchcore", backbone="test_resnet", layers="layer1,layer2")
    context = light.prepare(features(2, 1), ITEM)
    assert light.score(marked(2), context).score.isfinite().all()
    assert sum(tensor.numel() for tensor in light.pack(context).values()) < 1_000_000


@real
@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("padim", {"backbone": "resnet10t"}, "n_features must be specified"),
        ("fastflow", {"backbone": "resnet99"}, "resnet99 is not supported"),
        ("patchcore", {"layers": "layer9"}, "KeyError: 'layer9'"),
        ("stfpm", {"layers": "layer9"}, "non-empty"),
    ],
)
def test_what_the_library_refuses_is_one_line(
    name: str, given: dict[str, str], reason: str
) -> None:
    refused = detector(name, **given)
    chosen = " ".join(f"{option}=.*{value}.*" for option, value in given.items())
    with pytest.raises(UsageError, match=f"anomalib:{name} .*{chosen}{reason}") as caught:
        refused.prepare(features(2, 1), ITEM)
    assert "\n" not in str(caught.value)


@real
def test_the_whole_path(tmp_path: Path) -> None:
    inspector = inctrl.Inspector(backbone(64), detector("patchcore"))
    fitted = inspector.fit(list(pictures(4, 1)))
    bad = pictures(1, 9)[0]
    bad[8:24, 8:24] = 255
    good, worse = fitted.inspect([pictures(1, 8)[0], bad])
    assert worse.score > worse.threshold > good.score
    assert worse.anomaly_map.shape == (64, 64)
    assert worse.regions

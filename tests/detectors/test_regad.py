"""RegAD on features made by hand, and from images to an adapter and back."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from fakes import FakeBackbone

from inctrl.adapters import file
from inctrl.cli.main import run
from inctrl.decoding import open_image
from inctrl.detectors.padim import PaDiM, PaDiMOptions
from inctrl.detectors.regad import RegAD, RegADOptions
from inctrl.errors import ContextMismatch, UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.types import Features, Item

ITEM = Item("object")
ALL = PaDiMOptions(channels=100_000)


def features(b: int, grid: tuple[int, int] = (6, 4), v: int = 0, seed: int = 0) -> Features:
    """Two layers of 5 and 3 channels, the second half as fine; v versions of each image."""
    random = torch.Generator().manual_seed(seed)
    sizes = ((*grid, 5), (grid[0] // 2, grid[1] // 2, 3))
    patches = tuple(torch.randn(b, *size, generator=random) for size in sizes)
    versions = tuple(torch.randn(b, v, *size, generator=random) for size in sizes) if v else ()
    return Features(patches, torch.zeros(b, 1), versions=versions)


def as_shots(references: Features) -> Features:
    """Shots and versions as shots alike."""
    layers = zip(references.patches, references.versions, strict=True)
    patches = tuple(torch.cat([p, v.flatten(0, 1)]) for p, v in layers)
    return Features(patches, torch.zeros(len(patches[0]), 1))


@pytest.mark.parametrize("k", [1, 2, 30])
def test_unregistered_it_is_padim_of_all_channels_on_the_versions(k: int) -> None:
    references, queries = features(k, v=4), features(3, seed=1)
    seen = RegAD().score(queries, RegAD().prepare(references, ITEM))
    padim = PaDiM(ALL)
    expected = padim.score(queries, padim.prepare(as_shots(references), ITEM))
    torch.testing.assert_close(seen.anomaly_map, expected.anomaly_map, rtol=1e-4, atol=0)
    torch.testing.assert_close(seen.score, expected.score, rtol=1e-4, atol=0)
    shuffled = Features(
        references.patches,
        references.image,
        versions=tuple(v.flip(1) for v in references.versions),
    )
    again = RegAD().score(queries, RegAD().prepare(shuffled, ITEM))
    torch.testing.assert_close(again.score, seen.score, rtol=1e-4, atol=0)


def test_constant_shots_leave_the_ridge() -> None:
    one = features(1)
    same = Features(
        one.patches,
        one.image,
        versions=tuple(p[:, None].expand(-1, 21, -1, -1, -1) for p in one.patches),
    )
    detector = RegAD()
    context = detector.prepare(same, ITEM)
    assert detector.score(one, context).score.item() == pytest.approx(0, abs=1e-3)
    moved = Features(tuple(p + 1 for p in one.patches), one.image)
    # 8 channels, each 1 off: sqrt(8 / 0.01) everywhere.
    torch.testing.assert_close(
        detector.score(moved, context).anomaly_map, torch.full((1, 224, 149), 800**0.5)
    )


def test_duplicate_shots_keep_the_mean_and_give_finite_scores() -> None:
    detector, two = RegAD(), features(2, v=3)
    once, twice = (detector.prepare(two[rows], ITEM) for rows in ([0, 1], [0, 1, 0, 1]))
    torch.testing.assert_close(once.mean, twice.mean)
    score = detector.score(features(2, seed=3), twice).score
    assert torch.isfinite(score).all()
    # The divisor n - 1 grows faster than n: the same samples twice vary a little less.
    assert (score >= detector.score(features(2, seed=3), once).score).all()


def test_more_shots_than_positions() -> None:
    detector, shots = RegAD(), features(7, grid=(2, 2), v=2)
    prediction = detector.score(shots, detector.prepare(shots, ITEM))
    assert prediction.anomaly_map.shape == (7, 224, 224)
    # Of n samples none is farther than (n - 1) / sqrt(n) from their mean, in their own measure.
    assert prediction.score.max() < 20 / 21**0.5


def test_a_defect_lies_where_it_is_on_a_grid_that_is_no_square() -> None:
    detector, query = RegAD(), features(1, grid=(4, 8), seed=5)
    query.patches[0][0, 3, 1] += 30
    context = detector.prepare(features(2, grid=(4, 8), v=5), ITEM)
    prediction = detector.score(query, context)
    assert prediction.anomaly_map.shape == (1, 112, 224)
    row, column = divmod(int(prediction.anomaly_map.argmax()), 224)
    assert (row // 28, column // 28) == (3, 1)
    assert prediction.score == prediction.anomaly_map.max()


def test_a_score_depends_on_query_and_context_alone() -> None:
    detector, queries = RegAD(), features(4, v=2, seed=2)
    context = detector.prepare(features(2, v=21), ITEM)
    together = detector.score(queries, context)
    alone = [detector.score(queries[i : i + 1], context).score for i in range(4)]
    torch.testing.assert_close(together.score, torch.cat(alone))
    assert torch.equal(detector.score(queries, context).anomaly_map, together.anomaly_map)
    bare = Features(queries.patches, queries.image)
    assert torch.equal(detector.score(bare, context).score, together.score)


def test_a_context_comes_back_as_it_was_packed() -> None:
    detector = RegAD()
    for k in (1, 5):  # fewer and more samples than channels
        context = detector.prepare(features(k, v=3), ITEM)
        back = detector.unpack(detector.pack(context))
        seen, expected = (detector.score(features(2, seed=1), c).score for c in (back, context))
        torch.testing.assert_close(seen, expected, rtol=1e-6, atol=0)


def test_shots_without_versions_are_refused() -> None:
    with pytest.raises(UsageError, match="encode the shots with Inspector.encode_shots"):
        RegAD().prepare(features(2), ITEM)


def test_options_out_of_range_are_refused() -> None:
    for option in ({"eps": 0.0}, {"map_size": 2}):
        with pytest.raises(UsageError, match=next(iter(option))):
            RegADOptions(**option)  # type: ignore[arg-type]


def test_the_versions_of_an_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    versions = RegAD().versions(open_image(pixels, "part"))
    assert len(versions) == 21
    assert len({image.sha256 for image in versions}) == 21
    assert versions[0].name == "part (version 1)"
    by_hand = {16: pixels[:, ::-1], 18: np.rot90(pixels), 19: np.rot90(pixels, 2)}
    for index, expected in {**by_hand, 20: np.rot90(pixels, 3)}.items():
        np.testing.assert_array_equal(versions[index].rgb, expected)
    np.testing.assert_array_equal(
        versions[17].rgb[..., 1], np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    )
    large = open_image(np.zeros((1500, 1000, 3), dtype=np.uint8))
    height, width = RegAD().versions(large)[3].size
    assert 980_000 < height * width <= 1_000_000


def picture(seed: int, spot: bool = False, side: int = 64) -> PIL.Image.Image:
    """A smooth bright disc on a dark field, a little noise; the spot is a red square."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    gray = 60 + 120 * np.exp(-(x**2 + y**2) / 0.05) + random.normal(0, 4, (side, side))
    rgb = np.repeat(gray[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    if spot:
        rgb[6:18, 44:58] = (250, 20, 20)
    return PIL.Image.fromarray(rgb)


def test_shots_are_left_out_with_their_versions() -> None:
    backbone = FakeBackbone()
    inspector = Inspector(backbone, RegAD())
    shots = [picture(seed) for seed in range(3)]
    fitted = inspector.fit(shots)
    assert backbone.encoded == 3 * 22
    good, bad = fitted.inspect([picture(10), picture(11, spot=True)])
    assert good.score < bad.score
    assert bad.score > bad.threshold
    row, column = np.unravel_index(bad.anomaly_map.argmax(), bad.anomaly_map.shape)
    assert row < 24
    assert column > 40
    [one] = inspector.fit(shots[:1]).inspect([picture(11, spot=True)])
    assert one.verdict == "undecided"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of four normals."""
    root = tmp_path_factory.mktemp("sets")
    for name, start in (("disc", 0), ("coin", 100)):
        for part in ("train/good", "test/good", "test/spot"):
            (root / name / part).mkdir(parents=True)
        for i in range(4):
            picture(start + i).save(root / name / "train/good" / f"{i}.png")
        picture(start + 9).save(root / name / "test/good/0.png")
        picture(start + 9, spot=True).save(root / name / "test/spot/0.png")
    return root


@pytest.fixture(scope="module")
def adapter(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapters") / "registered"
    flags = ["--epochs", "3", "--rate", "0.01", "--batch", "2", "--image-size", "64"]
    assert run(["train", "regad", "--data", str(data), "--out", str(out), *flags, "-q"]) == 0
    return out


def test_the_card_says_what_was_done(adapter: Path) -> None:
    config = file.read_config(adapter)
    assert (config.kind, config.backbone, config.shots) == ("registration", "tiny", (2,))
    assert config.data == "coin, disc"
    assert config.metrics["steps"] == 3 * 2 * 2
    assert config.shape["grids"] == [[4, 4], [2, 2]]
    assert "8 normal images of coin, disc" in (adapter / file.CARD).read_text()


def test_detection_with_the_trained_adapter(
    adapter: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shots, query = data / "disc/train/good", data / "disc/test/spot/0.png"
    flags = ["--adapter", str(adapter), "--out", str(tmp_path / "out"), "--cache", "off", "--json"]
    assert run(["detect", str(query), "--normal", str(shots), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["card"]["detector"] == "regad"
    registered = Inspector.load(adapter=str(adapter), cache="off")
    result = registered.fit(sorted(shots.iterdir())).inspect([query])[0]
    assert document["results"][0]["score"] == pytest.approx(result.score, rel=1e-5)
    plain = Inspector.load("tiny", detector="regad", image_size=64, cache="off")
    other = plain.fit(sorted(shots.iterdir())).inspect([query])[0]
    assert other.score != pytest.approx(result.score, rel=1e-3)
    assert plain.backbone.fingerprint != registered.backbone.fingerprint


def test_another_backbone_is_refused(adapter: Path) -> None:
    with pytest.raises(ContextMismatch, match="belongs to backbone 'tiny'"):
        Inspector.load(adapter=str(adapter), image_size=96, cache="off")


def test_training_again_gives_the_same(adapter: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    flags = ["--epochs", "3", "--rate", "0.01", "--batch", "2", "--image-size", "64"]
    assert run(["train", "regad", "--data", str(data), "--out", str(out), *flags, "-q"]) == 0
    assert (out / file.WEIGHTS).read_bytes() == (adapter / file.WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shots", "4"], "'coin' (4), 'disc' (4)"),
        (["--epochs", "1"], "give 2 or more"),
        (["--batch", "0"], "--batch 0 is not a positive number"),
        (["--mode", "rotation-scale"], "did you mean 'rotation_scale'"),
        (["--exclude", "disk"], "did you mean 'disc'"),
        (["--rate", "1e30"], "train with a lower rate"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    out = tmp_path / "out"
    code = run(
        ["train", "regad", "--data", str(data), "--out", str(out), "--image-size", "64", *flags]
    )
    assert code == 2
    assert message in capsys.readouterr().err
    assert not out.exists()

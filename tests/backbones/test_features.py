"""Images to features: batched in order, and remembered on disk by content."""

import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from inctrl.backbones.cache import DEFAULT_LIMIT, FeatureCache, open_cache
from inctrl.backbones.features import Tally, encode
from inctrl.decoding import open_image
from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.preprocessing import Preprocessing
from inctrl.types import Features, concatenate


class Counting:
    """A backbone of averages that counts the images it encodes."""

    name, image_size, layers, has_text = "counting", 8, ("a", "b"), False

    def __init__(self, fingerprint: str = "f" * 64) -> None:
        self.fingerprint = fingerprint
        self.calls: list[int] = []
        self.preprocessing = Preprocessing(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def encode_images(self, pixels: Tensor) -> Features:
        self.calls.append(len(pixels))
        fine = pixels.permute(0, 2, 3, 1)
        coarse = torch.nn.functional.avg_pool2d(pixels, 2).permute(0, 2, 3, 1)
        return Features((fine, coarse), pixels.mean(dim=(2, 3)))

    def encode_text(self, sentences: Sequence[str]) -> Tensor:  # noqa: ARG002
        raise UsageError("no text")


def images(count: int, seed: int = 0) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [open_image(rng.integers(0, 256, (12, 9, 3), np.uint8)) for _ in range(count)]


def assert_equal(one: Features, other: Features) -> None:
    assert torch.equal(one.image, other.image)
    assert len(one.patches) == len(other.patches)
    assert all(torch.equal(a, b) for a, b in zip(one.patches, other.patches, strict=True))


def test_features_come_in_the_order_of_the_images_whatever_the_batch() -> None:
    backbone, shown = Counting(), images(5)
    direct = backbone.encode_images(backbone.preprocessing(shown, "squash"))
    backbone.calls.clear()
    assert_equal(encode(backbone, shown, batch=2), direct)
    assert backbone.calls == [2, 2, 1]
    assert not torch.equal(direct.image[0], direct.image[1])


def test_equal_images_are_encoded_once() -> None:
    backbone, (a, b) = Counting(), images(2)
    features = encode(backbone, [a, b, a, a])
    assert backbone.calls == [2]
    assert torch.equal(features.image[0], features.image[3])
    assert not torch.equal(features.image[0], features.image[1])


def test_a_second_call_gives_identical_features_and_encodes_nothing(tmp_path: Path) -> None:
    backbone, shown, cache = Counting(), images(5), FeatureCache(tmp_path)
    first = encode(backbone, shown, cache=cache)
    backbone.calls.clear()
    assert_equal(encode(backbone, shown[::-1], cache=cache), first[[4, 3, 2, 1, 0]])
    assert backbone.calls == []
    encode(backbone, shown + images(1, seed=9), cache=cache)
    assert backbone.calls == [1]


def test_a_tally_counts_what_was_encoded_and_what_was_remembered(tmp_path: Path) -> None:
    shown, cache, tally = images(3), FeatureCache(tmp_path), Tally()
    encode(Counting(), [*shown, shown[0]], cache=cache, tally=tally)
    assert (tally.encoded, tally.cached) == (3, 0)
    encode(Counting(), shown, cache=cache, tally=tally)  # it has met these before
    encode(Counting(), shown, tally=tally)
    assert (tally.encoded, tally.cached) == (6, 0)
    later = Tally()
    for _ in range(2):
        encode(Counting(), [*shown, *images(2, seed=9)], cache=cache, tally=later)
    assert (later.encoded, later.cached) == (2, 3)
    assert later.seconds > 0


def test_another_fingerprint_or_fit_is_another_entry(tmp_path: Path) -> None:
    shown, cache = images(2), FeatureCache(tmp_path)
    encode(Counting(), shown, "squash", cache)
    for other, fit in ((Counting("0" * 64), "squash"), (Counting(), "crop"), (Counting(), "pad")):
        encode(other, shown, fit, cache)
        assert other.calls == [2]


@pytest.mark.parametrize("damage", [b"", bytes(40), b"half"], ids=["empty", "zeros", "half"])
def test_a_damaged_entry_is_computed_again_and_mended(tmp_path: Path, damage: bytes) -> None:
    backbone, shown, cache = Counting(), images(1), FeatureCache(tmp_path)
    first = encode(backbone, shown, cache=cache)
    (entry,) = tmp_path.glob("*/*.safetensors")
    entry.write_bytes(entry.read_bytes()[:60] if damage == b"half" else damage)
    assert_equal(encode(backbone, shown, cache=cache), first)
    assert_equal(encode(backbone, shown, cache=cache), first)
    assert backbone.calls == [1, 1]


def test_a_flipped_bit_is_noticed_wherever_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, shown, cache = Counting(), images(1), FeatureCache(tmp_path)
    direct = encode(backbone, shown)
    encode(backbone, shown, cache=cache)
    (entry,) = tmp_path.glob("*/*.safetensors")
    whole = entry.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        entry.write_bytes(damaged)
        kept = cache.read(entry.stem)
        if kept is not None:  # the flip made no difference
            assert_equal(kept, direct)
    assert_equal(encode(backbone, shown, cache=cache), direct)
    assert entry.read_bytes() == whole
    assert caplog.text.count("damaged") == 1


def test_an_entry_of_an_earlier_version_is_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, shown, cache = Counting(), images(1), FeatureCache(tmp_path)
    direct = encode(backbone, shown, cache=cache)
    (entry,) = tmp_path.glob("*/*.safetensors")
    whole = entry.read_bytes()
    safetensors.torch.save_file(safetensors.torch.load(whole), entry)  # without a checksum
    assert_equal(encode(backbone, shown, cache=cache), direct)
    assert entry.read_bytes() == whole
    assert caplog.text == ""


def test_entries_are_for_their_owner_alone(tmp_path: Path) -> None:
    encode(Counting(), images(1), cache=FeatureCache(tmp_path))
    (entry,) = tmp_path.glob("*/*.safetensors")
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def _work(folder: str) -> Tensor:
    torch.set_num_threads(1)
    return encode(Counting(), images(12), cache=FeatureCache(Path(folder)), batch=3).image


def test_concurrent_writers_leave_no_broken_entry(tmp_path: Path) -> None:
    expected = encode(Counting(), images(12)).image
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(_work, [str(tmp_path)] * 8))
    # Spawned, as a fork of a process with threads may hang.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        results += processes.map(_work, [str(tmp_path)] * 2)
    assert all(torch.equal(result, expected) for result in results)
    backbone = Counting()
    assert torch.equal(encode(backbone, images(12), cache=FeatureCache(tmp_path)).image, expected)
    assert backbone.calls == []
    assert not list(tmp_path.glob("*/*.partial"))
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 12


def test_prune_drops_what_was_unused_for_longest_until_within_the_limit(tmp_path: Path) -> None:
    backbone, shown, cache = Counting(), images(6), FeatureCache(tmp_path)
    encode(backbone, shown, cache=cache)
    for entry in tmp_path.glob("*/*"):
        os.utime(entry, (1_000, 1_000))
    size = next(tmp_path.glob("*/*")).stat().st_size
    encode(backbone, shown[2:4], cache=cache)  # a hit makes an entry young again
    FeatureCache(tmp_path, limit=2 * size).prune()
    assert len(list(tmp_path.glob("*/*"))) == 2
    backbone.calls.clear()
    encode(backbone, shown[2:4], cache=cache)
    assert backbone.calls == []
    FeatureCache(tmp_path, limit=2 * size).prune()
    assert len(list(tmp_path.glob("*/*"))) == 2


def test_prune_leaves_what_another_process_is_writing_but_not_what_it_abandoned(
    tmp_path: Path,
) -> None:
    (tmp_path / "ab").mkdir()
    fresh, *old = (
        tmp_path / "ab" / f"{digit * 64}.{rest}"
        for digit, rest in zip(
            "123", (*[f"safetensors.{'0' * 32}.partial"] * 2, "x.tmp"), strict=True
        )
    )
    long_ago = time.time() - 86_400
    for path in (fresh, *old):
        path.write_bytes(b"x" * 100)
    for path in old:
        os.utime(path, (long_ago, long_ago))
    FeatureCache(tmp_path, limit=0).prune()
    assert list((tmp_path / "ab").iterdir()) == [fresh]


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        FeatureCache(tmp_path / "file" / "cache")
    assert caught.value.fix == "use another cache"
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(UsageError, match="cannot be written"):
            FeatureCache(tmp_path / "locked")


def test_the_setting_names_off_a_folder_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_cache("off") is None
    named = open_cache(tmp_path / "named")
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "default"))
    default = open_cache(None)
    assert named is not None
    assert named.folder == tmp_path / "named"
    assert default is not None
    assert default.folder == tmp_path / "default"
    small = open_cache(None, limit=1000)
    assert small is not None
    assert (small.limit, default.limit) == (1000, DEFAULT_LIMIT)


def test_parts_concatenate_in_order() -> None:
    features = encode(Counting(), images(4))
    assert_equal(concatenate([features[:1], features[1:]]), features)


def test_what_is_no_entry_is_never_touched(tmp_path: Path) -> None:
    others = [tmp_path / "photos" / "precious.raw", tmp_path / "ab" / "notes.safetensors"]
    for path in others:
        path.parent.mkdir()
        path.write_bytes(b"x" * 1000)
    (tmp_path / "cd" / "folder").mkdir(parents=True)
    cache = FeatureCache(tmp_path, limit=0)
    encode(Counting(), images(2), cache=cache)
    cache.prune()
    assert all(path.is_file() for path in others)
    assert not list(tmp_path.glob("*/" + "[0-9a-f]" * 64 + ".safetensors"))


def test_a_cache_that_breaks_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    cache = FeatureCache(tmp_path)
    monkeypatch.setattr("inctrl.files.whole.os.open", full)
    assert len(encode(Counting(), images(3), cache=cache)) == 3
    assert caplog.text.count("the disk is full") == 1


def test_the_environment_may_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCTRL_CACHE", "off")
    assert open_cache(None) is None

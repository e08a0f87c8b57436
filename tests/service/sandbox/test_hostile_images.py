"""Images that mean harm are refused in one line and in time, and the next image is read."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import hostile
import PIL.Image
import pytest
from misbehaving import GOOD, HONEST, QUICK, Hooked, refusal, refusals, using

from inctrl.errors import UnreadableImage
from inctrl.service.sandbox.decoding import Decoded, Decoders

# What is refused

CLAIMS = (
    hostile.png_claiming,
    hostile.gif_claiming,
    hostile.gif_with_a_giant_frame,
    hostile.webp_claiming,
    hostile.bmp_claiming,
    hostile.jpeg_claiming,
    hostile.ppm_claiming,
    hostile.tiff_claiming,
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_decompression_bomb_by_its_claim(claim: Callable[[int, int], bytes]) -> None:
    bombs = {f"{side}.png": claim(side, side) for side in (6_325, 12_000, 16_383)}
    assert max(map(len, bombs.values())) < 1_000
    for message in refusals(bombs):
        assert any(word in message for word in ("megapixels", "could not create decoder"))


def test_decompression_bomb_of_true_pixels() -> None:
    data = hostile.png_of_zeros(6_325, 6_325)
    assert len(data) < 200_000
    assert "the limit is 40" in refusal(data)


def test_the_largest_image_allowed_is_read_within_the_memory() -> None:
    """Turned, and with a transparent colour: every step that takes memory."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image = PIL.Image.new("RGB", (8_000, 5_000))
    data = hostile.encoded(image, exif=exif.tobytes(), transparency=(1, 2, 3), compress_level=1)
    decoded = using(Decoders(seconds=30), lambda d: d.decode(data, "x.png"))
    assert decoded.picture.pixels.shape == (8_000, 5_000, 3)


def test_a_file_over_the_limit_never_reaches_a_child() -> None:
    decoders = Hooked(largest=len(GOOD))
    assert "the limit is" in refusal(GOOD + b"x", "SIGKILL", decoders)
    assert not decoders.replaced


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_metadata_bombs_in_png(kind: bytes) -> None:
    assert "too large" in refusal(hostile.text_bomb(kind, megabytes=100))


def test_metadata_bomb_in_many_small_parts() -> None:
    assert "Too much memory" in refusal(hostile.text_bomb(b"zTXt", megabytes=1, chunks=70))


def test_pickle_tripwire(tmp_path: Path) -> None:
    tripwire = tmp_path / "loaded"
    data = hostile.pickled(tripwire)
    assert "not an image" in refusal(data, "model.png")
    assert not tripwire.exists()
    __import__("pickle").loads(data)
    assert tripwire.exists()  # it is armed: whoever loads it would be seen


def test_documents_scripts_and_other_formats_are_refused() -> None:
    for message in refusals(hostile.others()):
        assert any(word in message for word in ("not an image", "damaged"))


def test_zero_bytes_are_refused() -> None:
    assert "empty" in refusal(b"")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(share: float) -> None:
    async def work(decoders: Decoders) -> None:
        for name, data in HONEST.items():
            if name.startswith(("several", "turned")):
                continue  # their ends hold further frames or nothing but metadata
            with pytest.raises(UnreadableImage, match="damaged|not an image"):
                await decoders.decode(data[: int(len(data) * share)], name)
        assert not decoders.replaced

    using(Decoders(), work)


EVIL = (
    (256, 4, 1, 0),  # no width
    (256, 9, 1, 2**32 - 1),  # a width below zero
    (256, 99, 1, 8),  # a width of no known type
    (256, 4, 2**31, 200),  # a thousand million widths
    (258, 3, 1, 65_535),  # bits of a value
    (259, 3, 1, 34_712),  # a compression that nobody has
    (259, 3, 1, 7),  # one that the pixels do not follow
    (270, 2, 2**32 - 1, 200),  # a description of four thousand million letters
    (273, 4, 1, 2**32 - 1),  # pixels far behind the end
    (277, 3, 1, 65_535),  # channels
    (278, 4, 1, 0),  # no rows in a strip
)


def test_tiff_with_evil_tags() -> None:
    for message in refusals({f"{entry}.tif": hostile.tiff_with(entry) for entry in EVIL}):
        assert any(word in message for word in ("not an image", "damaged", "that is not read"))


@pytest.mark.parametrize(
    "data",
    [
        hostile.tiff_with(following=8),
        hostile.tiff_with((0x8769, 4, 1, 8)),
        hostile.tiff_with((330, 4, 1, 8)),
        hostile.tiff_with((700, 1, 2**31, 200)),
        hostile.tiff_with((34_675, 7, 2**31, 8)),
        hostile.exif_bomb(),
    ],
    ids=["next", "exif", "subdirectory", "xmp", "profile", "jpeg"],
)
def test_metadata_that_loops_or_claims_gigabytes_does_no_harm(data: bytes) -> None:
    """Its pixels are sound, so it is read; what it says about them is not believed."""

    async def work(decoders: Decoders) -> Decoded:
        started = time.perf_counter()
        decoded = await decoders.decode(data, "x.tif")
        assert time.perf_counter() - started < QUICK
        assert not decoders.replaced
        return decoded

    assert using(Decoders(), work).picture.pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    "data", [hostile.gif_of_many_frames(20_000), hostile.tiff_of_many_frames(5_000)]
)
def test_thousands_of_frames_are_counted_and_not_decoded(data: bytes) -> None:
    async def work(decoders: Decoders) -> tuple[Decoded, float]:
        started = time.perf_counter()
        decoded = await decoders.decode(data, "x.gif")
        return decoded, time.perf_counter() - started

    decoded, seconds = using(Decoders(), work)
    assert decoded.picture.notes in (("frame 1 of 20000 used",), ("frame 1 of 5000 used",))
    assert seconds < QUICK


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_harm_does_not_grow_the_parent() -> None:
    """At most 300 MB, counting the largest picture that is accepted."""

    def memory(key: str) -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition(f"{key}:")[2].split()[0]) * 1024

    bombs = [claim(side, side) for claim in CLAIMS for side in (6_325, 16_383)]
    bombs += [hostile.png_of_zeros(6_325, 6_325), hostile.text_bomb(b"zTXt", 100)]
    bombs += [*hostile.others().values(), hostile.png_of_zeros(6_300, 6_300)]

    async def work(decoders: Decoders) -> int:
        refused = 0
        for bomb in bombs:
            try:
                await decoders.decode(bomb, "x.png")
            except UnreadableImage:
                refused += 1
        return refused

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    assert using(Decoders(), work) == len(bombs) - 1
    assert memory("VmHWM") - before < 300e6

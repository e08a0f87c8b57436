"""From images to pixels: equal to the released InCTRL code and to torchvision."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torchvision.transforms import (
    CenterCrop,
    Compose,
    InterpolationMode,
    Normalize,
    Resize,
    ToTensor,
)

from inctrl.decoding import open_image
from inctrl.errors import UnreadableImage
from inctrl.maths.geometry import view_of
from inctrl.preprocessing import Preprocessing

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CASES = ["rgb_landscape", "rgb_portrait", "gray", "rgba", "rgb_small", "rgb_exact", "palette"]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("case", CASES)
def test_the_crop_is_that_of_the_released_code_in_every_image_mode(
    oracles: Path, case: str
) -> None:
    with np.load(oracles / "inctrl_small.npz", allow_pickle=False) as oracle:
        stored = {k.split("/")[-1]: oracle[k] for k in oracle if k.startswith(f"prep/{case}/")}
    picture = PIL.Image.fromarray(stored["pixels"])
    if str(stored["mode"]) == "P":
        picture.putpalette(stored["palette"].tobytes())
    assert picture.mode == str(stored["mode"])
    preprocessing = Preprocessing(size=48, mean=MEAN, std=STD)
    view = view_of(picture.size[::-1], 48, "crop")
    tensor = preprocessing.tensor(preprocessing.place(picture, view))
    torch.testing.assert_close(tensor, torch.from_numpy(stored["tensor"]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(61, 98), (97, 60), (53, 53), (31, 47)])
@pytest.mark.parametrize("short", [48, 55])
def test_the_crop_is_torchvisions_on_odd_sizes(size: tuple[int, int], short: int) -> None:
    pixels = noise(*size)
    theirs = Compose(
        [
            Resize(short, interpolation=InterpolationMode.BICUBIC),
            CenterCrop(48),
            ToTensor(),
            Normalize(MEAN, STD),
        ]
    )(PIL.Image.fromarray(pixels))
    ours = Preprocessing(48, MEAN, STD, short=short)([open_image(pixels)], "crop")
    torch.testing.assert_close(ours[0], theirs, atol=1e-6, rtol=0)


def test_a_margin_is_floored_where_asked_for() -> None:
    sizes = (48, 51)  # a margin of 3 pixels: 1 when floored, 2 when rounded to even
    assert view_of(sizes, 48, "crop", floor=True).left == 1
    assert view_of(sizes, 48, "crop").left == 2
    image = open_image(noise(*sizes))
    flags = [Preprocessing(48, MEAN, STD, floor=floor) for floor in (True, False)]
    assert [p.view(image, "crop").left for p in flags] == [1, 2]


def test_squash_sees_the_whole_image_and_a_batch_is_its_images() -> None:
    images = [open_image(noise(61, 98)), open_image(noise(97, 60))]
    preprocessing = Preprocessing(32, MEAN, STD, resample="bilinear")
    batch = preprocessing(images, "squash")
    resized = PIL.Image.fromarray(images[1].rgb).resize((32, 32), PIL.Image.Resampling.BILINEAR)
    torch.testing.assert_close(batch[1], preprocessing.tensor(resized), atol=0, rtol=0)
    torch.testing.assert_close(batch[:1], preprocessing(images[:1], "squash"), atol=0, rtol=0)
    assert batch.shape == (2, 3, 32, 32)


def test_pad_shows_the_mean_colour_beside_the_image() -> None:
    image = open_image(np.full((16, 32, 3), 255, np.uint8))
    pixels = Preprocessing(32, MEAN, STD)([image], "pad")[0]
    level = 0.5 / 255 / torch.tensor(STD)[:, None, None]  # the mean is rounded to 8 bits
    assert (pixels[:, :8].abs() <= level).all()
    assert (pixels[:, 24:].abs() <= level).all()
    white = (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(pixels[:, 8:24], white[:, None, None].expand(3, 16, 32))


def test_a_sliver_is_refused_for_crop_alone() -> None:
    image = open_image(np.zeros((4, 600_000, 3), np.uint8), name="wire.png")
    preprocessing = Preprocessing(240, MEAN, STD)
    with pytest.raises(UnreadableImage, match=r"'wire.png' is 600000 x 4 .* use fit 'squash'"):
        preprocessing([image], "crop")
    assert preprocessing([image], "squash").shape == (1, 3, 240, 240)

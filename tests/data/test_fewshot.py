from pathlib import Path

import numpy as np
import pytest
import torch

from inctrl.data.fewshot import CLIP_MEAN, CLIP_STD, read_fewshot_list
from inctrl.errors import InvalidFile
from inctrl.images import open_image
from inctrl.preprocessing import Preprocessing

CLIP = Preprocessing(size=24, mean=CLIP_MEAN, std=CLIP_STD)


def test_a_list_gives_back_the_pixels_it_was_made_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (24, 24, 3), dtype=np.uint8) for _ in range(3)]
    tensors = [CLIP([open_image(p)], "crop")[0] for p in pixels]
    torch.save(tensors, tmp_path / "candle.pt")
    images = read_fewshot_list(tmp_path / "candle.pt")
    for image, original, tensor in zip(images, pixels, tensors, strict=True):
        np.testing.assert_array_equal(image.rgb, original)
        torch.testing.assert_close(CLIP([image], "crop")[0], tensor)
    assert images[1].name.endswith("candle.pt[1]")


@pytest.mark.parametrize("stored", [{}, [], [torch.zeros(4)], torch.zeros(3, 8, 8)])
def test_other_contents_are_refused(tmp_path: Path, stored: object) -> None:
    torch.save(stored, tmp_path / "odd.pt")
    with pytest.raises(InvalidFile, match="odd.pt"):
        read_fewshot_list(tmp_path / "odd.pt")

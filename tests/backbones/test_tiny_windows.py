"""Windows of the embedded backbone: what the image token would be of a part of its maps."""

import pytest
import torch
from torch import Tensor

from inctrl.backbones import load_backbone
from inctrl.backbones.rewired import windowed
from inctrl.backbones.tiny import SHIPPED
from inctrl.backbones.tiny.backbone import DESCRIBED, TinyBackbone
from inctrl.backbones.tiny.joint import JointSpace
from inctrl.backbones.tiny.text import WEIGHTS
from inctrl.backbones.tiny.tower import load_tower
from inctrl.maths.statistics import image_statistics


@pytest.fixture(scope="module")
def backbone() -> TinyBackbone:
    loaded = load_backbone("tiny", image_size=96, device="cpu")
    assert isinstance(loaded, TinyBackbone)
    return loaded


def pixels(height: int = 96, width: int = 96, count: int = 3) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def one_by_one(images: Tensor, size: int) -> Tensor:
    """Each window of each image: its part of the maps, pooled and described like an image."""
    tower, space = load_tower(96, DESCRIBED, "cpu"), JointSpace.load(SHIPPED / WEIGHTS)
    model = tower._model
    last, _ = model.forward_intermediates(images, indices=[1])
    maps = tower.encode_images(images).patches
    rows, columns = last.shape[2] - size + 1, last.shape[3] - size + 1
    found = []
    for i in range(len(images)):
        for y in range(rows):
            for x in range(columns):
                cells = last[i : i + 1, :, y : y + size, x : x + size]
                pooled = cells.mean(dim=(2, 3))
                parts = [
                    m[i : i + 1, r * y : r * (y + size), r * x : r * (x + size)]
                    for m, r in zip(maps, (4, 2, 1), strict=True)
                ]
                found.append(space.image(pooled, model.classifier(pooled), image_statistics(parts)))
    return torch.cat(found).unflatten(0, (len(images), rows, columns))


@pytest.mark.parametrize("shape", [(96, 96), (64, 160)])
def test_a_window_is_described_like_an_image(
    backbone: TinyBackbone, shape: tuple[int, int]
) -> None:
    images = pixels(*shape, count=2)
    found = backbone.encode_windows(images, (1, 2))
    for windows, size in zip(found, (1, 2), strict=True):
        expected = one_by_one(images, size)
        assert windows.shape == expected.shape
        torch.testing.assert_close(windows, expected, atol=1e-4, rtol=1e-4)
    assert (found[0].flatten(1, 2).std(dim=1).amax(dim=1) > 0.01).all()


def test_the_window_of_the_whole_grid_is_the_image(backbone: TinyBackbone) -> None:
    [whole] = backbone.encode_windows(pixels(), (3,))
    assert whole.shape == (3, 1, 1, 259)
    torch.testing.assert_close(whole[:, 0, 0], backbone.encode_images(pixels()).image)


def test_sizes_that_do_not_fit_are_left_out(backbone: TinyBackbone) -> None:
    assert [w.shape for w in backbone.encode_windows(pixels(), (2, 4))] == [(3, 2, 2, 259)]
    assert backbone.encode_windows(pixels(), (4, 5)) == ()
    assert backbone.encode_windows(pixels(), ()) == ()


def test_windows_do_not_depend_on_the_batch_nor_on_the_layers(backbone: TinyBackbone) -> None:
    together = backbone.encode_windows(pixels(), (2, 3))
    finer = load_backbone("tiny", image_size=96, layers=["stride4"], device="cpu")
    assert isinstance(finer, TinyBackbone)
    for size, windows in zip((2, 3), together, strict=True):
        alone = [backbone.encode_windows(image[None], (size,))[0] for image in pixels()]
        torch.testing.assert_close(torch.cat(alone), windows, atol=1e-5, rtol=1e-5)
        [other] = finer.encode_windows(pixels(), (size,))
        torch.testing.assert_close(other, windows)


def test_a_windowed_backbone_gives_both(backbone: TinyBackbone) -> None:
    wide = windowed(backbone, (2, 3))
    features, bare = wide.encode_images(pixels()), backbone.encode_images(pixels())
    assert [w.shape[1:] for w in features.windows] == [(2, 2, 259), (1, 1, 259)]
    torch.testing.assert_close(features.image, bare.image)
    assert len(features[:1].windows[0]) == 1
    assert wide.fingerprint != backbone.fingerprint
    assert wide.fingerprint != windowed(backbone, (2,)).fingerprint

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from trees import picture, released

from inctrl.data.sources import read_data
from inctrl.data.sources.released import CLIP_MEAN, CLIP_STD, read_fewshot_list
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, MissingData
from inctrl.preprocessing import Preprocessing


def test_normal_test_images_are_taken_out_of_the_training_list(tmp_path: Path) -> None:
    [fryum] = read_data(released(tmp_path))
    assert (fryum.dataset, fryum.name, fryum.words) == ("lists", "pipe_fryum", "pipe fryum")
    assert [fryum.short(image) for image in fryum.train] == [
        f"train/good/{i}.png" for i in range(3)
    ]
    tested = [(fryum.short(s.image), s.anomalous, s.kind) for s in fryum.test]
    assert tested == [
        ("test/crack/0.png", True, "crack"),
        ("test/crack/1.png", True, "crack"),
        ("test/good/0.png", False, ""),
        ("test/good/1.png", False, ""),
    ]


@pytest.mark.parametrize("place", ["", "visa", "visa/pipe_fryum"])
def test_lists_may_lie_deeper_and_be_called_train(tmp_path: Path, place: str) -> None:
    lists = released(tmp_path)
    for file in sorted((lists / "visa").glob("*.json")):
        name = file.name.replace("fryum_normal", "fryum_train_normal")
        (lists / place).mkdir(exist_ok=True)
        file.rename(lists / place / name)
    [fryum] = read_data(lists)
    assert (len(fryum.train), len(fryum.test)) == (3, 4)


def test_absolute_paths_and_several_types_are_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for part, target in (("train_normal", 0), ("val_normal", 0), ("val_outlier", 1)):
            image = picture(tmp_path / f"{name}/{part}/0.png")
            row = {"image_path": str(image), "target": target, "type": name}
            (tmp_path / f"{name}_{part}.json").write_text(json.dumps([row]))
    assert [(c.name, len(c.train), len(c.test)) for c in read_data(tmp_path)] == [
        ("a", 1, 2),
        ("b", 1, 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON"),
        ("{}", "is no list of images"),
        ('[{"image_path": "x.png"}]', "entry 1 is no image_path, target"),
        ('[{"image_path": "x.png", "target": 2, "type": "a"}]', "entry 1 is no image_path"),
        (
            '[{"image_path": "x.png", "target": 0, "type": "a"}]',
            "entry 1: there is no file 'x.png'",
        ),
    ],
)
def test_a_list_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    lists = released(tmp_path)
    (lists / "visa/pipe_fryum_val_normal.json").write_text(text)
    with pytest.raises(MissingData, match=rf"pipe_fryum_val_normal\.json.*{message}"):
        read_data(lists)


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

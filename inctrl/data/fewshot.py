"""The few-shot lists of the official InCTRL release: `fs_samples/<set>/<k>/<class>.pt`."""

from pathlib import Path

import numpy as np
import torch

from inctrl.errors import InvalidFile
from inctrl.files.tensors import read_tensors
from inctrl.images import Image, open_image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def read_fewshot_list(path: Path) -> list[Image]:
    """The k shots of a list file as images.

    The file holds k tensors 3 S S that were preprocessed with CLIP's mean and standard
    deviation. They came from 8-bit pixels, so undoing the normalisation and rounding gives those
    pixels back exactly, and the same path as for any image leads on from here.
    """
    stored = read_tensors(path)
    valid = isinstance(stored, list | tuple) and all(
        isinstance(t, torch.Tensor) and t.ndim == 3 and t.shape[0] == 3 for t in stored
    )
    if not valid or not stored:
        raise InvalidFile(f"{str(path)!r} is not a few-shot list (a list of tensors 3 S S)")
    images = []
    for i, tensor in enumerate(stored):
        pixels = tensor.float().permute(1, 2, 0).numpy() * np.array(CLIP_STD) + np.array(CLIP_MEAN)
        rgb = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
        images.append(open_image(rgb, name=f"{path}[{i}]"))
    return images

"""What happens to a photograph between the camera and the detector, mildly.

clean     as it is
noise     Gaussian, 8 gray levels, each pixel and channel by itself
blur      Gaussian, 1 pixel
exposure  1.25 times as bright (clipped) or 0.8 times, by a coin
jpeg      saved at quality 20 and read again
half      both sides halved (Lanczos)
double    both sides doubled (bicubic)
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import PIL.Image
import PIL.ImageFilter

from inctrl.decoding import open_image
from inctrl.images import Image


def corrupted(image: Image, kind: str) -> Image:
    """The image after one of KINDS; what is random follows from its pixels alone."""
    if kind == "clean":
        return image
    random = np.random.default_rng(int(image.sha256[:16], 16))
    changed = KINDS[kind](PIL.Image.fromarray(image.rgb), random)
    return open_image(changed, f"{image.name} ({kind})")


def _noise(image: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
    values = np.asarray(image, dtype=np.float64)
    noisy = values + random.normal(0, 8, values.shape)
    return PIL.Image.fromarray(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8))


def _blur(image: PIL.Image.Image, _random: np.random.Generator) -> PIL.Image.Image:
    return image.filter(PIL.ImageFilter.GaussianBlur(1))


def _exposure(image: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
    gain = 1.25 if random.random() < 0.5 else 0.8
    return image.point(lambda value: min(255, round(gain * value)))


def _jpeg(image: PIL.Image.Image, _random: np.random.Generator) -> PIL.Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=20)
    return PIL.Image.open(stream).convert("RGB")


def _half(image: PIL.Image.Image, _random: np.random.Generator) -> PIL.Image.Image:
    size = max(1, image.width // 2), max(1, image.height // 2)
    return image.resize(size, PIL.Image.Resampling.LANCZOS)


def _double(image: PIL.Image.Image, _random: np.random.Generator) -> PIL.Image.Image:
    size = 2 * image.width, 2 * image.height
    return image.resize(size, PIL.Image.Resampling.BICUBIC)


Change = Callable[[PIL.Image.Image, np.random.Generator], PIL.Image.Image]
KINDS: Mapping[str, Change] = {
    "clean": lambda image, _random: image,
    "noise": _noise,
    "blur": _blur,
    "exposure": _exposure,
    "jpeg": _jpeg,
    "half": _half,
    "double": _double,
}

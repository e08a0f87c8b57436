"""From images to the pixels a backbone expects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from inctrl.errors import UnreadableImage
from inctrl.images import Image
from inctrl.maths.geometry import View, view_of
from inctrl.types import Fit

MAX_SCALED_PIXELS = 64_000_000


@dataclass(frozen=True)
class Preprocessing:
    """Resize with an antialiased Pillow filter, scale to [0, 1], normalise each channel.

    size    side S of the square the tower sees
    short   with `fit="crop"`, the shorter side before the centre crop (DINOv2: 256 for 224)
    resample   "bicubic" | "bilinear" | "lanczos" | "nearest"
    floor   with `fit="crop"`, an odd margin is halved downwards (transformers), not rounded
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: str = "bicubic"
    short: int = 0
    floor: bool = False

    def view(self, image: Image, fit: Fit) -> View:
        """Where the tower looks in an image; UnreadableImage if a crop would see a sliver of it."""
        height, width = image.size
        view = view_of(image.size, self.size, fit, self.short, self.floor)
        if view.scaled[0] * view.scaled[1] > MAX_SCALED_PIXELS:
            raise UnreadableImage(
                f"{image.name!r} is {width} x {height} pixels: too elongated for fit 'crop', "
                "which would see a sliver of it; use fit 'squash' or 'pad'"
            )
        return view

    def __call__(self, images: Sequence[Image], fit: Fit) -> Tensor:
        """b images -> b 3 S S float32."""
        placed = [self.place(PIL.Image.fromarray(i.rgb), self.view(i, fit)) for i in images]
        return torch.stack([self.tensor(picture) for picture in placed])

    def place(self, picture: PIL.Image.Image, view: View) -> PIL.Image.Image:
        """Resize and cut or pad a Pillow image to S x S; RGB conversion comes last.

        That order is the references' (they resize palette images by nearest neighbour);
        `Image` is RGB already, so for it the order makes no difference.
        """
        resample = PIL.Image.Resampling[self.resample.upper()]
        height, width = view.scaled
        if picture.size != (width, height):
            picture = picture.resize((width, height), resample)
        if view.scaled == (view.side, view.side):
            return picture.convert("RGB")
        box = (view.left, view.top, view.left + view.side, view.top + view.side)
        if view.left < 0 or view.top < 0:
            # Padding shows as the mean colour, which is zero after the normalisation.
            fill = tuple(round(255 * channel) for channel in self.mean)
            square = PIL.Image.new("RGB", (view.side, view.side), fill)
            square.paste(picture.convert("RGB"), (-view.left, -view.top))
            return square
        return picture.crop(box).convert("RGB")

    def tensor(self, picture: PIL.Image.Image) -> Tensor:
        """S x S RGB -> 3 S S float32, scaled and normalised."""
        pixels = torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1)
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return pixels.div_(255).sub_(mean[:, None, None]).div_(std[:, None, None])

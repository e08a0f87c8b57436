"""How an item is looked at: which way round its parts lie, and in how many tiles an image is seen.

A set keeps both, and so does what is prepared of it.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from inctrl.errors import UsageError

Orientation = Literal["fixed", "any"]
Tiles: TypeAlias = int | Literal["auto"]
"""Along the longer side of an image; 1 is the image as a whole."""
MOST_TILES = 8
"""Along the longer side: what an image costs grows with the square."""


def orientation_of(text: str) -> Orientation:
    """`fixed` or `any`; UsageError for anything else."""
    if text == "fixed":
        return "fixed"
    if text == "any":
        return "any"
    raise UsageError(f"orientation {text!r} is not 'fixed' or 'any' (parts that lie any way round)")


def tiles_of(text: str | int) -> Tiles:
    """`auto` or a number from 1 to MOST_TILES; UsageError for anything else."""
    if text == "auto":
        return "auto"
    try:
        number = int(str(text))
    except ValueError:
        number = 0
    if not 1 <= number <= MOST_TILES:
        raise UsageError(f"tiles {text!r} is not 'auto' or a number from 1 to {MOST_TILES}")
    return number


@dataclass(frozen=True)
class Views:
    """In what ways shots and queries are seen.

    orientation   `any`: the shots are turned too, for parts that lie any way round
    tiles         along the longer side, or `auto`, by the size of each image
    """

    orientation: Orientation = "fixed"
    tiles: Tiles = 1

    @property
    def brief(self) -> str:
        """What is unusual of them, for a list; empty: nothing."""
        turned = ["any way round"] if self.orientation == "any" else []
        return ", ".join([*turned, *([f"tiles {self.tiles}"] if self.tiles != 1 else [])])

    @property
    def words(self) -> str:
        """The same in a sentence."""
        turned = ["parts lie any way round"] if self.orientation == "any" else []
        number = "by its size" if self.tiles == "auto" else f"{self.tiles} along its longer side"
        tiled = [f"each image seen in tiles, {number}"] if self.tiles != 1 else []
        return "; ".join(turned + tiled)


AS_THEY_ARE = Views()
"""Unturned and as a whole."""

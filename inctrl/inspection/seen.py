"""What the backbone is shown of an image: its tiles, and of a shot these turned as well.

A detector knows nothing of it: all views of all shots are its references, all tiles of a query its
queries. An image scores as its worst tile does, and its map is joined of theirs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.maths.geometry import View
from inctrl.maths.tiles import Tiling, automatic, tiling_of
from inctrl.maths.turns import TURNS, turned, turned_back
from inctrl.protocols import Detector
from inctrl.types import Box, Features, Fit, Match, Prediction, concatenate
from inctrl.views import Views

PER_SHOT = 2**14
"""Patches of a layer that are kept of one shot while others are still to come."""
MOST = 2**15
"""Those of all shots, where patches may come loose: more are thinned, as many of each shot.

An eighth of the patches of turned shots cost 0.4 points of AUROC on eight sets, half of them 0.2.
"""
MOST_WHOLE = 2**18
"""Those that a detector is given which needs them in their grids."""
TOGETHER = 8
"""Tiles that are compared at a time: bounds the memory however many an image has."""
Encode = Callable[[Sequence[Image]], Features]


@dataclass(frozen=True)
class Layout:
    """Where the tiles of an image lie, and how each of them meets the backbone's square."""

    tiling: Tiling
    views: tuple[View, ...]

    @classmethod
    def of(cls, image: Image, tiling: Tiling, view: Callable[[Image], View]) -> "Layout":
        return cls(tiling, tuple(map(view, tiles(image, tiling))))

    def to_source(self, maps: Tensor) -> Tensor:
        """The maps t h w of the tiles -> H W over the image."""
        if len(self.views) == 1:
            return self.views[0].to_source(maps[0])
        return self.tiling.join(lambda tile: self.views[tile].to_source(maps[tile]))

    def worst(self, maps: Tensor, joined: Tensor) -> tuple[int, tuple[int, int]]:
        """The tile and the cell of it where the map is highest."""
        if len(self.views) == 1:
            return 0, divmod(int(maps[0].argmax()), maps.shape[2])
        row, column = divmod(int(joined.argmax()), joined.shape[1])
        tile = self.tiling.at(row, column)
        left, top, _, _ = self.tiling.boxes[tile]
        grid = (maps.shape[1], maps.shape[2])
        return tile, self.views[tile].cell_at(row - top, column - left, grid)

    def cell_box(self, tile: int, row: int, column: int, grid: tuple[int, int]) -> Box:
        """A cell of a tile in pixels of the image."""
        left, top, _, _ = self.tiling.boxes[tile]
        x0, y0, x1, y1 = self.views[tile].cell_box(row, column, grid)
        return Box(left + x0, top + y0, left + x1, top + y1)


@dataclass(frozen=True, eq=False)
class Seen:
    """The features of a shot.

    bank     of all its views, with which others are compared
    query    of its tiles, unturned: what it is where others are compared with
    kept     the patches of the views (v h w of the finest layer) that the bank holds, one by one;
             None: all, in their grids
    """

    bank: Features
    query: Features
    tiling: Tiling
    kept: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Origins:
    """Where the patches of a bank are from: the tiles of each shot, its turns, `kept` as above."""

    tilings: tuple[Tiling, ...]
    turns: int
    kept: Tensor | None

    @classmethod
    def whole(cls, shots: int) -> "Origins":
        """Of shots that are seen as they are."""
        return cls((Tiling((1, 1)),) * shots, 1, None)

    @classmethod
    def of(cls, shots: Sequence[Seen], views: Views) -> "Origins":
        """Of shots that are settled."""
        turns, kept, first = turns_of(views), [], 0
        for shot in shots:
            if shot.kept is not None:
                kept.append(shot.kept + first)
            rows, columns = shot.query.patches[0].shape[1:3]
            first += turns * len(shot.tiling) * rows * columns
        tilings = tuple(shot.tiling for shot in shots)
        return cls(tilings, turns, torch.cat(kept) if kept else None)

    def place(
        self, match: Match, images: Sequence[Image], view: Callable[[Image], View]
    ) -> tuple[int, Box]:
        """The shot behind a match, and where in the unturned shot its patch lies."""
        rows, columns = match.grid
        patch = match.shot
        if self.kept is not None:
            patch = int(self.kept[patch])
        else:
            patch = (patch * rows + match.row) * columns + match.column
        number, cell = divmod(patch, rows * columns)
        shot = 0
        while number >= self.turns * len(self.tilings[shot]):
            number -= self.turns * len(self.tilings[shot])
            shot += 1
        turn, tile = divmod(number, len(self.tilings[shot]))
        # A large shot is kept reduced.
        tiling = replace(self.tilings[shot], size=images[shot].size)
        layout = Layout.of(images[shot], tiling, view)
        box = layout.cell_box(tile, *divmod(cell, columns), match.grid)
        if not turn:
            return shot, box
        height, width = tiling.size
        back = turned_back((box.left, box.top, box.right, box.bottom), tiling.size, turn)
        left, top = min(max(round(back[0]), 0), width - 1), min(max(round(back[1]), 0), height - 1)
        right, bottom = max(left + 1, round(back[2])), max(top + 1, round(back[3]))
        return shot, Box(left, top, min(right, width), min(bottom, height))


def tiling_for(size: tuple[int, int], views: Views, side: int) -> Tiling:
    """How an image (height, width) is tiled for a backbone that sees side x side pixels."""
    return tiling_of(size, automatic(size, side) if views.tiles == "auto" else views.tiles)


def tiles(image: Image, tiling: Tiling) -> list[Image]:
    """The image itself, or its tiles."""
    if len(tiling) == 1:
        return [image]
    return [
        replace(
            image,
            rgb=image.rgb[top:bottom, left:right],
            name=f"{image.name} (tile {number})",
            sha256=f"{image.sha256} {left} {top} {right} {bottom}",
        )
        for number, (left, top, right, bottom) in enumerate(tiling.boxes, start=1)
    ]


def see(image: Image, views: Views, side: int, encode: Encode, *, loose: bool) -> Seen:
    """A shot in all its views. loose: its patches need not stay in their grids, and are thinned."""
    tiling, turns = tiling_for(image.size, views, side), turns_of(views)
    if turns * len(tiling) == 1:
        features = encode([image])
        return Seen(features, features, tiling)
    parts: list[Features] = []
    kept: list[Tensor] = []
    query: Features | None = None
    for turn in range(turns):
        features = encode(tiles(_turned(image, turn), tiling))
        query = query or features
        if loose:
            first = turn * features.patches[0].shape[:3].numel()
            features, chosen = _thinned(_loosened(features), PER_SHOT // turns, _seed(image, turn))
            kept.append(first + chosen)
        parts.append(features)
        _refuse_many(parts, f"shot {image.name!r}")
    assert query is not None  # noqa: S101  there is one turn at least
    return Seen(concatenate(parts), query, tiling, torch.cat(kept) if loose else None)


def settled(shots: Sequence[Seen], images: Sequence[Image]) -> list[Seen]:
    """The shots as they make a bank: all in one form, and no more than a bank may hold."""
    if all(shot.kept is None for shot in shots):
        if any(len(shot.bank) > 1 for shot in shots):
            _refuse_many([shot.bank for shot in shots], f"{len(shots)} shots")
        return list(shots)
    found = []
    for shot, image in zip(shots, images, strict=True):
        bank, kept = shot.bank, shot.kept
        if kept is None:
            bank = _loosened(bank)
            kept = torch.arange(len(bank.patches[0]))
        bank, chosen = _thinned(bank, MOST // len(shots), _seed(image, TURNS))
        found.append(replace(shot, bank=bank, kept=kept[chosen]))
    return found


def score_rows(
    detector: Detector[Any], rows: Features, context: Any, counts: Sequence[int]
) -> tuple[Tensor, Prediction]:
    """Score queries of `counts` tiles each -> the queries' scores b, and what each row came to."""
    if len(counts) == len(rows):
        prediction = detector.score(rows, context)
        return prediction.score, prediction
    parts: list[Prediction] = []
    end = 0
    for count in counts:
        first, end = end, end + count
        for start in range(first, end, TOGETHER):
            tiled = replace(rows[start : min(start + TOGETHER, end)], closer=math.sqrt(count))
            parts.append(detector.score(tiled, context))
    prediction = Prediction(
        torch.cat([part.score for part in parts]), torch.cat([part.anomaly_map for part in parts])
    )
    return highest(prediction.score, counts), prediction


def highest(values: Tensor, counts: Sequence[int]) -> Tensor:
    """The highest value of each query's tiles: n -> b."""
    if len(counts) == len(values):
        return values
    return torch.stack([part.amax() for part in values.split(list(counts))])


def refuse_views(detector: str, any_place: bool, fit: Fit, views: Views) -> None:
    """UsageError where shots may not be turned, or images not be tiled."""
    if views == Views():
        return
    if not any_place:
        raise UsageError(
            f"detector {detector!r} does not look for patches at any place of the shots: these "
            "cannot be turned, nor images be seen in tiles; use orientation 'fixed' and 1 tile, "
            "or another detector"
        )
    if fit == "crop" and views.tiles != 1:
        raise UsageError(
            "fit 'crop' leaves out the borders of what it sees, so that tiles would have gaps; "
            "use fit 'squash' or 'pad', or 1 tile"
        )


def turns_of(views: Views) -> int:
    """How many times a shot is seen: as it lies, or in all turns."""
    return TURNS if views.orientation == "any" else 1


def _turned(image: Image, turn: int) -> Image:
    if not turn:
        return image
    return replace(
        image,
        rgb=turned(image.rgb, turn),
        name=f"{image.name} (turned by {45 * turn} degrees)",
        sha256=f"{image.sha256} turned {turn}",
    )


def _loosened(features: Features) -> Features:
    """b h w d a layer -> m 1 1 d."""
    patches = tuple(layer.flatten(0, 2)[:, None, None] for layer in features.patches)
    return Features(patches, features.image)


def _thinned(loose: Features, most: int, seed: int) -> tuple[Features, Tensor]:
    """At most so many patches of each layer, drawn by a seed; and which of the first layer."""
    chosen = [_drawn(len(layer), most, seed) for layer in loose.patches]
    patches = tuple(layer[rows] for layer, rows in zip(loose.patches, chosen, strict=True))
    return Features(patches, loose.image), chosen[0]


def _drawn(count: int, most: int, seed: int) -> Tensor:
    if count <= most:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[:most].sort().values


def _seed(image: Image, number: int) -> int:
    """Of a shot alone, whatever others there are, and another one for each of its turns."""
    return int(image.sha256[:8], 16) + number


def _refuse_many(banks: Sequence[Features], whose: str) -> None:
    count = sum(bank.patches[0].shape[:3].numel() for bank in banks if bank.patches)
    if count > MOST_WHOLE:
        raise UsageError(
            f"{count} patches of {whose} are more than this detector compares with "
            f"({MOST_WHOLE}); use fewer tiles or fewer shots"
        )

"""Numbers of SPADE with the whole gallery and no epsilon, on small random features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inctrl.detectors.spade import Spade, SpadeOptions, layer_map
from inctrl.maths.grids import resize_map
from inctrl.maths.neighbours import nearest_rows
from inctrl.maths.smoothing import smooth
from inctrl.types import Features, Item

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays(oracles: Path) -> Arrays:
    with np.load(oracles / "spade.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def features(arrays: Arrays, part: str, count: int | None = None) -> Features:
    layers = [torch.from_numpy(arrays[f"{part}_layer{i}"]).permute(0, 2, 3, 1) for i in (1, 2, 3)]
    tokens = torch.from_numpy(arrays[f"{part}_avgpool"])
    return Features(tuple(layer[:count] for layer in layers), tokens[:count])


def close(ours: Tensor, theirs: np.ndarray) -> None:
    assert tuple(ours.shape) == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("count", "scores", "maps"),
    [
        (None, ("topk_index", "image_scores"), "full"),
        (2, ("shots2_topk_index", "shots2_image_scores"), "shots2"),
    ],
)
def test_scores_and_maps(
    arrays: Arrays, count: int | None, scores: tuple[str, str], maps: str
) -> None:
    shots, queries, k = (
        features(arrays, "train", count),
        features(arrays, "test"),
        int(arrays["top_k"]),
    )
    squared, gallery = nearest_rows(queries.image, shots.image, k)
    assert np.array_equal(gallery.numpy(), arrays[scores[0]])
    if count is None:
        close(squared.sqrt(), arrays["topk_values"])
        everyone, order = nearest_rows(queries.image, shots.image, len(shots))
        close(everyone.gather(1, order.argsort(dim=1)).sqrt(), arrays["dist_matrix"])
    found = []
    for i, (query, shot) in enumerate(zip(queries.patches, shots.patches, strict=True), start=1):
        found.append(layer_map(query, shot, gallery))
        close(found[-1], arrays[f"dist_layer{i}_{maps}"])
    size = tuple(arrays["image_size"].tolist())
    mean = torch.stack([resize_map(m, size) for m in found]).mean(dim=0)
    close(smooth(mean, float(arrays["sigma"])), arrays[f"maps_{maps}"])
    detector = Spade(SpadeOptions(neighbours=k))
    prediction = detector.score(queries, detector.prepare(shots, Item("x")))
    close(prediction.score, arrays[scores[1]])


def test_the_release_left_patches_out(arrays: Arrays) -> None:
    """Its distances are never below ours: it searched a part of the gallery."""
    for i in (1, 2, 3):
        theirs, ours = arrays[f"dist_layer{i}_released"], arrays[f"dist_layer{i}_full"]
        assert (theirs >= ours - 1e-4 * ours.max()).all()

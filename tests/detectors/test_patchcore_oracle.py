"""Numbers of the released PatchCore, and of anomalib's re-weighting, on small random features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.detectors.patchcore import (
    PatchCore,
    PatchCoreContext,
    PatchCoreOptions,
    adaptive,
    averaged,
    reweighted,
)
from inctrl.maths.coreset import approximate_start, exact_start, greedy_picks, project
from inctrl.maths.grids import resize_map
from inctrl.maths.neighbours import nearest_rows
from inctrl.maths.smoothing import smooth
from inctrl.memory import MemoryBank
from inctrl.types import Features


class Oracle:
    def __init__(self, file: Path) -> None:
        with np.load(file, allow_pickle=False) as stored:
            self.arrays = {name: stored[name] for name in stored.files}

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def number(self, name: str) -> float:
        return float(self.arrays[name])

    def layers(self, part: str) -> tuple[Tensor, ...]:
        return tuple(self[f"{part}_layer{i}"].permute(0, 2, 3, 1) for i in (2, 3))

    @property
    def picks(self) -> int:
        return int(len(self["train_embeddings"]) * self.number("coreset_fraction"))


@pytest.fixture(scope="module")
def oracle(oracles: Path) -> Oracle:
    return Oracle(oracles / "patchcore.npz")


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-4) -> None:
    """Relative to the array's largest magnitude."""
    assert ours.shape == theirs.shape
    assert float((ours.double() - theirs.double()).abs().max()) <= tolerance * float(
        theirs.abs().max()
    )


@pytest.mark.parametrize("part", ["train", "test"])
def test_embeddings(oracle: Oracle, part: str) -> None:
    sizes = [int(oracle.number(n)) for n in ("patchsize", "pretrain_dim", "target_dim")]
    vectors = adaptive(oracle.layers(part), *sizes)
    assert vectors.shape[1:3] == tuple(oracle["patch_grid"].tolist())
    close(vectors.flatten(0, 2), oracle[f"{part}_embeddings"])
    close(averaged(oracle.layers(part), sizes[0]).flatten(0, 2), oracle[f"rw_{part}_embeddings"])


@pytest.mark.parametrize("neighbours", [1, 3])
def test_scores_of_the_whole_bank(oracle: Oracle, neighbours: int) -> None:
    key = f"full_nn{neighbours}"
    squared, rows = nearest_rows(oracle["test_embeddings"], oracle["train_embeddings"], neighbours)
    close(squared, oracle[f"{key}_nn_distances_sq"])
    assert torch.equal(rows, oracle[f"{key}_nn_index"])
    scores = squared.mean(dim=1).view(oracle[f"{key}_patch_scores"].shape)
    close(scores, oracle[f"{key}_patch_scores"])
    close(scores.flatten(1).amax(dim=1), oracle[f"{key}_image_scores"])
    size = tuple(oracle["image_size"].tolist())
    close(smooth(resize_map(scores, size), 4), oracle[f"{key}_maps"])


@pytest.mark.parametrize("sampler", ["exact", "approx"])
@pytest.mark.parametrize("space", ["raw", "projected"])
def test_picks_in_order(oracle: Oracle, sampler: str, space: str) -> None:
    rows = oracle["train_embeddings"]
    points = project(rows, oracle["projection"]) if space == "projected" else rows
    if sampler == "exact":
        reach = exact_start(points)
    else:
        reach = approximate_start(points, oracle["approx_start_points"])
    picks = greedy_picks(points, reach, oracle.picks)
    assert torch.equal(picks, oracle[f"{sampler}_indices_{space}"])


def test_copies_end_the_picking(oracle: Oracle) -> None:
    rows = oracle["degenerate_features"]
    theirs = oracle["degenerate_exact_indices"]
    picks = greedy_picks(rows, exact_start(rows), len(theirs))
    assert torch.equal(picks, theirs[:2])


@pytest.mark.parametrize("search", ["torch", "flat"])
def test_scores_of_a_coreset_through_the_detector(oracle: Oracle, search: str) -> None:
    size = tuple(oracle["image_size"].tolist())
    detector = PatchCore(
        PatchCoreOptions(
            patch=int(oracle.number("patchsize")),
            stage_channels=int(oracle.number("pretrain_dim")),
            channels=int(oracle.number("target_dim")),
            search=search,  # type: ignore[arg-type]
            map_size=max(size),
        )
    )
    rows = oracle["coreset_bank"]
    bank = MemoryBank(rows, torch.arange(len(rows)))
    grid = tuple(oracle["patch_grid"].tolist())
    layers = oracle.layers("test")
    queries = Features(layers, torch.zeros(len(layers[0]), 1))
    prediction = detector.score(queries, PatchCoreContext(bank, grid))
    close(prediction.score, oracle["coreset_image_scores"])
    squared, _ = bank.search(oracle["test_embeddings"], 1, search)  # type: ignore[arg-type]
    scores = squared[:, 0].view(oracle["coreset_patch_scores"].shape)
    close(scores, oracle["coreset_patch_scores"])
    close(smooth(resize_map(scores, size), 4), oracle["coreset_maps"])


@pytest.mark.parametrize("count", [9, 4])
def test_reweighted_scores(oracle: Oracle, count: int) -> None:
    key = f"rw_b{count}"
    bank = oracle[f"{key}_bank"]
    images = len(oracle[f"{key}_image_scores"])
    vectors = oracle["rw_test_embeddings"].unflatten(0, (images, -1))
    squared, rows = nearest_rows(oracle["rw_test_embeddings"], bank)
    distances, nearest = squared.sqrt().view(images, -1), rows.view(images, -1)
    assert torch.equal(nearest, oracle[f"{key}_locations"])
    close(distances, oracle[f"{key}_patch_scores"].flatten(1))
    close(reweighted(vectors, distances, nearest, bank, count), oracle[f"{key}_image_scores"])


def test_maps_as_anomalib_draws_them(oracle: Oracle) -> None:
    size = tuple(oracle["image_size"].tolist())
    scores = oracle["rw_b9_patch_scores"]
    scores = scores.view(len(scores), *oracle["patch_grid"].tolist())
    pixels = F.interpolate(scores[:, None], size, mode="nearest")[:, 0]
    close(smooth(pixels, 4, edge="mirror"), oracle["rw_b9_maps"])

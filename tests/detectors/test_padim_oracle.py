"""Numbers of the released PaDiM on small random features; at k = 1 those of the project's rule."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inctrl.detectors.padim import PaDiM, PaDiMOptions, drawn_channels
from inctrl.maths.gaussian import fit_gaussians, mahalanobis
from inctrl.maths.grids import repeat_concat, resize_map
from inctrl.maths.smoothing import pixel_size, smooth
from inctrl.types import Features, Item

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays(oracles: Path) -> Arrays:
    with np.load(oracles / "padim.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def layers(arrays: Arrays, part: str) -> list[Tensor]:
    return [torch.from_numpy(arrays[f"{part}_layer{i}"]).permute(0, 2, 3, 1) for i in (1, 2, 3)]


def close(ours: Tensor, theirs: np.ndarray, tolerance: float) -> None:
    assert tuple(ours.shape) == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("part", ["train", "test"])
def test_all_channels_on_the_finest_grid(arrays: Arrays, part: str) -> None:
    vectors = repeat_concat(layers(arrays, part)).permute(0, 3, 1, 2)
    assert np.array_equal(vectors.numpy(), arrays[f"{part}_embedding_all"])


def test_the_released_draw_of_channels(arrays: Arrays) -> None:
    assert drawn_channels(448, 0) == arrays["dim_index_resnet18"].tolist()
    assert drawn_channels(1792, 0) == arrays["dim_index_wide_resnet50_2"].tolist()
    wanted, available = len(arrays["dim_index"]), arrays["train_embedding_all"].shape[1]
    assert drawn_channels(available, 0) == list(range(available))
    assert len(set(drawn_channels(available, wanted))) == wanted


def test_distances_maps_and_scores(arrays: Arrays) -> None:
    drawn = torch.from_numpy(arrays["dim_index"])
    train = repeat_concat(layers(arrays, "train"))[..., drawn]
    test = repeat_concat(layers(arrays, "test"))[..., drawn]
    grid, eps = train.shape[1:3], float(arrays["eps"])
    size = tuple(arrays["image_size"].tolist())
    for k in arrays["shots"].tolist():
        fitted = fit_gaussians(train[:k].flatten(1, 2), eps)
        close(fitted.mean.T, arrays[f"k{k}_mean"], 1e-5)
        distances = mahalanobis(test.flatten(1, 2).double(), fitted).unflatten(1, grid)
        close(distances, arrays[f"k{k}_dist_f64"], 1e-6)
        close(distances, arrays[f"k{k}_dist"], 1e-5)
        maps = smooth(resize_map(distances, size), float(arrays["sigma"]))
        close(maps, arrays[f"k{k}_maps"], 1e-4)
        close(maps.flatten(1).amax(dim=1), arrays[f"k{k}_image_scores"], 1e-4)
        low, high = maps.min(), maps.max()
        close((maps - low) / (high - low), arrays[f"k{k}_maps_minmax"], 1e-4)


def test_the_covariance_that_the_distances_imply(arrays: Arrays) -> None:
    """Of unit steps off the mean: their squared distances are the diagonal of the inverse."""
    drawn = torch.from_numpy(arrays["dim_index"])
    train = repeat_concat(layers(arrays, "train"))[..., drawn]
    for k in arrays["shots"].tolist():
        fitted = fit_gaussians(train[:k].flatten(1, 2), float(arrays["eps"]))
        steps = fitted.mean + torch.eye(len(drawn), dtype=torch.float64)[:, None]
        inverse = np.linalg.inv(arrays[f"k{k}_cov"].transpose(2, 0, 1).astype(np.float64))
        close(
            mahalanobis(steps, fitted).square().T,
            np.diagonal(inverse, axis1=1, axis2=2),
            1e-4,
        )


def test_the_detector_gives_the_same_scores(arrays: Arrays) -> None:
    """Its channels are drawn by the release's seed, so it is fed the oracle's channels alone."""
    drawn = torch.from_numpy(arrays["dim_index"])
    train = repeat_concat(layers(arrays, "train"))[..., drawn]
    test = repeat_concat(layers(arrays, "test"))[..., drawn]
    side = max(arrays["image_size"].tolist())
    detector = PaDiM(PaDiMOptions(eps=float(arrays["eps"]), map_size=side))
    k = int(arrays["shots"][-1])
    context = detector.prepare(Features((train[:k],), torch.zeros(k, 1)), Item("x"))
    prediction = detector.score(Features((test,), torch.zeros(len(test), 1)), context)
    # The oracle smooths with 4 pixels at any size and aspect, the detector with as much as at 224.
    distances = torch.from_numpy(arrays[f"k{k}_dist_f64"])
    size = pixel_size(distances.shape[1:], side)
    maps = smooth(resize_map(distances, size), 4 * side / 224)
    close(prediction.anomaly_map, maps.numpy(), 1e-4)
    close(prediction.score, maps.flatten(1).amax(dim=1).numpy(), 1e-4)

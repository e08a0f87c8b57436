import numpy as np
import pytest
import torch
from torch import Tensor

from inctrl.maths import gaussian
from inctrl.maths.gaussian import fit_gaussians, mahalanobis


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loop(samples: Tensor, query: Tensor, eps: float) -> np.ndarray:
    """Straight from the definition: a covariance and its inverse at each position."""
    n, p, d = samples.shape
    found = np.zeros((len(query), p))
    for i in range(p):
        x = samples[:, i].double().numpy()
        mean = x.mean(axis=0)
        covariance = (x - mean).T @ (x - mean) / max(n - 1, 1) + eps * np.eye(d)
        for b in range(len(query)):
            offset = query[b, i].double().numpy() - mean
            found[b, i] = np.sqrt(offset @ np.linalg.inv(covariance) @ offset)
    return found


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 30])
def test_distances_are_the_definition_on_both_sides_of_n_equal_to_d(n: int) -> None:
    samples, query = draw(n, 4, 6), draw(3, 4, 6, seed=1)
    fitted = fit_gaussians(samples, 0.01)
    assert fitted.whiten.shape == (4, min(n, 6), 6)
    ours = mahalanobis(query.double(), fitted)
    np.testing.assert_allclose(ours, loop(samples, query, 0.01), rtol=1e-10)
    assert mahalanobis(query, fitted).dtype == torch.float32


def test_one_sample_has_ten_times_the_euclidean_distance() -> None:
    samples, query = draw(1, 4, 6), draw(2, 4, 6, seed=1)
    euclidean = (query - samples).norm(dim=2)
    torch.testing.assert_close(mahalanobis(query, fit_gaussians(samples, 0.01)), 10 * euclidean)


def test_equal_samples_are_one_sample() -> None:
    samples, query = draw(1, 4, 6), draw(2, 4, 6, seed=1)
    once = mahalanobis(query, fit_gaussians(samples, 0.01))
    many = mahalanobis(query, fit_gaussians(samples.repeat(5, 1, 1), 0.01))
    torch.testing.assert_close(many, once)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, query = draw(3, 10, 6), draw(2, 10, 6, seed=1)
    whole = mahalanobis(query, fit_gaussians(samples, 0.01))
    monkeypatch.setattr(gaussian, "BLOCK", 40)
    torch.testing.assert_close(mahalanobis(query, fit_gaussians(samples, 0.01)), whole)

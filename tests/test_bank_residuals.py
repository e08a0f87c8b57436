"""What benchmarks/neighbours.py compares, against plain loops and by what must hold of each."""

import zipfile
from collections import defaultdict

import numpy as np
import PIL.Image
import pytest
import torch

from benchmarks import bank_residuals as ways
from benchmarks.neighbours import pictures, scores, tables
from inctrl.maths.neighbours import unit

QUERY = unit(torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(0)))
BANK = unit(torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(1)))
ROWS = BANK.flatten(0, 1)
NATURAL = ways.whitening(unit(torch.randn(50, 6, generator=torch.Generator().manual_seed(2))))


@pytest.mark.parametrize("name", ways.residuals(NATURAL))
def test_every_way_gives_a_finite_value_a_position_and_does_not_know_the_other_queries(name):
    way = ways.residuals(NATURAL)[name]
    found = way(QUERY, BANK)
    assert found.shape == (2, 7)
    assert found.isfinite().all()
    assert (found >= 0).all()
    torch.testing.assert_close(way(QUERY[1:], BANK), found[1:])


@pytest.mark.parametrize(
    "name", ["nearest", "reconstruction", "density", "about the mean", "whitened by shots"]
)
def test_a_patch_of_the_bank_is_not_anomalous(name):
    seen = ways.residuals(None)[name](BANK[:2, :7], BANK)
    torch.testing.assert_close(seen, torch.zeros(2, 7), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ways.residuals(NATURAL))
def test_a_bank_of_equal_patches_is_no_obstacle(name):
    found = ways.residuals(NATURAL)[name](QUERY, BANK[:1, :1].expand(1, 4, 6))
    assert found.isfinite().all()


def test_without_natural_images_nothing_is_whitened_by_them():
    assert set(ways.residuals(NATURAL)) - set(ways.residuals(None)) == {"whitened"}


def test_the_nearest_shots_are_means_over_the_three_best_shots():
    expected = torch.stack([(1 - (QUERY @ shot.T).amax(-1)) / 2 for shot in BANK]).mean(dim=0)
    torch.testing.assert_close(ways.nearest_shots(QUERY, BANK), expected)


def test_soft_projection_on_equal_neighbours_is_the_distance_to_them():
    same = BANK[:1, :1].expand(1, 9, 6)
    torch.testing.assert_close(ways.soft_projection(QUERY, same), ways.nearest(QUERY, same))


def test_reconstruction_uses_those_neighbours_of_the_anchor_that_are_nearer_than_the_query():
    found = ways.reconstruction(QUERY, BANK)
    for b, n in np.ndindex(2, 7):
        q = QUERY[b, n]
        anchor = ROWS[(ROWS @ q).argmax()]
        order = (ROWS - anchor).norm(dim=1).argsort()[1 : ways.MOST + 1]
        far = (q - anchor).norm()
        kept = [ROWS[i] - anchor for i in order if (ROWS[i] - anchor).norm() < far]
        left = q - anchor
        if kept:
            steps = torch.stack(kept)
            gram = steps @ steps.T
            ridge = ways.RIDGE * gram.trace() / ways.MOST
            weights = torch.linalg.solve(gram + ridge * torch.eye(len(kept)), steps @ left)
            left = left - weights @ steps
        assert found[b, n].item() == pytest.approx(left.square().sum().item() / 4, abs=1e-5)


def test_what_lies_in_the_subspace_of_the_shots_is_not_anomalous():
    plane = torch.zeros(1, 40, 6)
    plane[..., :2] = torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(3))
    plane = unit(plane)
    outside = torch.zeros(1, 1, 6)
    outside[..., 5] = 1
    assert ways.subspace(plane[:, :5], plane).max() < 1e-6
    assert ways.subspace(outside, plane).item() == pytest.approx(0.25, abs=1e-3)


def test_density_divides_by_the_mean_distance_of_the_anchor_to_its_neighbours():
    found = ways.density(QUERY, BANK)
    distances = torch.cdist(QUERY.flatten(0, 1), ROWS) / 2
    apart = (torch.cdist(ROWS, ROWS) / 2).sort(dim=1).values[:, 1 : ways.COUNT + 1].mean(dim=1)
    nearest = distances.min(dim=1)
    torch.testing.assert_close(found.flatten(), nearest.values / apart[nearest.indices])


def test_whitened_rows_have_equal_variance_but_for_the_shrinking(monkeypatch):
    monkeypatch.setattr(ways, "SHRINK", 0.0)
    mean, matrix = ways.whitening(ROWS)
    white = (ROWS - mean) @ matrix
    torch.testing.assert_close(white.T @ white / len(ROWS), torch.eye(6), atol=1e-4, rtol=0)


def test_a_score_is_the_worst_share_of_the_mean_of_the_maps_on_the_finest_grid():
    queries = [QUERY[:, :4].unflatten(1, (2, 2)), QUERY[:, :1].unflatten(1, (1, 1))]
    bank = [layer[:1] for layer in queries]

    def constant(value):
        return lambda query, _: torch.full(query.shape[:2], value)

    found = scores(queries, bank, [constant(0.2), constant(0.4)], defaultdict(float), ("way", 1))
    torch.testing.assert_close(found, torch.tensor([0.3, 0.3]))


def test_only_a_gain_above_its_error_on_both_groups_is_taken():
    names = ["mnist_3", "mnist_7", "one", "two"]
    rows = {"nearest": [80, 80, 80, 80], "sure": [82, 83, 82, 83], "torn": [82, 83, 70, 95]}
    figures = {(way, 1): [float(v) for v in values] for way, values in rows.items()}
    lines = list(tables(names, figures, defaultdict(lambda: 1.0)))
    assert lines[-1] == "\ntaken: sure"
    assert any("| sure | 82.5 | 82.5 | +2.50 ± 0.50 | 82.5 | +2.50 ± 0.50 |" in x for x in lines)


def test_pictures_come_from_a_folder_or_an_archive_alike(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        PIL.Image.new("RGB", (8, 8), (50 * i, 0, 0)).save(folder / f"{i}.png")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    names = [[p.name for p in pictures(s, 3)] for s in (folder, tmp_path / "pictures.zip")]
    assert names[0] == names[1]
    assert len(names[0]) == 3

"""RegAD against numbers of the released code (`regad.npz`)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inctrl.adapters.registration import Registration, SpatialTransformer
from inctrl.detectors.regad import RegAD, RegADOptions
from inctrl.maths.gaussian import fit_gaussians, mahalanobis
from inctrl.maths.grids import repeat_concat, resize_map
from inctrl.maths.smoothing import pixel_size, smooth
from inctrl.maths.warps import MODES, altered, identity_params, inverse, restore, theta_of, warp
from inctrl.types import Features, Item

NAMES = [
    "identity",
    *(f"rotate {m:+d}*pi/16" for m in (-4, -3, -2, -1, 1, 2, 3, 4)),
    *(
        f"translate tx={x:+.1f} ty={y:+.1f}"
        for by in (0.2, 0.1)
        for x, y in ((by, by), (-by, by), (-by, -by), (by, -by))
    ),
    "hflip",
    "grey",
    *(f"rot90 x{turns}" for turns in (1, 2, 3)),
]
UNUSED = "bn3."
"""The release's encoder carries a third norm that it never calls."""


@pytest.fixture(scope="module")
def stored(oracles: Path) -> dict[str, np.ndarray]:
    return dict(np.load(oracles / "regad.npz", allow_pickle=False))


@pytest.fixture(scope="module")
def oracle(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {n: torch.from_numpy(a) for n, a in stored.items() if a.dtype.kind != "U"}


def close(value: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Relative to the array's largest magnitude."""
    allowed = tolerance * float(expected.double().abs().max())
    torch.testing.assert_close(value.double(), expected.double(), atol=allowed, rtol=0)


def under(oracle: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in oracle.items() if n.startswith(prefix)}


def grids(oracle: dict[str, Tensor], which: str) -> tuple[Tensor, ...]:
    """The layers b d h w as we hold them, b h w d."""
    names = sorted(n for n in oracle if n.startswith(f"gauss_{which}_layer"))
    return tuple(oracle[name].permute(0, 2, 3, 1) for name in names)


def siamese(oracle: dict[str, Tensor]) -> Registration:
    """The head of the oracle, before the step."""
    _, channels, rows, columns = oracle["query_features"].shape
    module = Registration([channels], [(rows, columns)])
    encoder = under(oracle, "enc.")
    own = {n: t for n, t in encoder.items() if not n.startswith(UNUSED)}
    module.encoder.load_state_dict(own)
    module.predictor.load_state_dict(under(oracle, "pred."))
    return module.train()


def test_the_versions_of_a_shot_in_their_order(
    stored: dict[str, np.ndarray], oracle: dict[str, Tensor]
) -> None:
    assert [str(name) for name in stored["augment_names"]] == NAMES
    versions = altered(oracle["support_images"])
    for version, expected in zip(versions, oracle["augmented"], strict=True):
        close(version, expected)


@pytest.mark.parametrize("mode", MODES)
def test_spatial_transformer(oracle: dict[str, Tensor], mode: str) -> None:
    known = under(oracle, f"stn_{mode}_")
    assert torch.equal(identity_params(mode), known["identity_params"])
    theta = theta_of(known["params"], mode)
    close(theta, known["theta"])
    close(warp(oracle["stn_input"], theta), known["output"])
    close(inverse(theta), known["inverse_theta"])
    # With the stored inverse: a random theta may be badly conditioned.
    close(warp(known["output"], known["inverse_theta"]), known["restored"], 2e-3)


def test_every_mode_of_the_release_is_there(oracle: dict[str, Tensor]) -> None:
    stored = {n[4:-6] for n in oracle if n.startswith("stn_") and n.endswith("_theta")}
    assert {name for name in stored if not name.endswith("_inverse")} == set(MODES)


def test_localisation(oracle: dict[str, Tensor]) -> None:
    maps, weights = oracle["stn_input"], under(oracle, "loc.")
    hidden = len(weights["fc.0.bias"])
    module = SpatialTransformer(maps.shape[1], maps.shape[2:], hidden=hidden).eval()
    same, fresh = module(maps)
    close(fresh, oracle["loc_fresh_theta"])
    close(same, maps)
    module.load_state_dict(weights)
    warped, theta = module(maps)
    close(theta, oracle["loc_theta"])
    close(warped, oracle["loc_output"])


def test_stages_are_restored_by_the_last_warp_first(oracle: dict[str, Tensor]) -> None:
    thetas = list(oracle["chain_theta"])
    for stage in range(1, len(thetas) + 1):
        restored = restore(oracle["chain_input"], thetas[:stage])
        close(restored, oracle[f"chain_layer{stage}"])


def test_loss_gradients_and_norms_of_a_training_step(oracle: dict[str, Tensor]) -> None:
    module, query = siamese(oracle), oracle["query_features"].clone().requires_grad_()
    rows = oracle["support_features"].clone().requires_grad_()
    support = rows.unflatten(0, (len(query), int(oracle["shots"]))).mean(dim=1)
    loss = module.loss_map(query, support).mean()
    loss.backward()
    close(loss.detach(), oracle["train_loss"])
    for tensor, name in ((query, "query_features"), (rows, "support_features")):
        assert tensor.grad is not None
        close(tensor.grad, oracle[f"grad_{name}"], 1e-3)
    parts = (("enc", module.encoder), ("pred", module.predictor))
    gradients = {f"{n}.{k}": p.grad for n, part in parts for k, p in part.named_parameters()}
    assert set(gradients) == set(under(oracle, "grad."))
    for name, gradient in gradients.items():
        assert gradient is not None
        close(gradient, oracle[f"grad.{name}"], 1e-3)
    buffers = {f"{n}.{k}": b for n, part in parts for k, b in part.named_buffers()}
    left = {name for name in under(oracle, "after.") if UNUSED not in name}
    assert set(buffers) == left
    for name, buffer in buffers.items():
        close(buffer, oracle[f"after.{name}"])
    for name in set(under(oracle, "after.")) - left:
        assert torch.equal(oracle[f"after.{name}"], oracle[name])


def test_codes_and_predictions_in_training(oracle: dict[str, Tensor]) -> None:
    module, query = siamese(oracle), oracle["query_features"]
    rows = oracle["support_features"].unflatten(0, (len(query), int(oracle["shots"])))
    with torch.no_grad():
        for number, maps in enumerate((query, rows.mean(dim=1)), start=1):
            code = module.encoder(maps)
            close(code, oracle[f"train_z{number}"])
            close(module.predictor(code), oracle[f"train_p{number}"])


def test_the_loss_map_of_a_trained_head(oracle: dict[str, Tensor]) -> None:
    module, query = siamese(oracle), oracle["query_features"]
    after = {n: t for n, t in under(oracle, "after.enc.").items() if not n.startswith(UNUSED)}
    module.encoder.load_state_dict({**module.encoder.state_dict(), **after})
    after = under(oracle, "after.pred.")
    module.predictor.load_state_dict({**module.predictor.state_dict(), **after})
    rows = oracle["support_features"].unflatten(0, (len(query), int(oracle["shots"])))
    with torch.no_grad():
        close(module.eval().loss_map(query, rows.mean(dim=1)), oracle["eval_loss_map"])


def test_mean_and_covariance(oracle: dict[str, Tensor]) -> None:
    samples = repeat_concat(grids(oracle, "train"))
    assert torch.equal(samples.permute(0, 3, 1, 2), oracle["gauss_train_embedding"])
    fitted = fit_gaussians(samples.flatten(1, 2), RegADOptions().eps)
    close(fitted.mean.T, oracle["gauss_mean"])
    inner = fitted.whiten.mT @ fitted.whiten
    eye = torch.eye(inner.shape[-1], dtype=inner.dtype)
    inverted = (eye - inner) / fitted.eps if fitted.eps else inner
    close(torch.linalg.inv(inverted).permute(1, 2, 0), oracle["gauss_cov"])


@pytest.mark.parametrize("shots", [1, 2])
def test_distances_maps_and_scores(oracle: dict[str, Tensor], shots: int) -> None:
    """However the samples are divided among shots and versions, the numbers are the same."""
    train, test = grids(oracle, "train"), grids(oracle, "test")
    references = Features(
        tuple(layer[:shots] for layer in train),
        torch.zeros(shots, 1),
        versions=tuple(layer[shots:].unflatten(0, (shots, -1)) for layer in train),
    )
    detector = RegAD()
    context = detector.prepare(references, Item("x"))
    vectors = repeat_concat(test)
    distances = mahalanobis(vectors.flatten(1, 2), context).unflatten(1, vectors.shape[1:3])
    close(distances, oracle["gauss_dist"])
    # The oracle blurs with 4 pixels whatever the size; the detector with as much as at 224.
    height, width = oracle["image_size"].tolist()
    maps = smooth(resize_map(distances, (height, width)), 4.0)
    close(maps, oracle["gauss_maps"])
    close(maps.flatten(1).amax(dim=1), oracle["gauss_image_scores"])
    prediction = detector.score(Features(test, torch.zeros(len(vectors), 1)), context)
    size = pixel_size(distances.shape[1:], 224)
    assert torch.equal(prediction.anomaly_map, smooth(resize_map(distances, size), 4.0))
    assert torch.equal(prediction.score, prediction.anomaly_map.flatten(1).amax(dim=1))

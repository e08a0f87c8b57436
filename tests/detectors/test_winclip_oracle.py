"""WinCLIP against three independent references, from pixels to score (README-baselines.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from fakes import FakeBackbone
from open_clip.transformer import VisionTransformer
from torch import Tensor

from inctrl.backbones.openclip import OpenClipBackbone
from inctrl.backbones.openclip_source import Source
from inctrl.backbones.rewired import RewiredBackbone, windowed
from inctrl.detectors.winclip import WinCLIP, WinCLIPOptions
from inctrl.maths.grids import resize_map
from inctrl.maths.similarity import anomalous_probability
from inctrl.maths.windows import harmonic_map, window_index
from inctrl.preprocessing import Preprocessing
from inctrl.prompting import both_prototypes, load_bank
from inctrl.types import Features, Item

MODES = {
    "t001_norm": {"temperature": 0.01, "prototypes": "normalised"},
    "t007_raw": {"temperature": 0.07, "prototypes": "raw"},
}
LAYERS = {"preln": "last", "ln": "ln_post"}
SIZES = (2, 3)


class Oracle:
    """The arrays, and the tower that they came from, seen through the loaders' own class."""

    def __init__(self, path: Path) -> None:
        stored = np.load(path, allow_pickle=False)
        self.arrays = {name: torch.from_numpy(np.array(stored[name])) for name in stored.files}
        number = {name: int(a) for name, a in self.arrays.items() if a.ndim == 0}
        self.grid = (number["grid"], number["grid"])
        side = number["grid"] * number["patch"]
        hidden = self["visual.transformer.resblocks.0.mlp.c_fc.bias"]
        self._model = open_clip.CLIP(
            embed_dim=number["embed_dim"],
            vision_cfg={
                "image_size": side,
                "patch_size": number["patch"],
                "width": number["width"],
                "head_width": number["width"] // number["heads"],
                "layers": number["layers"],
                "mlp_ratio": len(hidden) / number["width"],
            },
            text_cfg={"context_length": 4, "width": 4, "heads": 1, "layers": 1},
        )
        own = {n.removeprefix("visual."): a for n, a in self.arrays.items() if "visual." in n}
        self._model.visual.load_state_dict(own, strict=True)
        half = (0.5, 0.5, 0.5)
        self._preprocessing = Preprocessing(size=side, mean=half, std=half)

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    @property
    def visual(self) -> VisionTransformer:
        visual: VisionTransformer = self._model.visual
        return visual

    def backbone(self, layer: str) -> RewiredBackbone:
        source = Source("openclip:oracle", "oracle", {}, {}, Path())
        cpu = torch.device("cpu")
        bare = OpenClipBackbone(source, self._model, self._preprocessing, [layer], cpu, False)
        return windowed(bare, SIZES)

    def features(self, which: str, layer: str = "last") -> Features:
        images = self["query_images" if which == "query" else "reference_images"]
        return self.backbone(layer).encode_images(images)

    @property
    def item(self) -> Item:
        return Item("thing", *both_prototypes(Spoken(self), load_bank("winclip"), "thing"))


class Spoken(FakeBackbone):
    """A backbone whose sentence embeddings are the oracle's, in the order of the bank."""

    def __init__(self, oracle: Oracle) -> None:
        super().__init__(has_text=True)
        self._given = [
            oracle["normal_sentence_embeddings"],
            oracle["anomalous_sentence_embeddings"],
        ]

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        embedded = torch.cat(self._given)
        assert len(sentences) == len(embedded)
        return embedded


@pytest.fixture(scope="module")
def oracle(oracles: Path) -> Oracle:
    return Oracle(oracles / "winclip.npz")


def assert_near(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Within a share of the largest magnitude of the array."""
    assert found.shape == expected.shape
    error = (found.double() - expected.double()).abs().max() / expected.double().abs().max()
    assert error < tolerance, f"{error:.2e}"


@pytest.mark.parametrize("size", SIZES)
def test_windows_are_numbered_as_in_the_references(oracle: Oracle, size: int) -> None:
    assert torch.equal(window_index(oracle.grid, size).int(), oracle[f"window_index_{size}"])


@pytest.mark.parametrize("which", ["query", "ref"])
def test_the_tower_gives_images_windows_and_patch_tokens(oracle: Oracle, which: str) -> None:
    seen = oracle.features(which)
    assert_near(seen.image, oracle[f"{which}_image_embedding"])
    for size, windows in zip(SIZES, seen.windows, strict=True):
        assert_near(windows.flatten(1, 2), oracle[f"{which}_window_embedding_{size}"])
    assert_near(seen.patches[-1].flatten(1, 2), oracle[f"{which}_patch_tokens"])
    normed = oracle.features(which, "ln_post").patches[-1]
    assert_near(normed.flatten(1, 2), oracle[f"{which}_patch_tokens_ln"])


def test_prototypes_are_means_of_both_kinds(oracle: Oracle) -> None:
    item = oracle.item
    assert item.prototypes is not None
    assert item.raw_prototypes is not None
    assert_near(item.prototypes, oracle["text_norm_mean_norm"])
    assert_near(item.raw_prototypes, oracle["text_raw_mean"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_sentences_score_windows_and_windows_score_positions(
    oracle: Oracle, mode: str, size: int
) -> None:
    options = WinCLIPOptions(**MODES[mode])  # type: ignore[arg-type]
    context = WinCLIP(options).prepare(oracle.features("ref"), oracle.item)
    windows = oracle.features("query").windows[SIZES.index(size)]
    said = anomalous_probability(windows, context.prototypes, options.temperature)
    assert_near(said.flatten(1), oracle[f"{mode}_window_scores_{size}"], 2e-4)
    positions = harmonic_map(said, oracle.grid, size)
    assert_near(positions, oracle[f"{mode}_harmonic_{size}"], 2e-4)


@pytest.mark.parametrize("mode", MODES)
def test_without_shots(oracle: Oracle, mode: str) -> None:
    detector = WinCLIP(WinCLIPOptions(**MODES[mode]))  # type: ignore[arg-type]
    queries = oracle.features("query")
    found = detector.score(queries, detector.prepare(queries[:0], oracle.item))
    assert_near(found.score, oracle[f"{mode}_image_text_score"], 2e-4)
    assert_near(found.anomaly_map, oracle[f"{mode}_zero_shot_map"], 2e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tokens", LAYERS)
def test_with_shots(oracle: Oracle, mode: str, tokens: str) -> None:
    shots, queries = (oracle.features(which, LAYERS[tokens]) for which in ("ref", "query"))
    predictions: dict[str, Any] = {}
    for fusion in ("mean", "sum"):
        detector = WinCLIP(WinCLIPOptions(fusion=fusion, **MODES[mode]))  # type: ignore[arg-type]
        predictions[fusion] = detector.score(queries, detector.prepare(shots, oracle.item))
    score, fused = predictions["mean"].score, predictions["mean"].anomaly_map
    summed, alone = predictions["sum"].anomaly_map, detector.prepare(queries[:0], oracle.item)
    association = summed - detector.score(queries, alone).anomaly_map
    assert_near(association, oracle[f"few_shot_map_{tokens}"])
    assert_near(score, oracle[f"{mode}_{tokens}_fused_image_score"], 2e-4)
    assert_near(fused, oracle[f"{mode}_{tokens}_fused_map_mean"], 2e-4)
    pixels = oracle[f"{mode}_{tokens}_fused_map_up"]
    assert_near(resize_map(fused, (pixels.shape[1], pixels.shape[2])), pixels, 2e-4)
    if f"{mode}_{tokens}_fused_map_sum" in oracle.arrays:
        assert_near(summed, oracle[f"{mode}_{tokens}_fused_map_sum"], 2e-4)
    if (mode, tokens) == ("t001_norm", "preln"):
        assert_near(association.flatten(1).amax(dim=1), oracle["mala_visual_score"])
        assert_near(score, oracle["mala_image_score"], 2e-4)

"""The arrays of `inctrl_small.npz` and our model built from them, for the tests that compare."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inctrl.adapters import released
from inctrl.backbones import load_backbone
from inctrl.detectors.inctrl import Episode, EpisodeScores
from inctrl.maths.neighbours import unit
from inctrl.types import Features

TOLERANCE = 1e-5


class Oracle:
    """The arrays, and our model built from them."""

    def __init__(self, file: Path, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.arrays = dict(np.load(file, allow_pickle=False))
        self.meta = json.loads(str(self.arrays["meta"]))
        state = {n[3:]: torch.from_numpy(a) for n, a in self.arrays.items() if n.startswith("sd/")}
        self.dtype = dtype
        self.fusion = released.fusion_from(state, "oracle").to(dtype).eval()
        self.backbone = load_backbone(f"openclip:{_model_folder(folder, state, self.meta)}")
        self.backbone._model.to(dtype)  # type: ignore[attr-defined]
        self.queries = self._encode(self["in/queries"])
        q, most = self["in/shots"].shape[:2]
        shots = self._encode(self["in/shots"].flatten(0, 1))
        self.shot_patches = tuple(p.unflatten(0, (q, most)) for p in shots.patches)
        self.shot_tokens = shots.image.unflatten(0, (q, most))
        self.prototypes = torch.stack([self.encode_states(c) for c in self.meta["types"]])

    def __getitem__(self, name: str) -> Tensor:
        array = torch.from_numpy(self.arrays[name])
        return array.to(self.dtype) if array.is_floating_point() else array

    @torch.no_grad()
    def encode_states(self, name: str) -> Tensor:
        """2 e prototypes of an item; the embedding table holds only the ids in use."""
        model = self.backbone._model  # type: ignore[attr-defined]
        pair = []
        for kind in ("normal", "anomaly"):
            ids = self.arrays[f"text/{name}/{kind}_tokens"]
            rows = np.searchsorted(self.arrays["text/vocab"], ids)
            pair.append(unit(model.encode_text(torch.from_numpy(rows))).mean(dim=0))
        return unit(torch.stack(pair))

    def _encode(self, pixels: Tensor) -> Features:
        """Cloned, as tensors of inference mode take no part in training."""
        seen = self.backbone.encode_images(pixels)
        return Features(tuple(p.clone() for p in seen.patches), seen.image.clone())

    def episode(self, k: int, rows: slice = slice(None)) -> Episode:
        return Episode(
            tuple(unit(p[rows]) for p in self.queries.patches),
            self.queries.image[rows],
            tuple(unit(p[rows, :k]) for p in self.shot_patches),
            self.shot_tokens[rows, :k],
            self.prototypes[rows],
        )

    def check(self, prefix: str, scores: EpisodeScores) -> None:
        assert scores.text is not None
        seen = {
            "layer_maps": torch.stack([m.flatten(1) for m in scores.layer_maps], dim=1),
            "patch_map": scores.patch_map.flatten(1),
            "image_residual": scores.fused.image_residual,
            "image_score": scores.fused.image,
            "text_score": scores.text,
            "patch_score": scores.fused.patch,
            "holistic_score": scores.fused.holistic,
            "final_score": scores.fused.final,
        }
        known = {name.rpartition("/")[2] for name in self.arrays if name.startswith(f"{prefix}/")}
        assert known >= {"patch_map", "final_score"}
        for name in known:
            value, expected = seen[name], self[f"{prefix}/{name}"]
            torch.testing.assert_close(value, expected, atol=TOLERANCE, rtol=0, msg=name)


def _model_folder(folder: Path, state: dict[str, Tensor], meta: dict[str, Any]) -> Path:
    """The oracle's CLIP as an open_clip folder; its vocabulary is cut, so text stays outside."""
    config = {
        "model_cfg": {
            "embed_dim": meta["embed"],
            "vision_cfg": {
                "image_size": meta["image"],
                "layers": meta["vision_layers"],
                "width": meta["width"],
                "head_width": meta["head_width"],
                "patch_size": meta["patch"],
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": len(state["token_embedding.weight"]),
                "width": meta["twidth"],
                "heads": meta["theads"],
                "layers": meta["tlayers"],
            },
        },
        "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    ours = {n: t for n, t in state.items() if not n.startswith(released.PREFIXES)}
    torch.save(ours, folder / "open_clip_pytorch_model.bin")
    return folder

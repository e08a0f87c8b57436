"""InCTRL against numbers of the released code (`inctrl_small.npz`), from the features on.

The oracle's own CLIP is loaded by open_clip, its adapter by the reader of official checkpoints,
so that the whole way from pixels to the score is compared.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectors.inctrl_oracle import TOLERANCE, Oracle
from torch import Tensor

from inctrl.detectors.inctrl import Episode, InCTRL, InCTRLOptions, compare
from inctrl.prompting import load_bank, prototypes
from inctrl.types import Features, Item


@pytest.fixture(scope="module")
def oracle(oracles: Path, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(oracles / "inctrl_small.npz", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Any:
    with torch.inference_mode():
        yield


def test_features_are_those_after_blocks_7_9_and_11(oracle: Oracle) -> None:
    assert oracle.backbone.layers == ("block7", "block9", "block11")
    expected = oracle["feat/query_layers"][:, :, 1:]
    seen = torch.stack([p.flatten(1, 2) for p in oracle.queries.patches], dim=1)
    torch.testing.assert_close(seen, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(
        oracle.queries.image, oracle["feat/query_token"], atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_each_query_with_its_own_shots(oracle: Oracle, k: int) -> None:
    oracle.check(f"eval/k{k}", compare(oracle.fusion, oracle.episode(k)))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_released_scrambling_of_a_batch(oracle: Oracle, k: int) -> None:
    scores = compare(oracle.fusion, oracle.episode(k), "released")
    oracle.check(f"eval_released_batch/k{k}", scores)


def test_the_released_scrambling_with_shared_shots(oracle: Oracle) -> None:
    own = oracle.episode(2)
    shared = Episode(
        own.query_patches,
        own.query_tokens,
        tuple(p[0] for p in own.shot_patches),
        own.shot_tokens[0],
        own.prototypes[0] if own.prototypes is not None else None,
    )
    oracle.check("eval_released_batch_shared/k2", compare(oracle.fusion, shared, "released"))


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_batch_equals_one_by_one(oracle: Oracle, k: int) -> None:
    together = compare(oracle.fusion, oracle.episode(k)).fused.final
    alone = [compare(oracle.fusion, oracle.episode(k, slice(i, i + 1))) for i in range(6)]
    one_by_one = torch.cat([scores.fused.final for scores in alone])
    torch.testing.assert_close(together, one_by_one, atol=1e-6, rtol=0)


def test_groupings_agree_for_a_single_query(oracle: Oracle) -> None:
    one = oracle.episode(4, slice(2, 3))
    per_query, scrambled = (compare(oracle.fusion, one, g) for g in ("per_query", "released"))
    torch.testing.assert_close(per_query.fused.final, scrambled.fused.final, atol=1e-7, rtol=0)


@pytest.mark.parametrize("k", [1, 8])
def test_the_detector_gives_the_same_scores(oracle: Oracle, k: int) -> None:
    detector = InCTRL(oracle.fusion, text=True, options=InCTRLOptions())
    for i in range(6):
        shots = Features(tuple(p[i, :k] for p in oracle.shot_patches), oracle.shot_tokens[i, :k])
        context = detector.prepare(shots, Item("x", oracle.prototypes[i]))
        prediction = detector.score(oracle.queries[i : i + 1], context)
        expected = oracle[f"eval/k{k}/final_score"][i : i + 1]
        torch.testing.assert_close(prediction.score, expected, atol=TOLERANCE, rtol=0)
        expected = oracle[f"eval/k{k}/patch_map"][i]
        torch.testing.assert_close(
            prediction.anomaly_map.flatten(), expected, atol=TOLERANCE, rtol=0
        )


def test_sentences_are_those_of_the_release(oracle: Oracle) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer, bank = SimpleTokenizer(), load_bank("inctrl")
    for name in sorted(
        {n.split("/")[1] for n in oracle.arrays if n.startswith("text/")} - {"vocab"}
    ):
        for kind, sentences in zip(("normal", "anomaly"), bank.sentences(name), strict=True):
            np.testing.assert_array_equal(
                tokenizer(sentences).numpy(), oracle.arrays[f"text/{name}/{kind}_tokens"], name
            )


def test_prototypes_are_those_of_the_release(oracle: Oracle) -> None:
    """The oracle's embedding table holds only the ids in use: they are mapped, then encoded."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer, vocabulary = SimpleTokenizer(), oracle.arrays["text/vocab"]
    model = oracle.backbone._model  # type: ignore[attr-defined]

    class Mapped:
        fingerprint = "oracle"

        def encode_text(self, sentences: list[str]) -> Tensor:
            rows = np.searchsorted(vocabulary, tokenizer(sentences).numpy())
            encoded: Tensor = model.encode_text(torch.from_numpy(rows))
            return encoded

    for name in set(oracle.meta["types"]):
        seen = prototypes(Mapped(), load_bank("inctrl"), name)  # type: ignore[arg-type]
        torch.testing.assert_close(
            seen, oracle[f"text/{name}/prototypes"], atol=TOLERANCE, rtol=0, msg=name
        )

"""CoOp against numbers of the released code (`coop.npz`), through the code that trains and scores.

The oracle's text tower is loaded into open_clip's; sizes are read from the arrays.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

from inctrl.adapters.prompt_context import PromptContext
from inctrl.backbones.openclip_context import Prompts, encode_prompts
from inctrl.detectors.coop import CoOp
from inctrl.maths.neighbours import unit
from inctrl.maths.placement import place
from inctrl.maths.similarity import class_logits
from inctrl.training import prompt_context as training
from inctrl.types import Features, Item

TOLERANCE, LOOSE = 1e-4, 1e-3
ACTIVATIONS = {"quick": QuickGELU, "gelu": nn.GELU}
CASES = (*(f"{a}_{p}" for a in ACTIVATIONS for p in ("end", "middle", "front")), "quick_end_csc")
OUTPUTS = re.compile(rf"({'|'.join(sorted(CASES, key=len, reverse=True))})_(.+)")


class Oracle:
    """The arrays, the towers of both activations, and the prompts."""

    def __init__(self, file: Path) -> None:
        self.arrays = dict(np.load(file, allow_pickle=False))
        self.towers = {name: self._tower(kind) for name, kind in ACTIVATIONS.items()}
        tokens = self["token_ids"]
        lengths = tuple(int(n) for n in self.arrays["name_lengths"])
        # [start][placeholders][name][.][end]
        ends = 2 + int(self.arrays["n_ctx"]) + torch.tensor(lengths)
        self.prompts = Prompts(tokens, 1, lengths, ends)
        self.temperature = float(np.exp(-self.arrays["logit_scale"]))

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def _tower(self, activation: type[nn.Module]) -> Any:
        sizes = ("context_length", "vocab_size", "width", "heads", "layers")
        tower = TextTransformer(
            **{name: int(self.arrays[name]) for name in sizes},
            output_dim=int(self.arrays["embed_dim"]),
            act_layer=activation,
        )
        own = {n.removeprefix("text."): self[n] for n in self.arrays if n.startswith("text.")}
        tower.load_state_dict(own, strict=True)
        return tower.eval().requires_grad_(False)

    def context(self, case: str) -> PromptContext:
        first = self["ctx_init_csc"] if case.endswith("csc") else self["ctx_init"][None]
        contexts, length, width = first.shape
        position = case.removesuffix("_csc").rpartition("_")[2]
        context = PromptContext(length, width, contexts, position, self.temperature)
        with torch.no_grad():
            context.vectors.copy_(first)
        return context

    def encode(self, case: str, context: PromptContext) -> Tensor:
        tower = self.towers[case.partition("_")[0]]
        return encode_prompts(tower, self.prompts, context.for_items(1), context.position)

    def outputs(self, case: str) -> set[str]:
        """What the archive holds of a case, without its prefix."""
        found = (OUTPUTS.fullmatch(name) for name in self.arrays)
        return {match[2] for match in found if match and match[1] == case}


@pytest.fixture(scope="module")
def oracle(oracles: Path) -> Oracle:
    return Oracle(oracles / "coop.npz")


def assert_near(seen: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    """Relative to the largest magnitude of the expected array."""
    assert seen.shape == expected.shape
    error = (seen.detach() - expected).abs().max() / expected.abs().max()
    assert error <= tolerance, f"off by {float(error):.2g}"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_tower_gives_what_its_own_pass_gives(oracle: Oracle, activation: str) -> None:
    """Placeholders embedded like any word, that is with their own embeddings as the context."""
    tower, prompts = oracle.towers[activation], oracle.prompts
    count = int(oracle.arrays["n_ctx"])
    own = tower.token_embedding(prompts.tokens[:, 1 : 1 + count])
    seen = encode_prompts(tower, prompts, own, "end")
    assert_near(seen, oracle[f"{activation}_plain_text_features"])
    assert_near(seen, tower(prompts.tokens))


@pytest.mark.parametrize("case", CASES)
def test_prompts_and_their_features(oracle: Oracle, case: str) -> None:
    context, prompts = oracle.context(case), oracle.prompts
    embedded = oracle.towers["quick"].token_embedding(prompts.tokens)
    placed = place(
        embedded, context.for_items(1), prompts.first, prompts.name_lengths, context.position
    )
    assert_near(placed, oracle[f"{case}_prompts"])
    assert_near(oracle.encode(case, context), oracle[f"{case}_text_features"])


@pytest.mark.parametrize("case", CASES)
def test_logits_and_anomaly_scores(oracle: Oracle, case: str) -> None:
    context, images = oracle.context(case), oracle["image_features"]
    prototypes = unit(oracle.encode(case, context)).detach()
    logits = class_logits(images, prototypes, oracle.temperature)
    assert_near(logits, oracle[f"{case}_logits"])
    detector = CoOp(context.temperature)
    queries = Features((), images)
    prediction = detector.score(queries, detector.prepare(queries[[]], Item("x", prototypes)))
    assert_near(prediction.score, oracle[f"{case}_anomaly_score"], LOOSE)


@pytest.mark.parametrize("case", CASES)
def test_three_steps_of_the_training(oracle: Oracle, case: str) -> None:
    context, images, labels = oracle.context(case), oracle["image_features"], oracle["labels"]
    optimiser = training.optimiser_of(context)
    start = context.vectors.detach().clone()
    shape = oracle[f"{case}_grad_ctx"].shape
    for number in range(1, 4):
        prototypes = unit(oracle.encode(case, context))
        loss = training.step(
            optimiser, class_logits(images, prototypes, context.temperature), labels
        )
        if number == 1:
            assert_near(torch.tensor(loss), oracle[f"{case}_loss"])
            assert context.vectors.grad is not None
            assert_near(context.vectors.grad.reshape(shape), oracle[f"{case}_grad_ctx"], LOOSE)
        if number == 2:
            assert_near(torch.tensor(loss), oracle[f"{case}_loss_step1"])
        expected = oracle[f"{case}_ctx_step{number}"]
        vectors = context.vectors.detach().reshape(shape)
        assert_near(vectors, expected)
        begun = start.reshape(shape)
        assert_near(vectors - begun, expected - begun, LOOSE)


def test_the_settings_are_the_released_ones(oracle: Oracle) -> None:
    settings = training.optimiser_of(oracle.context("quick_end")).param_groups[0]
    for ours, theirs in (("lr", "lr"), ("momentum", "momentum"), ("weight_decay", "weight_decay")):
        assert settings[ours] == pytest.approx(float(oracle.arrays[theirs]))


def test_nothing_in_the_archive_is_left_out(oracle: Oracle) -> None:
    """Every key is an input, a weight, or an output that a test here compares."""
    compared = {"prompts", "text_features", "logits", "anomaly_score", "loss", "loss_step1"}
    compared |= {"grad_ctx", "ctx_step1", "ctx_step2", "ctx_step3"}
    # `quick_end_csc_*` also reads as an output `csc_*` of `quick_end`; the longer case wins.
    for case in CASES:
        assert oracle.outputs(case) == compared
    inputs = {"context_length", "vocab_size", "width", "heads", "layers", "embed_dim", "n_ctx"}
    inputs |= {"logit_scale", "lr", "momentum", "weight_decay", "image_features", "labels"}
    inputs |= {"ctx_init", "ctx_init_csc", "name_lengths", "token_ids"}
    inputs |= {f"{activation}_plain_text_features" for activation in ACTIVATIONS}
    rest = {n for n in oracle.arrays if not n.startswith("text.") and not OUTPUTS.fullmatch(n)}
    assert rest == inputs

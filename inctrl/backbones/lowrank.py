"""Low-rank updates of a backbone's image tower (LoRA: Hu et al., ICLR 2022), through peft.

The weight W of a module becomes W + alpha / rank * B A. B begins at zero, and with it the tower as
it was. The text tower, norms and everything else stay frozen.
"""

import copy
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inctrl.errors import UsageError
from inctrl.files.tensors import hash_tensors
from inctrl.protocols import Backbone, Tunable

ADAPTER = "default"
"""peft's name for the only updates of a tower; the names here are without it."""


@dataclass(frozen=True, eq=False)
class Injected:
    """A copy of a backbone with updates in its tower, and what of it can be trained.

    parameters   by `MODULE.lora_A.weight` and `MODULE.lora_B.weight`, as peft stores them
    """

    backbone: Tunable
    parameters: Mapping[str, nn.Parameter]


def tunable(backbone: Backbone) -> Tunable:
    """The backbone as one whose tower can be altered; UsageError where it cannot."""
    if not isinstance(backbone, Tunable):
        raise UsageError(
            f"backbone {backbone.name!r} has no image tower that low-rank updates could alter; "
            "use 'tiny', cnn:, openclip: or hf:"
        )
    return backbone


def targets_of(backbone: Tunable) -> tuple[str, ...]:
    """Names of the modules that can be updated, in the tower's order.

    These are linear maps and 1 x 1 convolutions that are called when images are encoded. A module
    whose weights another one reads (the projections of torch's attention and of some others) is
    not called, and an update of it would change nothing; neither would that of an unused head.
    """
    met: set[str] = set()
    altered = _copied(backbone)
    for name, module in altered.image_tower.named_modules():
        if _is_linear_map(module):
            module.register_forward_hook(lambda *_, name=name: met.add(name))
    size = backbone.preprocessing.size
    with torch.no_grad():
        altered.encode_traced(torch.zeros(1, 3, size, size))
    return tuple(name for name, _ in backbone.image_tower.named_modules() if name in met)


def injected(
    backbone: Tunable, rank: int, alpha: float, targets: Sequence[str], seed: int = 0
) -> Injected:
    """Updates that change nothing yet, in a copy: whoever else uses the backbone keeps it.

    The copy shares every frozen tensor, so it costs next to nothing; it has the fingerprint of the
    original and is no more its equal as soon as the parameters change.
    """
    # Imported on use: it brings transformers along, seconds of start-up time.
    from peft import LoraConfig, inject_adapter_in_model

    altered = _copied(backbone)
    # A list would match the ends of names too; a pattern has to match the whole.
    pattern = "|".join(map(re.escape, targets))
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=pattern)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = inject_adapter_in_model(config, altered.image_tower, ADAPTER).eval()
    parameters = {
        name.replace(f".{ADAPTER}.", "."): parameter
        for name, parameter in tower.named_parameters()
        if parameter.requires_grad
    }
    return Injected(altered, parameters)


def lowrank(backbone: Backbone, rank: int, alpha: float, tensors: Mapping[str, Tensor]) -> Backbone:
    """A copy of the backbone with these updates in its tower, frozen.

    It offers what the original does, and its fingerprint is its own.

    tensors   by the names of `Injected.parameters`; they fit (adapters.lora)
    """
    targets = dict.fromkeys(name.rpartition(".lora_")[0] for name in tensors)
    made = injected(tunable(backbone), rank, alpha, list(targets))
    for name, parameter in made.parameters.items():
        parameter.requires_grad_(False).copy_(tensors[name])
    digest = hashlib.sha256(f"{backbone.fingerprint} low rank {alpha / rank}".encode())
    hash_tensors(digest, made.parameters, types=False)
    altered: Any = made.backbone
    altered.fingerprint = digest.hexdigest()
    tuned: Backbone = altered
    return tuned


def _is_linear_map(module: nn.Module) -> bool:
    """Of exactly these types: subclasses do something else besides (padding, quantisation)."""
    if type(module) is nn.Conv2d:
        return module.kernel_size == (1, 1) and module.groups == 1
    return type(module) is nn.Linear


def _copied(backbone: Tunable) -> Tunable:
    """With modules of its own, which share the tensors."""
    return copy.deepcopy(backbone, {id(tensor): tensor for tensor in _tensors(backbone)})


def _tensors(backbone: Tunable) -> Iterator[Tensor]:
    for part in vars(backbone).values():
        if isinstance(part, nn.Module):
            yield from part.parameters()
            yield from part.buffers()
        elif isinstance(part, Tunable):
            yield from _tensors(part)

"""In what precision a transformer multiplies: in bfloat16 where the processor does that itself.

auto       bfloat16 on a CPU with AMX or AVX512-BF16, else float32
float32    the same figures on every machine, but for rounding
bfloat16   also where it is slow: what was prepared in it elsewhere is to be used here
"""

import torch

PRECISIONS = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}


def resolved_precision(precision: str | None, device: torch.device) -> torch.dtype:
    """The type of numbers to multiply in, by a name of PRECISIONS; None is "auto"."""
    chosen = PRECISIONS[precision or "auto"]
    if chosen is not None:
        return chosen
    return torch.bfloat16 if device.type == "cpu" and native_bfloat16() else torch.float32


def native_bfloat16() -> str | None:
    """What this CPU multiplies bfloat16 with, in a word; None where it has nothing for it."""
    # Older versions of torch have the one that is asked for and not the other.
    for name, feature in (
        ("AMX", "_is_amx_tile_supported"),
        ("AVX512-BF16", "_is_avx512_bf16_supported"),
    ):
        if getattr(torch.cpu, feature, bool)():
            return name
    return None

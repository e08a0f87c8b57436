"""Half precision where the processor computes in it: GPUs, and CPUs with bfloat16 units."""

from contextlib import AbstractContextManager

import torch


def native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 ones on a device."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bfloat16 where that is faster, else all in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=native_bfloat16(device))

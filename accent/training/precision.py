"""Precision of a training's multiplications: bfloat16 where the hardware has units for it, else float32."""

from typing import Literal

import torch

CPU_UNITS = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")  # x86: AMX, AVX-512; ARM: SVE, NEON


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; on others torch emulates it, at many times the cost."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(unit, False) for unit in CPU_UNITS)


def choose_precision(asked: str, device: torch.device) -> Literal["bfloat16", "float32"]:
    """The precision that `train.precision` asks for; `auto` is bfloat16 where the device has it, else float32.

    Where bfloat16 is asked for and has to be emulated, one line says what that costs.
    """
    native = has_bfloat16(device)
    if asked == "bfloat16" and not native:
        print(
            f"train.precision: bfloat16: this {device.type} emulates it, which took twelve times as long as float32 "
            "where it was measured. Set it to auto or float32",
            flush=True,
        )
    return "bfloat16" if asked == "bfloat16" or (asked == "auto" and native) else "float32"

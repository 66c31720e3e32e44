"""Options that make a network faster at the price of small deviations: precision, memory layout, compilation.

The reference, and what ``recon generate`` does by default, is float32, contiguous, uncompiled. ``benchmarks speed
prior`` prints what each option gains and how far its result lies from the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Precision = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Names of the precisions on the command line."""

AUTO = "auto"
"""In place of a name: bfloat16 where the device computes in it, else float32."""


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies numbers of bfloat16 itself; others would imitate it, slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # not before torch 2.10
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@dataclass(frozen=True)
class Acceleration:
    """How a network runs.

    Attributes:
        dtype: the precision of matrix products and convolutions, by autocast; norms and the result stay float32.
            float32 is exact.
        channels_last: weights in the layout that GPUs' bf16 convolutions want.
        compile: ``torch.compile``; the first call takes a minute or more, and each new size again.
    """

    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    compile: bool = False

    @classmethod
    def from_name(cls, name: str, device: torch.device, *, compile: bool = False) -> Acceleration:
        """For ``float32``, ``bfloat16``, ``float16``, or ``auto``: bfloat16 where the device computes in it.

        Channels-last goes with half precision on a GPU.

        Raises:
            ValueError: another name.
        """
        if name == AUTO:
            name = "bfloat16" if computes_in_bfloat16(device) else "float32"
        if name not in Precision:
            raise ValueError(f"no precision {name!r}; one of {', '.join(Precision)}")
        dtype = Precision[name]
        return cls(dtype, channels_last=device.type == "cuda" and dtype != torch.float32, compile=compile)

    def prepare(self, network: nn.Module) -> None:
        """Change the network in place, once, before its first call."""
        if self.channels_last:
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if self.compile:
            network.compile()

    def wrap(self, function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
        """The function under autocast, its result in float32; the function itself where nothing is asked for."""
        if self.dtype == torch.float32:
            return function

        def in_precision(*tensors: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype=self.dtype):
                return function(*tensors).float()

        return in_precision

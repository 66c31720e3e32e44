"""Operations counted: of one volume of a trained generator, and of the networks at their published size.

Convolutions and products of matrices are counted, two operations for each product that is added to a sum, as
torch.utils.flop_counter counts them. Sums, norms and activations are not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *rest: object, **further: object) -> int:
    """The operations of attention by the shapes of its inputs."""
    return int(sdpa_flop_count(query, key, value))


_ON_CPUS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
"""What torch counts by itself on GPUs alone."""


def counted(compute: Callable[[], object]) -> int:
    """The operations of what a function computes."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_ON_CPUS) as counter:
        compute()
    return int(counter.get_total_flops())


def counted_without_computing(build: Callable[[], nn.Module], call: Callable[[nn.Module], object]) -> tuple[int, int]:
    """The operations of a call of a network, and its parameters; nothing is computed and no memory is taken.

    Args:
        build: makes the network.
        call: calls it with tensors that it makes itself, whose values play no part.
    """
    with FakeTensorMode():  # shapes alone; unlike "meta", with a real device's kernels
        network = build().eval()
        return counted(lambda: call(network)), sum(parameter.numel() for parameter in network.parameters())


def zeros(*shape: int) -> Tensor:
    """An input of a counted call."""
    return torch.zeros(shape)

"""Operations counted: of one volume of a trained generator, and of the networks at their published size.

Convolutions and products of matrices are counted, two operations for each product that is added to a sum, as
torch.utils.flop_counter counts them. Sums, norms and activations are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: object, **further: object) -> int:
    """The operations of attention, which torch counts by itself on GPUs alone."""
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


_FORMULAS: dict[Any, Callable[..., Any]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


class _Counter(TorchDispatchMode):
    """Counts whatever is computed inside.

    torch's own FlopCounterMode also follows the modules, and fails where a parameter is the input of one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += int(formula(*args, **kwargs, out_val=out))
        return out


def counted(compute: Callable[[], object]) -> int:
    """The operations of what a function computes."""
    with torch.no_grad(), _Counter() as counter:
        compute()
    return counter.total


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

"""What the training loop asks of a network: its losses, who is optimised when, and what is kept of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from priors.training.batches import Sample

Losses = dict[str, Tensor]
"""Scalars by name; ``total`` is what is minimised."""


class Learner(nn.Module, ABC):
    """A network, or several, in training.

    ``forward`` computes the losses, so that a wrapper around the learner (DistributedDataParallel) sees every use of
    the parameters.
    """

    kind: ClassVar[str]
    """Kind of the weights file, such as ``biflownet``."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The network that is averaged, validated and written."""

    def phases(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Parameters by the name of their optimiser; one for most networks."""
        return {self.kind: [parameter for parameter in self.network().parameters() if parameter.requires_grad]}

    def phase(self, step: int) -> str:
        """Which optimiser works at a step."""
        return next(iter(self.phases()))

    def rate_factor(self, phase: str, step: int) -> float:
        """The learning rate of a phase's optimiser at a step over that of the recipe."""
        return 1.0

    @abstractmethod
    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        """The losses of one micro-batch in a phase."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds; a frozen base that lies in a file of its own is left out."""
        return self.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """The reverse of ``state``."""
        self.load_state_dict(dict(state), strict=True)

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """Configuration and notes for the weights file: keys ``config`` and ``extra``."""

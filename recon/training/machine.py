"""Where a training runs: processor, processes, nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from priors.training.recipe import Recipe
from recon.errors import InputError
from recon.run.devices import select_device


@dataclass(frozen=True)
class Machine:
    """Where a training runs.

    Attributes:
        accelerator: ``cpu`` or ``cuda``.
        devices: processes on this node, one for each GPU.
        nodes: nodes.
    """

    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1

    def fabric(self, recipe: Recipe) -> Fabric:
        """Lightning Fabric with its processes started."""
        many = self.devices * self.nodes > 1
        torch.backends.cudnn.benchmark = True  # crops have one size, for which it finds the quickest convolutions
        # Phases of a run (generator, discriminator) leave the other's parameters unused.
        strategy: Any = DDPStrategy(find_unused_parameters=True) if many else "auto"
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=strategy,
            precision=recipe.precision,
        )
        fabric.launch()
        return fabric


def find_machine(device: str = "auto", devices: int = 1, nodes: int = 1) -> Machine:
    """The machine that a training is to run on.

    Raises:
        InputError: a device, or a number of GPUs, that is not there.
    """
    place = select_device(device)
    if place.type == "cuda" and devices > torch.cuda.device_count():
        raise InputError(f"`devices` {devices}: this machine has {torch.cuda.device_count()} GPUs")
    return Machine(place.type, devices, nodes)

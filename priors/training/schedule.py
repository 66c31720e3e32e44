"""Learning rates over the steps, and the moving average of the weights."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from priors.training.recipe import EmaSettings, OptimizerSettings, ScheduleSettings


def learning_rate(step: int, steps: int, peak: float, settings: ScheduleSettings, elapsed: float = 0.0) -> float:
    """The rate of one step.

    Args:
        step: the step, counted from 0.
        steps: the steps of the whole run.
        peak: rate after the warm-up.
        settings: form of the decay.
        elapsed: share of the run's time that has passed, where it ends by time; the greater progress counts.
    """
    if step < settings.warmup:
        return peak * (step + 1) / settings.warmup
    progress = max((step - settings.warmup) / max(1, steps - settings.warmup), min(1.0, elapsed))
    if settings.name == "exponential":
        return float(peak * settings.end ** min(1.0, progress / settings.at))
    decay = {
        "constant": 1.0,
        "polynomial": (1 - progress) ** settings.power,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "step": float(progress < settings.at),
    }[settings.name]
    return peak * (settings.end + (1 - settings.end) * decay)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Put the rate into every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def make_optimizer(parameters: list[nn.Parameter], settings: OptimizerSettings) -> Optimizer:
    """The recipe's optimiser on the parameters."""
    lr, decay = settings.lr, settings.weight_decay
    if settings.name == "rmsprop":
        return RMSprop(parameters, lr=lr, weight_decay=decay)
    if settings.name == "sgd":
        return SGD(parameters, lr=lr, momentum=settings.momentum, weight_decay=decay)
    kind = Adam if settings.name == "adam" else AdamW
    return kind(parameters, lr=lr, betas=settings.betas, weight_decay=decay)


class Ema:
    """Exponential moving average of a network's parameters; buffers are copied.

    Args:
        network: followed from here on.
        settings: the settings of the schedule.
    """

    def __init__(self, network: nn.Module, settings: EmaSettings):
        self._settings = settings
        self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.decay))

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        if step % self._settings.every:
            return
        if step < self._settings.start:
            self._average.n_averaged.zero_()  # the next update copies
        self._average.update_parameters(network)

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        module: nn.Module = self._average.module
        return module

    def state(self) -> dict[str, object]:
        """For a checkpoint."""
        return self._average.state_dict()

    def load_state(self, state: dict[str, object]) -> None:
        """The reverse of ``state``."""
        self._average.load_state_dict(state)

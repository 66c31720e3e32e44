"""The one training loop, on Lightning Fabric: CPU, GPUs, several nodes; stops and resumes anywhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import Optimizer

from priors.training.activation import checkpoint_activations
from priors.training.batches import Sample, SampleSource, StepBatches, derived_seed
from priors.training.checkpoints import Checkpoints
from priors.training.learner import Learner
from priors.training.log import RunLog
from priors.training.recipe import Recipe
from priors.training.schedule import Ema, learning_rate, make_optimizer, set_learning_rate

_MOST_SKIPPED = 10
"""Steps in a row whose gradients may be other than finite: a few come of half precision, more of a broken run."""

SETTINGS_OF_A_RUN = ("seed", "batch", "network", "task", "optimizer", "schedule", "ema", "clip", "clip_value")
"""Settings of the recipe that a resumed run shares with its checkpoint. It may take more steps or minutes than were
planned, and compute in another precision, in other pieces or with other workers."""


@dataclass(frozen=True)
class Validated:
    """Figures of a validation, and pictures (rows, columns) in [0, 1] by name."""

    figures: Mapping[str, float]
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """After one step: what a progress bar shows.

    Attributes:
        step: steps done.
        steps: the steps of the whole run.
        losses: the losses by name.
        validated: the figures of the validation after this step; empty where there was none.
        samples_per_s: the samples per second over the last step, of all processes.
        memory_gb: most that torch held on the GPU, or what the process holds on the CPU.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    samples_per_s: float
    memory_gb: float
    validated: Mapping[str, float] = field(default_factory=dict)


class Stopped(Exception):  # noqa: N818  (not an error: the run was asked to stop and can go on)
    """The run was asked to stop; its checkpoint is written."""

    def __init__(self, step: int):
        super().__init__(f"stopped after {step} steps; the same command goes on from there")
        self.step = step


class Training:
    """One run: a learner, its optimisers and where it stands.

    Args:
        learner: the learner, on the CPU; Fabric moves it.
        recipe: the recipe of the run.
        source: the training set.
        folder: the folder for checkpoints and logs.
        fabric: launched; its precision is the recipe's.
        validate: takes the (averaged) network in eval mode; called on the first process only.
        identity: what a checkpoint must agree on to be resumed (kind, base, data); compared as it is, and so is what
            the recipe says of the network, its optimisation and its samples.
    """

    def __init__(
        self,
        learner: Learner,
        recipe: Recipe,
        source: SampleSource,
        folder: Path,
        fabric: Fabric,
        *,
        validate: Callable[[nn.Module], Validated] | None = None,
        identity: Mapping[str, str] | None = None,
    ):
        self.recipe, self.folder, self.fabric = recipe, folder, fabric
        self._learner, self._validate = learner, validate
        self._identity = {"kind": learner.kind} | dict(identity or {})
        self._batches = StepBatches(
            source, recipe.batch, recipe.accumulate, recipe.seed, fabric.global_rank, fabric.world_size
        )
        if recipe.activation_checkpointing:
            checkpoint_activations(learner)
        if recipe.channels_last:
            _lay_out_by_channels(learner)
        phases = learner.phases()
        optimizers = [make_optimizer(list(group), recipe.optimizer) for group in phases.values()]
        self._wrapped, *ready = fabric.setup(learner, *optimizers)
        self._optimizers: dict[str, Optimizer] = dict(zip(phases, ready, strict=True))
        self._ema = Ema(learner.network(), recipe.ema) if recipe.ema else None
        self._checkpoints = Checkpoints(folder / "checkpoints", recipe.checkpoints.keep)
        self.step = 0
        self._clock = time.process_time if recipe.clock == "processor" else time.perf_counter
        self._seconds = 0.0
        self._skipped = 0  # steps in a row
        self.best: float | None = None

    @property
    def network(self) -> nn.Module:
        """What is validated and written: the average where there is one."""
        return self._ema.network if self._ema else self._learner.network()

    @property
    def seconds(self) -> float:
        """The seconds, by the recipe's clock, that the run has trained and validated, in all sessions together."""
        return self._seconds

    def resume(self) -> int:
        """Go on from the newest checkpoint, if there is one; returns the steps that are done.

        Raises:
            ValueError: the checkpoint is damaged, or belongs to another network, base, data set or recipe.
        """
        if self.fabric.is_global_zero:
            self._checkpoints.sweep()
        state = self._checkpoints.load_latest()
        if state is not None:
            self._check_identity(state["identity"])
            self._check_recipe(state.get("recipe", {}))
            self.restore(state)
        return self.step

    def _check_identity(self, before: Mapping[str, str]) -> None:
        """``ValueError`` where a checkpoint is of another network, base or data set."""
        for key, value in self._identity.items():
            if before.get(key) != value:
                raise ValueError(
                    f"{self.folder}: its checkpoint has {key} {before.get(key)}, this run {value}; use another `out`"
                )

    def _check_recipe(self, before: Mapping[str, Any]) -> None:
        """``ValueError`` where a checkpoint was trained with other settings; see ``SETTINGS_OF_A_RUN``."""
        now = self.recipe.model_dump(mode="json")
        for key in SETTINGS_OF_A_RUN:
            other = _difference(key, before.get(key), now[key])
            if other:
                raise ValueError(
                    f"{self.folder}: its checkpoint was trained with {other}; use another `out`, which may begin with "
                    "these weights as `warm_start`"
                )

    def run(self, on_step: Callable[[Progress], None] | None = None) -> None:
        """Train to the recipe's last step, or to the end of its time.

        Raises:
            Stopped: SIGTERM or SIGINT came; a checkpoint was written first.
            ValueError: a loss is not finite, or a checkpoint cannot be written.
        """
        log = RunLog(self.folder, self.step) if self.fabric.is_global_zero else None
        try:
            with _stop_signals() as stop_asked:
                self._steps(log, on_step or (lambda _: None), stop_asked)
        finally:
            if log:
                log.close()

    def _steps(self, log: RunLog | None, on_step: Callable[[Progress], None], stop_asked: Callable[[], bool]) -> None:
        pieces = iter(self._batches.loader(self.step, self.recipe.steps, self.recipe.workers))
        while not self._done():
            started, clock = time.perf_counter(), self._clock()
            losses, rate = self._one_step(pieces)
            self.step += 1
            progress = Progress(
                self.step,
                self.recipe.steps,
                losses,
                self.recipe.batch / (time.perf_counter() - started),
                _memory_gb(self.fabric.device),
            )
            if log:
                phase = self._learner.phase(self.step - 1)
                figures = {**losses, "lr": rate, "samples_per_s": progress.samples_per_s}
                log.row(f"train-{phase}", self.step - 1, figures)
            self._seconds += self._clock() - clock
            validated = self._validate_if_due(log)
            if log:
                on_step(replace(progress, validated=validated))
            self._save_if_due(log, self._agreed(stop_asked()))

    @property
    def _elapsed(self) -> float:
        """Share of the run's time that has passed; 0 where it ends by steps alone."""
        return self._seconds / (60 * self.recipe.minutes) if self.recipe.minutes else 0.0

    def _done(self) -> bool:
        return self.step >= self.recipe.steps or self._agreed(self._elapsed >= 1)

    def _one_step(self, pieces: Iterator[Sample]) -> tuple[dict[str, float], float]:
        """Optimise once; the losses, averaged over the micro-batches, and the learning rate."""
        phase = self._learner.phase(self.step)
        optimizer = self._optimizers[phase]
        settings, peak = self.recipe.schedule, self.recipe.optimizer.lr * self._learner.rate_factor(phase, self.step)
        rate = learning_rate(self.step, self.recipe.steps, peak, settings, self._elapsed)
        set_learning_rate(optimizer, rate)
        self._learner.train()
        # What a network draws by itself (dropout, code restarts) must not depend on what was drawn before.
        torch.manual_seed(derived_seed(self.recipe.seed, "step", self.step, self.fabric.global_rank))
        optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for piece in range(self.recipe.accumulate):
            batch = self.fabric.to_device(next(pieces))
            last = piece == self.recipe.accumulate - 1
            with self.fabric.no_backward_sync(self._wrapped, enabled=not last):
                losses = self._wrapped(batch, phase, self.step)
                self.fabric.backward(losses["total"] / self.recipe.accumulate)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / self.recipe.accumulate
        sums = self._over_processes(sums)
        self._check_finite(sums)
        if self._clipped(optimizer):
            optimizer.step()
            if self._ema:
                self._ema.update(self._learner.network(), self.step + 1)
        return sums, rate

    def _clipped(self, optimizer: Optimizer) -> bool:
        """Hold the gradients within the recipe's limits; False where their norm is not finite: no step is taken then.

        Raises:
            ValueError: too many such steps in a row.
        """
        if self.recipe.clip:
            limit = self.recipe.clip
            norm = self.fabric.clip_gradients(self._wrapped, optimizer, max_norm=limit, error_if_nonfinite=False)
            self._skipped = 0 if norm is None or bool(torch.isfinite(norm)) else self._skipped + 1
        if self.recipe.clip_value:
            self.fabric.clip_gradients(self._wrapped, optimizer, clip_val=self.recipe.clip_value)
        if self._skipped > _MOST_SKIPPED:
            raise ValueError(
                f"step {self.step}: gradients were not finite {self._skipped} times in a row; take "
                "precision=32-true and go on from the last checkpoint, or begin anew with a lower optimizer.lr"
            )
        return not self._skipped

    def _over_processes(self, losses: dict[str, float]) -> dict[str, float]:
        """The mean over all processes, so that what is logged is the loss of the whole batch."""
        if self.fabric.world_size == 1:
            return losses
        values = torch.tensor(list(losses.values()), dtype=torch.float64, device=self.fabric.device)
        reduced = self.fabric.all_reduce(values, reduce_op="mean")
        assert isinstance(reduced, torch.Tensor)
        return dict(zip(losses, reduced.tolist(), strict=True))

    def _check_finite(self, losses: Mapping[str, float]) -> None:
        bad = [name for name, value in losses.items() if not np.isfinite(value)]
        if bad:
            raise ValueError(
                f"step {self.step}: loss {', '.join(bad)} is not finite; lower optimizer.lr or set clip, "
                "and begin anew in another `out`"
            )

    def _validate_if_due(self, log: RunLog | None) -> Mapping[str, float]:
        """The figures of a validation where it is time for one; empty elsewhere, and on other processes."""
        if not self._validate or not (self._done() or self.step % self.recipe.validation.every == 0):
            return {}
        started = time.perf_counter()
        figures = self._validation(log)
        self._seconds += time.perf_counter() - started
        return figures

    def _save_if_due(self, log: RunLog | None, stop: bool) -> None:
        """Write a checkpoint where it is time, or where the run shall stop."""
        done = self._done()  # a validation takes time too
        if done or stop or self.step % self.recipe.checkpoints.every == 0:
            self._save(log)
        if stop and not done:
            raise Stopped(self.step)

    def _validation(self, log: RunLog | None) -> Mapping[str, float]:
        assert self._validate is not None
        figures: Mapping[str, float] = {}
        if log:
            self.network.eval()
            with torch.no_grad():
                result = self._validate(self.network)
            log.row("validation", self.step, result.figures)
            for name, picture in result.pictures.items():
                log.picture(name, self.step, picture)
            self._keep_best(result.figures)
            figures = result.figures
        self.fabric.barrier()
        return figures

    def _keep_best(self, figures: Mapping[str, float]) -> None:
        settings = self.recipe.validation
        value = figures.get(settings.metric)
        if value is None:
            raise ValueError(f"validation.metric {settings.metric}: not measured; there are {', '.join(figures)}")
        if not np.isfinite(value):
            return  # what is no number is never the best
        sign = 1 if settings.higher_is_better else -1
        if self.best is None or sign * value > sign * self.best:
            self.best = value
            self._checkpoints.save_best(self._state())

    def _save(self, log: RunLog | None) -> None:
        if log:
            log.flush()
            self._checkpoints.save(self._state(), self.step)
        self.fabric.barrier()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self._seconds,
            "best": self.best,
            "identity": self._identity,
            "recipe": self.recipe.model_dump(mode="json"),
            "learner": self._learner.state(),
            "ema": self._ema.state() if self._ema else None,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where a checkpoint was written.

        Raises:
            ValueError: it belongs to another network, base or data set.
        """
        self._check_identity(state["identity"])
        try:
            self._learner.load_state(state["learner"])
        except RuntimeError as error:
            first = " ".join(str(error).split())
            raise ValueError(f"{self.folder}: its checkpoint is of another network: {first[:200]}") from error
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self._ema and state["ema"]:
            self._ema.load_state(state["ema"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.step, self.best, self._seconds = state["step"], state["best"], state.get("seconds", 0.0)

    def _agreed(self, asked: bool) -> bool:
        """True on every process where it is on any, so that all stop after the same step."""
        if self.fabric.world_size == 1:
            return asked
        total = self.fabric.all_reduce(torch.tensor(float(asked), device=self.fabric.device), reduce_op="sum")
        return bool(total)


def _difference(key: str, before: Any, now: Any) -> str:
    """The first value that two settings differ in, in words; "" where they are equal."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = dict.fromkeys([*before, *now])
        inner = (_difference(f"{key}.{name}", before.get(name), now.get(name)) for name in names)
        return next(filter(None, inner), "")
    return "" if before == now else f"{key} {before}, and this run has {now}"


def _lay_out_by_channels(network: nn.Module) -> None:
    """Channels last in every convolution's weights; activations follow."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])


def _memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e9


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Note SIGTERM and SIGINT instead of dying of them; yields whether one came."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: signals are somebody else's
        yield lambda: False
        return
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

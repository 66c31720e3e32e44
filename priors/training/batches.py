"""Batches that are a pure function of the seed and the step, so that a run can stop and go on anywhere.

Which items a step takes, and every random number drawn for a sample, follow from (seed, step, place in the batch).
Nothing depends on how many processes or workers there are, or on what was drawn before.
"""

from __future__ import annotations

import hashlib
import signal
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

Sample = dict[str, Tensor]


class SampleSource(Protocol):
    """A training set. Samples of one batch have tensors of equal shapes."""

    def __len__(self) -> int:
        """Items of one epoch."""

    def sample(self, item: int, seed: int) -> Sample:
        """One item, cropped and augmented with random numbers that follow from the seed alone."""


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed that follows from its parts and nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class StepBatches(Dataset[Sample]):
    """Map a micro-batch number (step · accumulate + piece) to this process' samples of it.

    Each sample carries its own ``seed`` (int64), from which the learner draws noise and time steps.

    Args:
        source: the training set.
        batch: samples of a step over all processes.
        accumulate: micro-batches of a step.
        seed: the seed of the run.
        rank: the rank of this process.
        world: number of processes.

    Raises:
        ValueError: the batch cannot be divided evenly, or the set is empty.
    """

    def __init__(self, source: SampleSource, batch: int, accumulate: int, seed: int, rank: int = 0, world: int = 1):
        if len(source) == 0:
            raise ValueError("the training set is empty")
        if batch % (accumulate * world):
            raise ValueError(
                f"batch {batch} cannot be shared by {world} processes with accumulate {accumulate}; "
                f"take a multiple of {accumulate * world}"
            )
        self._source, self._batch, self._accumulate, self._seed = source, batch, accumulate, seed
        self._micro = batch // (accumulate * world)
        self._offset = rank * (batch // world)

    def __getitem__(self, number: int) -> Sample:
        step, piece = divmod(number, self._accumulate)
        first = self._offset + piece * self._micro
        return default_collate([self._sample(step, first + place) for place in range(self._micro)])

    def _sample(self, step: int, place: int) -> Sample:
        epoch, position = divmod(step * self._batch + place, len(self._source))
        item = _order(len(self._source), derived_seed(self._seed, "epoch", epoch))[position]
        seed = derived_seed(self._seed, step, place)
        return self._source.sample(item, seed) | {"seed": torch.tensor(seed)}

    def loader(self, start_step: int, steps: int, workers: int) -> DataLoader[Sample]:
        """Micro-batches from ``start_step`` to the end of the run, read ahead by worker processes."""
        numbers = range(start_step * self._accumulate, steps * self._accumulate)
        pin = torch.cuda.is_available()
        return DataLoader(
            self,
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            pin_memory=pin,
            worker_init_fn=_leave_interrupts_to_the_parent,
        )


def _leave_interrupts_to_the_parent(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the run still needs its readers to finish the step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=4)
def _order(count: int, seed: int) -> tuple[int, ...]:
    """The order of the items in one epoch."""
    return tuple(torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist())


def generators(seeds: Tensor, device: torch.device) -> list[torch.Generator]:
    """One random generator a sample, for what the learner draws itself.

    Args:
        seeds: (B,) int64, the batch's ``seed``.
        device: the device on which the numbers are drawn.
    """
    return [torch.Generator(device).manual_seed(int(seed)) for seed in seeds]

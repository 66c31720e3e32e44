"""The synthetic volumes of all masks, made by a head as ``recon generate --mask`` makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.downstream.folds import Member
from benchmarks.downstream.segmentation_cases import identity, synthetic_file
from benchmarks.generation.cells import key_of
from datasets.case import Case
from priors.diffusion.anatomy import Anatomy, find_class
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.networks.inference import Acceleration
from recon.diffusion.mask_hint import classes_of, with_body
from recon.errors import InputError
from recon.generation.files import output_files, save_volumes
from recon.generation.mask import MaskCondition, MaskHead, check_labels, conditioned
from recon.generation.request import Request, check_request
from recon.io.cases import read_case, read_segmentation
from recon.run.memory import memory_errors
from recon.scan.body_mask import body_mask
from recon.scan.label_map import LabelMap
from recon.scan.volume import Volume

STEPS = 20
SAMPLING = Sampling(steps=STEPS)
"""How volumes are sampled."""


@dataclass(frozen=True)
class HeadVolumes:
    """Synthetic volumes that a head makes, one for each mask.

    Attributes:
        head: the head with its prior, on the device that computes.
        folder: the folder of all synthetic volumes of a run; each head and data set has one of its own in it.
    """

    head: MaskHead
    folder: Path

    def own_folder(self, members: Sequence[Member]) -> Path:
        """The folder of this head's volumes of these masks; other weights, sampling or data make others."""
        sampling = [SAMPLING.sampler, SAMPLING.steps, SAMPLING.start]
        key = key_of(self.head.sha256, sampling, [identity(each.case) for each in members])
        return self.folder / f"synthetic-{key[:16]}"

    def make(self, members: Sequence[Member], announce: Callable[[str], None]) -> Path:
        """Make the volumes that are missing, each with the seed of its case's number; returns their folder.

        Raises:
            InputError: a segmentation that the head cannot be shown.
        """
        folder = self.own_folder(members)
        missing = [each for each in members if not synthetic_file(folder, each.case).is_file()]
        if missing:
            announce(f"synthetic volumes: {len(members) - len(missing)} of {len(members)} are there")
        with memory_errors():
            for member in missing:
                self._make(member, folder)
                announce(f"synthetic volume of mask {member.number} made")
        return folder

    def _make(self, member: Member, folder: Path) -> None:
        condition = condition_of(self.head, member.case)
        request = Request(
            self._anatomy,
            condition.grown_size(self.head.prior),
            condition.spacing,
            SAMPLING,
            (member.number,),
            mask=condition,
        )
        check_request(LatentGenerator(self.head.prior), request)
        file = synthetic_file(folder, member.case)
        file.parent.mkdir(parents=True, exist_ok=True)
        files = output_files(file, request.seeds, preview=False, mask=True)
        save_volumes(conditioned(self.head, condition), request, files, Acceleration(), overwrite=True)

    @property
    def _anatomy(self) -> Anatomy:
        """The class that the head was trained on; of a head that does not say it, the prior's usual one."""
        if self.head.classes:
            return find_class(next(iter(self.head.classes)), self.head.prior.anatomies)
        usual = self.head.prior.default_class("CT")
        return next(each for each in self.head.prior.anatomies if each.index == usual)


def condition_of(head: MaskHead, case: Case) -> MaskCondition:
    """The segmentation of a case as a head is shown it, with the outline of the body where the head is told that.

    Raises:
        InputError: no CT volume, or labels that the head does not know.
    """
    volume = read_case(case)
    if not isinstance(volume, Volume):
        raise InputError(f"{case.path}: no volume")
    labels = read_segmentation(case, volume)
    if head.task.body is not None:
        labels = _with_body(labels, volume, head)
    check_labels(labels, head.task, case.path)
    return MaskCondition(labels, head.task, head_sha256=head.sha256)


def _with_body(labels: LabelMap, volume: Volume, head: MaskHead) -> LabelMap:
    task = head.task
    assert task.body is not None
    indices = with_body(classes_of(labels.data, task), body_mask(volume.data), task)
    outline = (indices == task.numbers.index(task.body)) & (labels.data == 0)
    return replace(labels, data=torch.where(outline, task.body, labels.data).to(torch.uint8))

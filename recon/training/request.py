"""What a training is asked for: one value that is complete and that the network has a use for, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from priors.training.one_run import is_run
from priors.training.recipe import Recipe
from priors.weights.card import read_card
from recon.errors import InputError, input_errors
from recon.learned.mask_task import GENERATES, MaskTask, is_mask_task
from recon.learned.task import Task, task_from_dict
from recon.training.own_classes import check_names
from recon.training.registry import MODALITIES, Extra, TrainingKind, find_training, takers
from recon.training.settings.parse import parse_task
from recon.training.sources import DataPart


@dataclass(frozen=True)
class Request:
    """What is to be trained, on what.

    Attributes:
        network: the kind of network, a key of :data:`recon.training.registry.TRAININGS`.
        recipe: the recipe; its task section is checked against the network's settings.
        parts: the data sets.
        out: the folder of the run; an unfinished run in it is continued.
        cache: the folder for what is computed once.
        base: the folder of the prior that the network builds upon.
        warm_start: the file of the initial weights.
        stage: the stage of the autoencoder's training, 1 or 2.
        task: what a head or a method learns to undo; a refiner has its head's.
        head: the file of the head whose samples a refiner learns from.
        mask: the labels that a head for segmentations is shown; it takes the place of a task.
        classes: the classes that the training names itself, in the order of their indices; none for those of the
            released networks.
        licence: the licence that is written into the weights file.
        name: the name of the recipe, for the card.

    Raises:
        InputError: an unknown network, a task that is missing or not for it, or something that has no effect on it.
    """

    network: str
    recipe: Recipe
    parts: list[DataPart]
    out: Path
    cache: Path
    base: Path | None = None
    warm_start: Path | None = None
    stage: int = 1
    task: Task | None = None
    head: Path | None = None
    mask: MaskTask | None = None
    classes: tuple[str, ...] = ()
    licence: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        kind = find_training(self.network)
        self._check_extra(kind, "base", self.base is not None)
        self._check_extra(kind, "head", self.head is not None)
        self._check_extra(kind, "stage", self.stage != 1)
        self._check_extra(kind, "classes", bool(self.classes))
        self._check_classes(kind)
        if self.stage not in (1, 2):
            raise InputError(f"`stage` {self.stage}: must be 1 or 2")
        if "head" in kind.takes and self.head is None:
            raise InputError("`head`: name the head whose samples the refiner shall learn from")
        self._check_task(kind)
        self._check_conditions(parse_task(kind.settings_class(), self.recipe.task).model_dump().get("conditions"))

    @cached_property
    def learned_task(self) -> Task | None:
        """The task, for a refiner that of its head.

        Raises:
            InputError: a file that is no head.
        """
        return self.task if self.head is None else task_of_head(self.head)

    def _check_extra(self, kind: TrainingKind, extra: Extra, given: bool) -> None:
        if given and extra not in kind.takes:
            raise InputError(f"`{extra}`: has no effect on {self.network}; it is for {', '.join(takers(extra))}")

    def _check_classes(self, kind: TrainingKind) -> None:
        if kind.needs_classes and not self.classes:
            raise InputError(
                f"`classes`: name the classes that {self.network} shall tell apart, such as abnormal,normal"
            )
        check_names(self.classes)
        if any(part.own_classes != self.classes for part in self.parts):
            raise InputError("`classes`: the data sets were read for other classes")

    def _check_task(self, kind: TrainingKind) -> None:
        if self.mask is not None:
            if "mask" not in kind.tasks:
                raise InputError(f"`task` mask: {self.network} cannot be shown segmentations; controlnet can")
            if self.task is not None:
                raise InputError("`mask`: a head learns a task of scans or is shown segmentations, not both")
        elif self.task is None:
            if kind.tasks:
                wanted = " or ".join(kind.tasks)
                raise InputError(f"`task`: say what {self.network} shall learn to undo, {wanted}")
        else:
            self._check_task_of_scans(kind, self.task)

    def _check_task_of_scans(self, kind: TrainingKind, task: Task) -> None:
        if not kind.tasks:
            whose = "the head says what a refiner is for" if self.head else f"{self.network} learns no task"
            raise InputError(f"`task`: {whose}; leave it away")
        modalities = [MODALITIES[name] for name in kind.tasks]
        if task.modality not in modalities:
            raise InputError(f"`task`: {self.network} is for {modalities[0]}, this task for {task.modality}")
        if task.reference and "reference" not in kind.takes:
            raise InputError(
                f"`reference`: has no effect on {self.network}; it is for {', '.join(takers('reference'))}"
            )

    def _check_conditions(self, of_recipe: tuple[str, ...] | None) -> None:
        """The recipe's own conditions, where it has some, are the task's."""
        if of_recipe and self.task is not None and tuple(of_recipe) != tuple(self.task.conditions):
            raise InputError(
                f"recipe: task.conditions {', '.join(of_recipe)}: the task shows {', '.join(self.task.conditions)}"
            )


def task_of_head(head: Path) -> Task:
    """The task that a head was trained for.

    Raises:
        InputError: no weights file of a head.
    """
    with input_errors("`head`"):
        card = read_card(head)
        if card.kind != "controlnet":
            raise ValueError(f"{head}: weights of kind {card.kind}, where a ControlNet head is wanted")
        if is_mask_task(card.config["task"]):
            raise ValueError(f"{head}: {GENERATES}, so that nothing is to be refined")
    return task_from_dict(card.config["task"])


def check_out(out: Path, network: str) -> None:
    """Refuse a folder that holds something else than a run.

    Raises:
        InputError: a file, or a folder with other things in it.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"`out` {out}: a file; a folder is wanted")
    if out.is_dir() and any(out.iterdir()) and not is_run(out):
        raise InputError(f"`out` {out}: not empty, and no training run of {network} to go on with; name another folder")

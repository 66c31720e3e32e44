"""The training of BiFlowNets of a few sampling steps, from one of many."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from priors.diffusion.anatomy import ANATOMIES, CLASSES
from priors.diffusion.distilled import Distilled
from priors.diffusion.patch_volume import PatchVolumePrior, load_patch_volume
from priors.networks.biflownet import BiFlowNet
from priors.networks.biflownet_config import Prediction
from priors.training.distillation import DistillationLearner
from priors.training.distillation_stages import Schedule, plan_stages
from priors.weights.store import BIFLOWNET
from recon.errors import InputError, input_errors
from recon.training.base_prior import check_crop, encoding_of, in_folder
from recon.training.distilled_validation import Comparison, DistilledValidation
from recon.training.generators.cube_workshop import with_cubes
from recon.training.own_classes import class_facts
from recon.training.settings.distilled import DistilledTask
from recon.training.settings.parse import parse_task
from recon.training.sources import TrainingVolume
from recon.training.starts import StartedLatents, Starts
from recon.training.workshop import Ingredients, Workshop

USUAL_TEACHER_STEPS = 64
"""Steps of a teacher that was not distilled itself."""


def build_distilled(given: Ingredients) -> Workshop:
    """A student of a trained prior.

    Raises:
        InputError: no prior, a prior that is told age and sex, numbers of steps that do not fit, other classes than the
            prior's, or settings that have no effect here.
    """
    settings = parse_task(DistilledTask, given.recipe.task)
    _refuse_without_effect(given)
    in_folder(given.base, BIFLOWNET)
    assert given.base is not None
    with input_errors("`base`"):
        base = load_patch_volume(given.base)
    if base.biflownet.config.patient:
        raise InputError(
            "`base`: this prior is told age and sex, which a student does not learn; take one without them"
        )
    check_crop(settings, base.biflownet)
    _check_classes(given, base)
    facts, starts = _distilled(given, settings, base), _starts(settings, base)
    student = student_of(base.biflownet, _prediction(given, settings, base, starts))
    schedule = _schedule(given, settings, facts, converts=student.config.prediction != base.biflownet.config.prediction)
    given = with_cubes(given, settings.cubes)
    source = _source(given, settings, base, starts)
    learner = DistillationLearner(
        student,
        copy.deepcopy(base.biflownet),
        base.diffusion,
        schedule,
        facts,
        settings.loss,
        base.latent_limit,
    )
    compared = Comparison(base, source, settings.steps, facts.teacher_steps, given.recipe.validation.cases)
    identity = {"base": facts.teacher, "autoencoder": base.sha256["autoencoder.safetensors"]}
    return Workshop(
        learner,
        source,
        DistilledValidation(compared),
        identity,
        {"autoencoder": identity["autoencoder"]} | _facts(given.train, settings, base),
    )


def student_of(teacher: BiFlowNet, prediction: Prediction) -> BiFlowNet:
    """A network with a teacher's weights whose output is taken for a prediction, whatever the teacher's is."""
    student = BiFlowNet(replace(teacher.config, prediction=prediction))
    student.load_state_dict(teacher.state_dict())
    return student


def _refuse_without_effect(given: Ingredients) -> None:
    if given.warm_start is not None:
        raise InputError("`warm_start`: has no effect on distilled; a student begins with its teacher's weights")
    if given.recipe.network:
        raise InputError(f"recipe: network.{next(iter(given.recipe.network))}: a student has its teacher's sizes")
    if given.recipe.minutes is not None:
        raise InputError("recipe: minutes: the stages of a distillation are counted in steps; leave it away")


def _check_classes(given: Ingredients, base: PatchVolumePrior) -> None:
    """Refuse data of other classes than the prior's."""
    own = () if base.anatomies == CLASSES else tuple(each.name for each in base.anatomies)
    if given.classes != own:
        wanted = f"are {','.join(own)}; name these" if own else "are those of recon generate; leave it away"
        raise InputError(f"`classes`: the classes of the prior {wanted}")
    for index in sorted({each.class_index for each in given.train}):
        with input_errors(f"`class` {base.anatomies[index].name}"):
            base.check_class(base.anatomies[index])


def _distilled(given: Ingredients, settings: DistilledTask, base: PatchVolumePrior) -> Distilled:
    """The student's and the teacher's numbers of steps; a distilled teacher has its own."""
    wanted, own = settings.teacher_steps, base.distilled.steps if base.distilled else None
    if own is not None and wanted not in (None, own):
        given.announce(f"task.teacher_steps is {own}, for which the prior was distilled itself, not {wanted}")
    teacher_steps = own or wanted or USUAL_TEACHER_STEPS
    if teacher_steps > base.diffusion.timesteps:
        raise InputError(
            f"recipe: task.teacher_steps {teacher_steps}: the prior's diffusion has {base.diffusion.timesteps}"
        )
    return Distilled(settings.steps, teacher_steps, base.sha256[BIFLOWNET])


def _starts(settings: DistilledTask, base: PatchVolumePrior) -> Starts:
    known = base.averages if settings.start == "average" else {}
    averages = {each.index: known[each.name] for each in base.anatomies if each.name in known}
    return Starts(averages, base.diffusion.timesteps)


def _prediction(given: Ingredients, settings: DistilledTask, base: PatchVolumePrior, starts: Starts) -> Prediction:
    """What the student estimates.

    Raises:
        InputError: noise, which says nothing of the image where sampling begins from noise alone.
    """
    teacher = base.biflownet.config.prediction
    from_averages = all(each.class_index in starts.averages for each in given.train)
    if settings.prediction is None:
        return teacher if from_averages else "velocity"
    if settings.prediction == "noise" and not from_averages:
        raise InputError(
            "recipe: task.prediction noise: says nothing of the image where sampling begins from noise alone; take "
            "velocity"
        )
    return settings.prediction


def _schedule(given: Ingredients, settings: DistilledTask, facts: Distilled, *, converts: bool) -> Schedule:
    try:
        stages = plan_stages(facts.teacher_steps, facts.steps, settings.ratio, converts=converts)
    except ValueError as error:
        raise InputError(f"recipe: task.{str(error).replace('`', '')}") from error
    with input_errors("recipe: steps"):
        schedule = Schedule(stages, given.recipe.steps)
    words = ", ".join(f"{each.teacher_steps} to {each.steps}" for each in stages)
    given.announce(f"{len(stages)} stages, from the teacher's steps to the student's: {words}")
    return schedule


def _source(given: Ingredients, settings: DistilledTask, base: PatchVolumePrior, starts: Starts) -> StartedLatents:
    encoding = encoding_of(given, settings)
    flips = (False, True) if settings.mirror else (False,)
    given.announce(f"encoding {len(given.train)} volumes")
    stored = [
        encoding.volume_latent(each.volume, each.class_index, flip=flip) for each in given.train for flip in flips
    ]
    with input_errors("recipe: task.crop"):
        return StartedLatents(stored, settings.crop, base.channels, settings.per_volume, starts)


def _facts(volumes: Sequence[TrainingVolume], settings: DistilledTask, base: PatchVolumePrior) -> dict[str, Any]:
    """What the card says of the classes that were distilled, as that of the teacher does; of others, nothing."""
    names = sorted({base.anatomies[each.class_index].name for each in volumes})
    spacings = {
        name: np.median([v.volume.spacing for v in volumes if base.anatomies[v.class_index].name == name], 0).tolist()
        for name in names
    }
    facts: dict[str, Any] = {"classes": {name: list(base.classes.get(name, spacings[name])) for name in names}}
    if base.size is not None:
        facts["size"] = list(base.size)
    if settings.start == "average":
        facts["averages"] = {name: each.to_dict() for name, each in base.averages.items() if name in names}
    if base.anatomies != CLASSES:
        facts[ANATOMIES] = class_facts(base.anatomies)
    return facts

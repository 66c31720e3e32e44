"""ControlNet heads on the latent diffusion prior, and the paper's way to reconstruct (3D MedDiffusion, section III-C).

The head is shown images made from the measurement, encoded patch by patch as in training; one latent is sampled and
decoded. The measurement is not consulted again; :mod:`recon.diffusion.head_reconstruction` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from priors.diffusion.latent_sampling import sample_latents
from priors.diffusion.load import load_prior, prior_with_base
from priors.diffusion.prior import LatentPrior
from priors.diffusion.samplers import OnStep
from priors.networks.controlnet import AttachedHead, ControlNet
from priors.networks.inference import AUTO
from priors.weights.card import read_card
from priors.weights.networks import load_controlnet
from priors.weights.store import entries, find_prior
from recon.acquisition.network_scale import network_scale
from recon.diffusion.calibration import Calibrations
from recon.errors import InputError, input_errors
from recon.learned.refiner import Refiner, load_refiner
from recon.learned.task import Task, task_from_dict
from recon.learned.trained import check_task
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Protocol, Reconstruction, RunContext
from recon.scan.padding import centre, pad_to_multiple
from recon.scan.volume import Modality

ROUNDS: dict[Modality, int] = {"CT": 5, "MR": 4}
"""Turns of refiner and data step, chosen on validation cases; a sixth still gains on CT, and takes its time."""


class HeadOptions(Options):
    """Options of ``meddiffusion``."""

    weights: str = setting(
        "", "weights file (.safetensors) of a ControlNet head; empty: an installed one for this scan"
    )
    prior: str = setting("", "prior that the head was trained on, a name or folder; empty: the one with its hash")
    refiner: str = setting(
        "", "refiner of the samples, a file, or none; empty: the one made for the head", needs=("mode", "full")
    )
    mode: Literal["full", "paper"] = setting(
        "full", "full: samples change the best image shown, and agree with the data; paper: samples are the result"
    )
    steps: int = setting(20, "steps of the sampler over the whole diffusion; a warm start runs its share", ge=1)
    sampler: Literal["ddim", "ddpm", "dpm++"] = setting("ddim", "sampler of the reverse diffusion")
    samples: int = setting(
        1, "number of volumes that are sampled and averaged; several also give a standard deviation", ge=1
    )
    strength: float = setting(1.0, "factor on what the head adds; 1 as trained")
    start: float = setting(
        0.2,
        "share of the diffusion that is run, from the best image shown; 1: from noise",
        gt=0,
        le=1,
        needs=("mode", "full"),
    )
    detail: bool = setting(
        True,
        "whether to keep what the autoencoder loses of the best image shown, where there is no refiner",
        needs=("mode", "full"),
    )
    gain: float = setting(1.0, "factor on what a sample changes", needs=("mode", "full"))
    rounds: int | None = setting(
        None,
        "largest number of turns of refiner and data step; they end where the data take back a change; "
        f"auto: {ROUNDS['CT']} for CT, {ROUNDS['MR']} for MR",
        ge=1,
        needs=("mode", "full"),
    )
    agree: bool = setting(True, "whether the result shall agree with the data", needs=("mode", "full"))
    within: int = setting(
        0,
        "number of sampler steps after which a sample shall agree with the data too; 0: at the end alone",
        ge=0,
        needs=("mode", "full"),
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        AUTO,
        "floating-point precision of the networks; auto: bfloat16 where the processor computes in it",
        needs=("mode", "full"),
    )
    anatomy: int = setting(-1, "class index as in recon generate; -1: by modality", ge=-1)
    allow_other: bool = setting(
        False, "whether to use the head for a geometry, mask or prior that it was not trained for"
    )

    @property
    def full_steps(self) -> int:
        """Steps of the sampler in ``full``: the share of the diffusion that is run."""
        return max(1, round(self.steps * self.start))


@dataclass(frozen=True)
class Head:
    """A head with what belongs to it.

    Attributes:
        network: the head.
        prior: that it was trained on.
        task: the task that it was trained for.
        sha256: of its tensors.
        calibrations: what its samples' spread means, if known.
        refiner: made for its samples, if there is one and it is wanted.
    """

    network: ControlNet
    prior: LatentPrior
    task: Task
    sha256: str
    calibrations: Calibrations | None = None
    refiner: Refiner | None = None

    @property
    def weights(self) -> dict[str, str]:
        """Hash of each network by name."""
        refiner = {"refiner": self.refiner.sha256} if self.refiner else {}
        return {"head": self.sha256, **refiner, **self.prior.sha256}


def load_head(options: HeadOptions, scan: Measurement | Protocol, modality: Modality) -> Head:
    """Load a head and its prior, and check that the scan is of the kind that the head was trained for.

    Args:
        options: which head, on which prior.
        scan: the scan, or what is known of it before it is measured.
        modality: of the scan.

    Raises:
        InputError: no head, a damaged one, another prior, or a scan that it was not trained for; the line names a way
            out.
    """
    path = Path(options.weights) if options.weights else installed_head(scan, modality)
    with input_errors("`weights`"):
        network = load_controlnet(path).eval()
    task = task_from_dict(network.config.task)
    check_task(task, scan, modality, path, options.allow_other)
    with input_errors("`prior`"):
        prior = prior_of(network, options.prior)
        card = read_card(path)
        values = card.extra.get("calibration")
        calibrations = None if values is None else Calibrations.from_dict(values)
    refiner = load_refiner(options.refiner, path, card.sha256) if options.mode == "full" else None
    return Head(network, prior, task, card.sha256, calibrations, refiner)


def installed_head(scan: Measurement | Protocol, modality: Modality) -> Path:
    """The first installed head that was trained for such a scan.

    Raises:
        InputError: there is none; the line says why each does not fit, and names a way out.
    """
    path, reason = find_head(scan, modality)
    if path is None:
        raise InputError(
            f"`method` meddiffusion: {reason}; take `method` tv, or train a head with 'recon train controlnet' and "
            "give it as `weights`"
        )
    return path


def find_head(scan: Measurement | Protocol, modality: Modality) -> tuple[Path | None, str]:
    """The first installed head that was trained for such a scan; else None, and why each does not fit."""
    reasons = []
    for entry in entries():
        try:
            card = read_card(entry.path)
        except ValueError:
            continue  # 'recon weights list' shows damaged files
        if card.kind != "controlnet":
            continue
        task = task_from_dict(card.config["task"])
        if task.modality != modality:
            continue
        reason = task.why_unsuitable(scan)
        if reason is None:
            return entry.path, ""
        reasons.append(f"{entry.name}: {reason}")
    return None, "; ".join(reasons) or f"no ControlNet head for {modality} is installed"


def prior_of(network: ControlNet, given: str | Path | None) -> LatentPrior:
    """The prior of a name or folder or, where none is given, the installed one that the head was trained on.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    return load_prior(find_prior(given) if given else prior_with_base(network.base_hash))


@torch.no_grad()
def sample_with_head(
    head: Head,
    measurement: Measurement,
    shown: Sequence[Reconstruction],
    options: HeadOptions,
    context: RunContext,
) -> tuple[Tensor, Tensor | None]:
    """Mean and standard deviation (None of one sample) in the network range, (Z, X, Y) on the CPU.

    Args:
        head: the head.
        measurement: the scan.
        shown: reconstructions by the methods of the head's conditions.
        options: which sampler, and how many samples.
        context: the run.

    Raises:
        InputError: the prior is not the one that the head was trained on.
    """
    scale = network_scale(measurement)
    images = torch.stack([scale.to_network(each.mean) for each in shown]).cpu()
    prior = head.prior.to(context.device)
    index = network_class(prior, options, head.task.modality)
    with input_errors("`weights`"):
        attached = prior.attach(
            head.network.to(context.device),
            encode_conditions(prior, images),
            options.strength,
            allow_other_base=options.allow_other,
        )
    total = options.samples * (options.steps + 1)
    outputs = []
    for number in range(options.samples):
        seed = int(torch.randint(2**31, (), generator=context.generator))
        on_step = _counting(context, number * (options.steps + 1), total)
        outputs.append(
            sample_volume(prior, attached, images.shape[1:], index, options.steps, seed, options.sampler, on_step)
        )
        context.report("sampling", (number + 1) * (options.steps + 1), total)
    stack = torch.stack(outputs)
    return stack.mean(0), stack.std(0) if len(stack) > 1 else None


@torch.no_grad()
def encode_conditions(prior: LatentPrior, images: Tensor) -> Tensor:
    """(n, Z, X, Y) images in the network range, grown to whole patches, to a head's hint (1, n · C, z, x, y)."""
    latents = []
    for image in images:
        padded = pad_to_multiple(image, grid(prior))[None, None].to(prior.device)
        latents.append(prior.encode(padded))
    return torch.cat(latents, dim=1)


def sample_volume(
    prior: LatentPrior,
    head: AttachedHead,
    size: Sequence[int],
    class_index: int,
    steps: int,
    seed: int,
    sampler: str = "ddim",
    on_step: OnStep | None = None,
) -> Tensor:
    """One volume (Z, X, Y) of ``size`` in [-1, 1], on the CPU, that a head steers."""
    z, x, y = (-(-edge // grid(prior)) * grid(prior) for edge in size)
    latent = sample_latents(
        prior,
        class_index,
        (z, x, y),
        steps=steps,
        sampler=sampler,
        seeds=[seed],
        heads=[head],
        on_step=on_step,
    )
    return centre(prior.decode(latent)[0, 0].cpu(), size).clamp(-1, 1)


def network_class(prior: LatentPrior, options: HeadOptions, modality: Modality) -> int:
    """Index of the anatomy that the noise estimator is told."""
    return options.anatomy if options.anatomy >= 0 else prior.default_class(modality)


def grid(prior: LatentPrior) -> int:
    """Edges that both networks can take are multiples of this many voxels."""
    return math.lcm(prior.size_multiple, prior.encoding_multiple)


def _counting(context: RunContext, before: int, total: int) -> Callable[[int, int, Tensor, Tensor], None]:
    return lambda done, steps, z, x0: context.report("sampling", before + done, total)

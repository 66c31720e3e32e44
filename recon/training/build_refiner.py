"""The training of refiners: networks that make an image of a head's samples (:mod:`recon.learned.refiner`)."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from priors.networks.fingerprint import tensors_sha256
from priors.networks.inference import AUTO, Acceleration
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.training.batches import derived_seed
from priors.weights.card import SHOWN_WEIGHTS, read_card
from priors.weights.networks import load_controlnet
from recon.acquisition.network_scale import network_scale
from recon.diffusion.controlnet_head import Head, prior_of
from recon.diffusion.head_sampling import Sampling, grid, sample, steer
from recon.errors import InputError, input_errors
from recon.learned.refiner import KIND, Refiner
from recon.learned.slice_networks import run_slices
from recon.learned.task import Task
from recon.methods.conditions import weights_of_task
from recon.methods.meddiffusion import MOST_KEYS
from recon.methods.show import show
from recon.scan.body_window import body_window
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.data_consistency import agreeing
from recon.training.excerpts import Excerpts
from recon.training.pairs import StoredPair, simulate_pairs
from recon.training.perceptual_term import image_learner
from recon.training.prepared import Prepared
from recon.training.scans import simulated_scan
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.settings.slices import RefinerTask
from recon.training.slices import SliceSource
from recon.training.sources import TrainingVolume
from recon.training.unet_starts import load_unet, with_inputs, with_upsampling
from recon.training.validation_images import reconstruction_validation
from recon.training.workshop import Ingredients, Workshop


def build_refiner(given: Ingredients) -> Workshop:
    """A U-Net from base image and sample to the ground truth, on samples of a trained head."""
    settings = parse_task(RefinerTask, given.recipe.task)
    head = _head(given)
    if head.task.reference and not settings.sample:
        raise InputError("`sample`: a refiner that also sees the image shown cannot do without the sample")
    first = _network(given, inputs_of(head.task))
    net = first if settings.sample else with_inputs(first, 1)
    if settings.rounds > 1 and given.warm_start is None:
        raise InputError("`warm_start`: later rounds start from what a trained network makes; name it")
    learner = image_learner(net, KIND, net.config.to_dict(), settings, given.device)
    samples = Samples(head, Sampling(start=settings.start), given.cache)
    start = Refiner(copy.deepcopy(first).eval().to(given.device), tensors_sha256(first.state_dict()))
    given.announce(f"simulating and sampling {settings.variants * len(given.train)} scans")
    pairs = samples.of(given.train, settings.excerpts, settings.variants, start, settings.rounds)
    held_out = samples.of(given.val[: given.recipe.validation.cases], settings.held_out, 1, start, settings.rounds)
    if not settings.sample:
        pairs, held_out = [without_sample(pair) for pair in pairs], [without_sample(pair) for pair in held_out]
    source = SliceSource(pairs, settings.crop, settings.augmentation.build())
    task = head.task.to_dict()
    return Workshop(
        learner,
        source,
        reconstruction_validation(held_out, lambda network, images: run_slices(network, images)),
        {"task": json.dumps(task), "head": head.sha256},
        {"task": task, "head": head.sha256, "sampling": samples.settings, SHOWN_WEIGHTS: weights_of_task(head.task)},
    )


@dataclass(frozen=True)
class Samples:
    """Decoded samples of a head, made once and kept on disk.

    Attributes:
        head: the head that is sampled.
        sampling: how samples are drawn.
        cache: the folder where samples are kept.
    """

    head: Head
    sampling: Sampling
    cache: Cache

    @property
    def settings(self) -> dict[str, object]:
        """How samples are drawn, for the card and the cache."""
        sampling = self.sampling
        return {"steps": sampling.own_steps, "sampler": sampling.sampler, "start": sampling.start}

    def of(
        self,
        volumes: Sequence[TrainingVolume],
        excerpts: Excerpts,
        variants: int,
        refiner: Refiner,
        rounds: int = 1,
    ) -> list[StoredPair]:
        """Simulated scans as (base image, decoded sample, ground truth), and once more for each further round.

        Where the base image is not the image that the head was shown, the image shown comes before the ground truth.

        Args:
            volumes: prepared.
            excerpts: what parts of them the scans are of.
            variants: scans of one volume.
            refiner: the refiner that makes the base images of later rounds.
            rounds: the rounds of :class:`recon.training.settings.slices.RefinerTask`.
        """
        found = []
        for each in volumes:
            for pair in simulate_pairs(
                [each.volume], self.head.task, variants, self.cache, device=self.head.prior.device, excerpts=excerpts
            ):
                stored = self._sampled(pair, each, excerpts)
                found.append(stored)
                for turn in range(rounds - 1):
                    stored = self._next_round(stored, each.volume, excerpts, refiner, turn)
                    found.append(stored)
        return found

    def _sampled(self, pair: StoredPair, source: TrainingVolume, excerpts: Excerpts) -> StoredPair:
        settings = {"pair": pair.key, "head": self.head.weights, **self.settings}
        task = self.head.task
        if task.reference:
            settings |= {"reference": list(task.reference), "inputs": inputs_of(task)}

        def make() -> tuple[np.ndarray, dict[str, object]]:
            images = torch.from_numpy(np.array(pair.images, dtype=np.float32))
            seed = derived_seed(pair.case.id, pair.key, "sample")
            decoded = self._decoded(images[:-1], source.class_index, seed)
            inputs = [images[-2], decoded]
            if task.reference:
                inputs = [self._base_image(pair, source.volume, excerpts), decoded, images[-2]]
            return torch.stack([*inputs, images[-1]]).to(torch.float16).numpy(), {}

        stored = self.cache.entry(pair.case, "sampled-4", settings, make)
        return StoredPair(stored.array, pair.case, json.dumps(settings, sort_keys=True), pair.seed)

    def _base_image(self, pair: StoredPair, volume: Prepared, excerpts: Excerpts) -> Tensor:
        """Of the pair's scan, (Z, X, Y) in the network range."""
        measurement = self._simulated(pair, volume, excerpts)
        shown = show(self.head.task, measurement, RunContext(device=measurement.y.device))
        return network_scale(measurement).to_network(shown.base_image).cpu()

    def _simulated(self, pair: StoredPair, volume: Prepared, excerpts: Excerpts) -> Measurement:
        """The pair's scan once more."""
        return simulated_scan(volume, self.head.task, pair.seed, self.cache, self.head.prior.device, excerpts)

    def _next_round(
        self, pair: StoredPair, volume: Prepared, excerpts: Excerpts, refiner: Refiner, turn: int
    ) -> StoredPair:
        """The pair with another base image: what the refiner and a data-consistency step make of this one."""
        settings = {"pair": pair.key, "refiner": refiner.sha256, "turn": turn}

        def make() -> tuple[np.ndarray, dict[str, object]]:
            images = torch.from_numpy(np.array(pair.images, dtype=np.float32))
            measurement = self._simulated(pair, volume, excerpts)
            scale = network_scale(measurement)
            estimate = scale.to_physical(refiner.refined(images[:-1], turn).to(measurement.y.device))
            images[0] = scale.to_network(agreeing(measurement, estimate)).cpu()
            return images.to(torch.float16).numpy(), {}

        stored = self.cache.entry(pair.case, "refined-6", settings, make)
        return StoredPair(stored.array, pair.case, json.dumps(settings, sort_keys=True), pair.seed)

    @torch.no_grad()
    def _decoded(self, conditions: Tensor, class_index: int, seed: int) -> Tensor:
        """(n, Z, X, Y) images to a decoded sample (Z, X, Y), on the CPU; what is not the patient as the last image."""
        prior = self.head.prior
        window = body_window(conditions[-1], self.head.task.modality, grid(prior))
        steered = steer(
            prior,
            self.head.network,
            conditions[:, :, window[0], window[1]],
            class_index,
            acceleration=Acceleration.from_name(AUTO, prior.device),
        )
        decoded = conditions[-1].clone()
        decoded[:, window[0], window[1]] = sample(steered, self.sampling, seed, most_keys=MOST_KEYS)
        return decoded


def _head(given: Ingredients) -> Head:
    if given.head is None or given.task is None:
        raise InputError("`head`: name the head whose samples the refiner shall learn from")
    with input_errors("`head`"):
        network = load_controlnet(given.head).eval().requires_grad_(False)
        prior = prior_of(network, given.base)
        sha256 = read_card(given.head).sha256
        return Head(network.to(given.device), prior.to(given.device), given.task, sha256, given.head)


def without_sample(pair: StoredPair) -> StoredPair:
    """The base image and the ground truth alone, of the same scan."""
    return replace(pair, images=np.stack([pair.images[0], pair.images[-1]]))


def inputs_of(task: Task) -> int:
    """How many images a refiner sees: base image and sample, and the image shown where that is another."""
    return 3 if task.reference else 2


def _network(given: Ingredients, inputs: int) -> UNet2D:
    """New, or from a refiner or a U-Net that was trained on the base image alone."""
    if given.warm_start is None:
        with input_errors("recipe: network"):
            plain = UNetConfig(in_channels=inputs, residual=True).to_dict()
            return UNet2D(UNetConfig.from_dict(merged(plain, given.recipe.network)))
    with input_errors("`warm_start`"):
        fitted = with_inputs(load_unet(given.warm_start), inputs)
        free = ("anti_aliased", "in_channels")
        tell_overruled(fitted.config.to_dict(), given.recipe.network, given.announce, free)
        return with_upsampling(fitted, bool(given.recipe.network.get("anti_aliased", fitted.config.anti_aliased)))

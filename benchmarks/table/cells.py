"""A cell of a table: one method on one measurement of one case. What it depends on, and how it is computed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from benchmarks.table.conventions import paper_metrics, paper_truth
from benchmarks.table.dependencies import code_sha256
from benchmarks.table.measurements import measured
from benchmarks.table.names import Names
from benchmarks.table.results import CellResult, Store
from benchmarks.table.spec import MethodSpec, OperatorSpec
from datasets.cache import Cache
from datasets.case import Case
from datasets.identity import content_sha256
from physics.mr.masks import seed_of
from physics.noise import TransmissionNoise
from priors.diffusion.load import files_of_prior, prior_of_head
from priors.weights.card import Card, read_card
from priors.weights.store import find_prior
from recon.acquisition.continuous_mr import DEFAULT_NOISE
from recon.acquisition.ct import choose_geometry, ct_protocol
from recon.diffusion.controlnet_head import installed_head
from recon.errors import InputError, RunError, input_errors
from recon.learned.refiner import refiner_path
from recon.learned.task import task_from_dict
from recon.learned.trained import weights_path
from recon.methods import get_method
from recon.methods.method import DATA_STEP
from recon.run import provenance
from recon.run.choose import FLAGSHIP
from recon.run.devices import describe_device
from recon.run.outcome import Outcome, reconstruct
from recon.scan.measurement import Measurement, Protocol, Reconstruction
from recon.scan.volume import Modality, Volume


@dataclass(frozen=True)
class Job:
    """One cell to compute.

    Every method is told of, kept and run in parallel by itself; the measurement of a case, which methods share, is kept
    beside the results (:mod:`benchmarks.table.measurements`).

    Attributes:
        case: the case with its file.
        modality: the modality of the case.
        operator: how it is measured.
        method: what is run.
        key: the key of the cell.
        store: folder of results.
        device: the device on which the method computes.
        names: what results call the case.
    """

    case: Case
    modality: Modality
    operator: OperatorSpec
    method: MethodSpec
    key: str
    store: Path
    device: str = "cpu"
    names: Names = field(default_factory=Names)


def cell_key(case: Case, modality: Modality, operator: OperatorSpec, method: MethodSpec) -> str:
    """Hash of everything that a cell's result depends on.

    Raises:
        InputError: the method's weights are missing or damaged, or there is no such method.
    """
    facts = {
        "data": content_sha256(case),
        "operator": operator.model_dump(mode="json"),
        "method": method.method,
        "settings": method.settings,
        "weights": weights_sha256(modality, method, operator),
        "code": code_sha256(modality, method.method),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


def weights_sha256(modality: Modality, method: MethodSpec, operator: OperatorSpec) -> list[str]:
    """Hashes of all weights that a method will use, and of what a head's card says; none for methods without.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        cards = [read_card(path) for path in all_weights(modality, method, operator)]
        return [fact for card in cards for fact in (card.sha256, *_said_by(card))]
    except ValueError as error:
        raise InputError(str(error)) from error


def _said_by(card: Card) -> list[str]:
    """Of a head, what its results depend on beside its tensors: what it changes, and what its spread means."""
    if card.kind != "controlnet":
        return []
    return [json.dumps([card.config.get("task"), card.extra.get("calibration")], sort_keys=True)]


def all_weights(modality: Modality, method: MethodSpec, operator: OperatorSpec) -> list[Path]:
    """A method's weights, those of the methods whose images it is shown, and of meddiffusion, of its refiner and of the
    methods whose images it changes.

    Raises:
        InputError: some are missing or damaged.
    """
    path = method_weights(modality, method, operator)
    if path is None:
        return []
    with input_errors("`weights`"):
        card, found = read_card(path), [path]
    full = method.method.removesuffix(DATA_STEP) == FLAGSHIP
    if full:
        refiner = refiner_path(method.settings.get("refiner", ""), path, card.sha256)
        found += [refiner] if refiner else []
    task = card.config.get("task") or card.extra.get("task") or {}
    names = dict.fromkeys([*task.get("conditions", ()), *(task.get("reference", ()) if full else ())])
    kinds = [get_method(modality, name).weights for name in names]
    return found + [weights_path(kind, "", modality) for kind in kinds if kind]


def seen_weights(modality: Modality, method: MethodSpec, operator: OperatorSpec) -> list[Path]:
    """Every file whose training may have seen a table's cases: a method's weights, and the networks of a head's prior.

    Raises:
        InputError: some are missing or damaged.
    """
    found = all_weights(modality, method, operator)
    with input_errors("`weights`"):
        heads = [path for path in found if read_card(path).kind == "controlnet"]
        given = method.settings.get("prior", "")
        folders = [find_prior(given) if given else prior_of_head(head) for head in heads]
    return [*found, *(path for folder in folders for path in files_of_prior(folder))]


def method_weights(modality: Modality, method: MethodSpec, operator: OperatorSpec) -> Path | None:
    """The weights file that a method will use on such scans; None for methods without.

    Raises:
        InputError: none are installed.
    """
    kind = get_method(modality, method.method).weights
    given = method.settings.get("weights", "")
    if kind == "controlnet" and not given:
        return installed_head(_protocol(operator), modality)
    return None if kind is None else weights_path(kind, given, modality)


def why_unsuitable(path: Path, operator: OperatorSpec) -> str | None:
    """Why a network was not made for such scans, in one line; None if it was, or is for any."""
    card = read_card(path)
    task = card.config.get("task") or card.extra.get("task")
    return task_from_dict(task).why_unsuitable(_protocol(operator)) if task else None


def _protocol(operator: OperatorSpec) -> Protocol:
    """What is known of a scan before it is measured."""
    if operator.geometry is not None:
        noise = TransmissionNoise(operator.photons) if operator.photons else None
        geometry = choose_geometry(operator.geometry, operator.views)
        return ct_protocol(geometry, noise, True, operator.simulate == "continuous")
    level = operator.noise if operator.noise is not None or operator.simulate == "ideal" else DEFAULT_NOISE
    return Protocol(
        mask={"kind": operator.mask, "accel": operator.accel},
        noise={"std_of_maximum": level} if level else None,
        simulation=operator.simulate,
        coils=operator.coils,
    )


def run_job(job: Job) -> str:
    """Measure, run the method, keep the result.

    Returns:
        Nothing, or in one line why there is no result.
    """
    try:
        measurement, grid, truth = measure(job)
        key = f"{content_sha256(job.case)[:12]}{tensor_sha256(truth.data)[:12]}"  # rows differ in their ground truth
        paper = paper_truth(truth, key, Cache(job.store / "full-view"))
        _run_method(job, measurement, grid, (truth, paper))
    except (InputError, RunError) as error:
        return " ".join(str(error).split())
    return ""


def measure(job: Job) -> tuple[Measurement, Volume, Volume]:
    """The measurement, the grid of the result and the ground truth; noise and mask follow from the case's name.

    Raises:
        InputError: a file that cannot be read or measured.
    """
    found = measured(job.case, job.operator, Cache(job.store / "measurements"), job.device)
    if found.truth is None:
        raise InputError(f"{job.case.id}: undersampled k-space, which has no ground truth to compare with")
    return found.measurement, found.grid, found.truth


_KNOWN: dict[str, tuple[Reconstruction, float]] = {}
"""This process's last answer with its seconds, by its base key: ``NAME+dc`` that follows NAME need not repeat it."""


def _base_key(job: Job) -> str:
    """The key of a cell's method without its data-consistency step."""
    method = job.method.model_copy(update={"method": job.method.method.removesuffix(DATA_STEP)})
    return cell_key(job.case, job.modality, job.operator, method)


def _run_method(job: Job, measurement: Measurement, grid: Volume, truths: tuple[Volume, Volume]) -> None:
    """Only the measurement goes into the method; the ground truths, one of each convention, are for the scores."""
    truth, paper = truths
    method = job.method
    seed = seed_of(job.case.id)
    follows = method.method.endswith(DATA_STEP)
    known = _KNOWN.get(_base_key(job)) if follows else None
    with peak_memory() as peak:
        outcome = reconstruct(
            measurement,
            grid,
            method.method,
            truth=truth,
            settings=method.settings,
            seed=seed,
            before=known[0] if known else None,
        )
    _KNOWN.clear()
    if outcome.answer is not None and not follows:
        _KNOWN[_base_key(job)] = outcome.answer, outcome.seconds
    z, y, x = truth.data.shape
    cell = CellResult(
        key=job.key,
        case=job.names.case(job.case),
        subject=job.names.subject(job.case),
        group=job.case.details.get("acquisition", ""),
        operator=job.operator.name,
        method=method.column,
        metrics={"primary": outcome.metrics, "paper": paper_metrics(paper, outcome.result)},
        seconds=outcome.seconds + (known[1] if known else 0.0),
        peak_rss_mb=peak[0],
        weights=outcome.weights,
        measurement_sha256=tensor_sha256(measurement.y),
        truth_sha256=tensor_sha256(truth.data),
        size=(z, y, x),
        true_acceleration=measurement.protocol.true_acceleration,
        seed=seed,
        device=describe_device(measurement.y.device),
        versions={name: value for name, value in provenance.versions().items() if value},
        picture=f"{job.key}.npz",
    )
    Store(job.store).put(cell, _pictures(outcome, truth))


def _pictures(outcome: Outcome, truth: Volume) -> dict[str, np.ndarray]:
    """The middle slice of the image and of the ground truth, (y, x) float16, and as far as they are known, the size of
    a pixel (y, x) in mm and that the slice lies in patient space."""
    middle = len(truth.data) // 2
    volumes = {"image": outcome.result, "truth": truth}
    top = float(truth.data.max()) if truth.modality == "MR" else 1.0
    pictures = {name: (volume.data[middle] / top).numpy().astype(np.float16) for name, volume in volumes.items()}
    source = outcome.result.source
    known = source is None or source.spacing_known
    pictures["pixel"] = np.array(outcome.result.spacing[1:] if known else (np.nan, np.nan), np.float32)
    pictures["sides_known"] = np.array(source is None or source.orientation_known)
    return pictures


def tensor_sha256(tensor: Tensor) -> str:
    """Hash of a tensor's type, shape and values."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def peak_memory(interval: float = 0.05) -> Iterator[list[float]]:
    """Yields a list whose only number grows to the most memory, in MB, that this process held in between."""
    process, peak, stop = psutil.Process(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            peak[0] = max(peak[0], process.memory_info().rss / 1e6)
            time.sleep(interval)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()

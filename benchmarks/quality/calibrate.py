"""A head's spread of samples made into a standard deviation that can be trusted, on validation cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from priors.training.batches import derived_seed
from priors.weights.card import read_card, read_tensors, save_weights
from priors.weights.seen import CALIBRATED_ON, SALT, new_salt, salted, without_names
from recon.acquisition.network_scale import network_scale, patient_axes
from recon.diffusion.calibration import Calibration, Calibrations, coverage, fit, in_body
from recon.diffusion.controlnet_head import load_head
from recon.errors import InputError
from recon.learned.refiner import load_refiner
from recon.learned.task import Task, task_from_dict
from recon.methods.meddiffusion import MedDiffusionOptions, reconstruct
from recon.methods.show import show
from recon.scan.measurement import Measurement, RunContext
from recon.scan.volume import Volume
from recon.training.prepared import Prepared
from recon.training.sources import TrainingVolume

Announce = Callable[[str], None]

Scan = tuple[np.ndarray, np.ndarray]
"""Errors and spreads of voxels, network range."""

_DRAWS = 60
"""Of scans of one case, until there are enough of each kind."""

_VOXELS = 100_000
"""Of one case, drawn at random."""

_LEVEL, _LEAST = 0.9, 0.85
"""An interval, and the share that it must hold of a case that nothing was fitted to."""

_WIDEST = 4.0
_STEPS = 20


@dataclass(frozen=True)
class Calibrated:
    """What was found.

    Attributes:
        calibrations: the calibrations for the head's card.
        before: share of voxels held by each nominal interval of the bare spread.
        after: the same shares once calibrated, on the cases that the calibration was fitted to.
        unseen: the least share of any case and kind of scan when calibrated on the other cases: what a new
            case may be like. Empty for a single case.
        cases: their names.
    """

    calibrations: Calibrations
    before: dict[float, float]
    after: dict[float, float]
    unseen: dict[float, float]
    cases: tuple[str, ...]


def calibrate(
    options: MedDiffusionOptions, volumes: Sequence[TrainingVolume], scans: int = 1, announce: Announce = print
) -> Calibrated:
    """Reconstruct simulated scans of validation volumes and fit.

    Args:
        options: the head and the number of samples, more than one.
        volumes: validation cases of the head's modality.
        scans: the number of scans of each case and each kind of scan, drawn as in training.
        announce: called with one line for each scan.

    Raises:
        InputError: no head, no case of its modality, or one sample.
    """
    if options.samples < 2:
        raise InputError(f"`samples` {options.samples}: must be 2 or more, to have a spread")
    task = task_from_dict(read_card(options.weights).config["task"])
    own = [each for each in volumes if each.volume.modality == task.modality]
    if not own:
        raise InputError(f"`data`: no validation case of {task.modality}, which the head was trained for")
    kinds: dict[str, dict[str, list[Scan]]] = {kind: {} for kind in task.acquisition.kinds}
    for each in own:
        for kind, scan in _scans(options, task, each.volume, scans):
            kinds[kind].setdefault(each.volume.case.id, []).append(scan)
            announce(f"{each.volume.case.id}, {kind}: {len(scan[0])} voxels")
    found = {kind: [_joined(own) for own in cases.values()] for kind, cases in kinds.items() if cases}
    widths = {kind: _widening(cases) for kind, cases in found.items()}
    calibrations = Calibrations(
        {kind: _widened(_most_careful(cases), widths[kind]) for kind, cases in sorted(found.items())}
    )
    pooled = {kind: _joined(cases) for kind, cases in found.items()}
    errors, spreads = _joined(list(pooled.values()))
    after = np.concatenate([_applied(calibrations.of(kind), own) for kind, (_, own) in pooled.items()])
    return Calibrated(
        calibrations,
        _shares(errors, spreads),
        _shares(errors, after),
        _unseen(found, widths),
        tuple(each.volume.case.id for each in own),
    )


def _unseen(kinds: Mapping[str, Sequence[Scan]], widths: Mapping[str, float]) -> dict[float, float]:
    """Least share held in any case of what its kind's other cases say, for each level; empty without others."""
    shares = [
        _shares(errors, _applied(_widened(others, widths[kind]), spreads))
        for kind, cases in kinds.items()
        for others, (errors, spreads) in _left_out(cases)
    ]
    return {level: min(each[level] for each in shares) for level in shares[0]} if shares else {}


def _left_out(cases: Sequence[Scan]) -> list[tuple[Calibration, Scan]]:
    """Each case with what the others say; none where there are no others."""
    if len(cases) < 2:
        return []
    return [(_most_careful([*cases[:number], *cases[number + 1 :]]), case) for number, case in enumerate(cases)]


def _widening(cases: Sequence[Scan]) -> float:
    """The factor, 1 or more, with which no case holds less than ``_LEAST`` of what the others say.

    A handful of cases, the hardest of them included, still say too little of the next one; how much, each of them shows
    when it is left out (cross-validation, as for conformal intervals, Barber et al. 2021).
    """
    left_out = _left_out(cases)

    def enough(factor: float) -> bool:
        return all(
            _shares(errors, _applied(_widened(others, factor), spreads))[_LEVEL] >= _LEAST
            for others, (errors, spreads) in left_out
        )

    if enough(1.0):
        return 1.0
    low, high = 1.0, _WIDEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _widened(calibration: Calibration, factor: float) -> Calibration:
    return Calibration(factor * calibration.factor, factor * calibration.floor)


def _most_careful(cases: Sequence[Scan]) -> Calibration:
    """Of the cases' own calibrations the one that gives the largest deviations.

    Patients differ more than voxels do: a new one is likelier no harder than the hardest of a few than like their mean.
    """
    spreads = np.concatenate([own for _, own in cases])
    return max((fit(*case) for case in cases), key=lambda each: float(_applied(each, spreads).mean()))


def _applied(calibration: Calibration, spreads: np.ndarray) -> np.ndarray:
    return calibration.apply(torch.from_numpy(spreads), 1.0).numpy()


def _joined(scans: Sequence[Scan]) -> Scan:
    errors, spreads = (np.concatenate(part) for part in zip(*scans, strict=True))
    return errors, spreads


def _scans(options: MedDiffusionOptions, task: Task, case: Prepared, wanted: int) -> Iterator[tuple[str, Scan]]:
    """Scans of a case, ``wanted`` of each kind, drawn as in training until there are enough."""
    volume, missing = case.volume(), Counter(dict.fromkeys(task.acquisition.kinds, wanted))
    for number in range(_DRAWS):
        seed = derived_seed("calibration", case.case.id, number)
        measurement = task.acquisition.simulate(volume, seed)
        kind = task.acquisition.kind(measurement)
        if missing[kind] > 0:
            missing[kind] -= 1
            yield kind, _errors_and_spreads(options, volume, measurement, seed)
        if not any(missing.values()):
            return


def _errors_and_spreads(options: MedDiffusionOptions, volume: Volume, measurement: Measurement, seed: int) -> Scan:
    """Of voxels in the body."""
    head = load_head(options.weights, options.prior, measurement, volume.modality, allow_other=options.allow_other)
    refiner = load_refiner(options.refiner, head.path, head.sha256)
    context = RunContext(torch.Generator().manual_seed(seed % 2**31))
    shown = show(head.task, measurement, context)
    answer = reconstruct(replace(head, calibrations=None), refiner, shown, measurement, options, context)
    assert answer.std is not None
    scale = network_scale(measurement)
    error = patient_axes(scale.to_network(answer.mean) - scale.truth(volume)).cpu().numpy()
    body = in_body(volume.data.numpy(), volume.modality)
    chosen = np.random.default_rng(0).permutation(int(body.sum()))[:_VOXELS]
    relative = (answer.std / scale.unit).cpu().numpy()
    return error[body][chosen], relative[body][chosen]


def _shares(errors: np.ndarray, deviations: np.ndarray) -> dict[float, float]:
    everywhere = np.ones((1, 1, len(errors)), np.float32)
    return coverage(everywhere, everywhere + errors, deviations[None, None], "MR")


def write(path: Path, to: Path, found: Calibrated) -> None:
    """The head anew, with its calibrations in the card, and hashes of the cases that they were fitted on.

    Raises:
        ValueError: damaged, or no weights file.
    """
    card = read_card(path)
    extra = without_names(card.extra)
    salt = extra.setdefault(SALT, new_salt())
    fitted_on = sorted(salted(case, salt) for case in found.cases)
    facts = {"calibration": found.calibrations.to_dict(), CALIBRATED_ON: fitted_on}
    save_weights(to, read_tensors(path), replace(card, extra=extra | facts))


def table(found: Calibrated) -> list[str]:
    """Lines for the terminal."""
    lines = [
        f"{kind}: factor {each.factor:.3g}, floor {each.floor:.3g} (network range)"
        for kind, each in found.calibrations.by_kind.items()
    ]
    columns = {"bare spread": found.before, "calibrated": found.after}
    if found.unseen:
        columns["left-out case, least"] = found.unseen
    lines.append(f"{'interval':>10}" + "".join(f"{name:>24}" for name in columns))
    return lines + [
        f"{100 * level:>8.0f} %" + "".join(f"{100 * shares[level]:>22.1f} %" for shares in columns.values())
        for level in found.before
    ]

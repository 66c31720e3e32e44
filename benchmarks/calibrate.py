"""A head's spread of samples made into a standard deviation that can be trusted, on validation cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from priors.training.batches import derived_seed
from priors.weights import read_card, read_tensors, save_weights
from recon.calibration import Calibration, Calibrations, coverage, fit, in_body
from recon.consistent_prior import reconstruct
from recon.errors import InputError
from recon.latent_prior import HeadOptions, load_head
from recon.measurement import RunContext
from recon.training.prepared import Prepared
from recon.training.sources import TrainingVolume
from recon.training.tasks import CTTask, Task, task_from_dict

Report = Callable[[str], None]

_VOXELS = 100_000
"""Of one case, drawn at random."""


@dataclass(frozen=True)
class Calibrated:
    """What was found.

    Attributes:
        calibrations: for the head's card.
        before: share of voxels held by each nominal interval of the bare spread.
        after: likewise, calibrated; on the cases that it was fitted to.
        cases: their names.
    """

    calibrations: Calibrations
    before: dict[float, float]
    after: dict[float, float]
    cases: tuple[str, ...]


def calibrate(
    options: HeadOptions, volumes: Sequence[TrainingVolume], scans: int = 1, report: Report = print
) -> Calibrated:
    """Reconstruct simulated scans of validation volumes and fit.

    Args:
        options: which head and how many samples, more than one.
        volumes: validation cases of the head's modality.
        scans: of each case, drawn as in training.
        report: takes one line for each case.

    Raises:
        InputError: no head, no case of its modality, or one sample.
    """
    if options.samples < 2:
        raise InputError("--samples: a spread takes two or more")
    task = task_from_dict(read_card(options.weights).config["task"])
    own = [each for each in volumes if each.volume.modality == task.modality]
    if not own:
        raise InputError(f"--data: no validation case of {task.modality}, which the head was trained for")
    pieces: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {}
    for each in own:
        for number in range(scans):
            kind, errors, spreads = _errors_and_spreads(options, task, each.volume, number)
            pieces.setdefault(kind, {}).setdefault(each.volume.case.id, []).append((errors, spreads))
            report(f"{each.volume.case.id}, {kind}: {len(errors)} voxels")
    calibrations = Calibrations({kind: _most_careful(list(cases.values())) for kind, cases in sorted(pieces.items())})
    found = {kind: _joined([scan for scans in cases.values() for scan in scans]) for kind, cases in pieces.items()}
    errors, spreads = (np.concatenate(part) for part in zip(*found.values(), strict=True))
    after = np.concatenate(
        [calibrations.of(kind).apply(torch.from_numpy(own), 1.0).numpy() for kind, (_, own) in found.items()]
    )
    shares = [_shares(errors, deviation) for deviation in (spreads, after)]
    return Calibrated(calibrations, shares[0], shares[1], tuple(each.volume.case.id for each in own))


def _most_careful(cases: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]) -> Calibration:
    """Of the cases' own calibrations the one that gives the largest deviations.

    Patients differ more than voxels do: a new one is likelier no harder than the hardest of a few than like their mean.
    """
    spreads = torch.from_numpy(np.concatenate([scan[1] for scans in cases for scan in scans]))
    return max((fit(*_joined(scans)) for scans in cases), key=lambda each: float(each.apply(spreads, 1.0).mean()))


def _joined(scans: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    errors, spreads = (np.concatenate(part) for part in zip(*scans, strict=True))
    return errors, spreads


def _errors_and_spreads(
    options: HeadOptions, task: Task, case: Prepared, number: int
) -> tuple[str, np.ndarray, np.ndarray]:
    """The scan's kind, and of voxels in the body of one case, network range; ``number`` tells its scans apart."""
    volume, seed = case.volume(), derived_seed("calibration", case.case.id, number)
    measurement = task.measure(volume, seed)
    protocol = measurement.protocol.geometry if isinstance(task, CTTask) else measurement.protocol.mask
    head = replace(load_head(options, protocol, volume.modality), calibrations=None)
    context = RunContext(torch.Generator().manual_seed(seed % 2**31))
    mean, spread = reconstruct(head, measurement, options, context)
    assert spread is not None
    truth = task.pair(measurement, volume).target
    error = (task.network(mean, measurement) - truth).cpu().numpy()
    body = in_body(volume.data.numpy(), volume.modality)
    chosen = np.random.default_rng(0).permutation(int(body.sum()))[:_VOXELS]
    relative = (spread / task.unit(measurement)).cpu().numpy()
    return task.kind(measurement), error[body][chosen], relative[body][chosen]


def _shares(errors: np.ndarray, deviations: np.ndarray) -> dict[float, float]:
    everywhere = np.ones((1, 1, len(errors)), np.float32)
    return coverage(everywhere, everywhere + errors, deviations[None, None], "MR")


def write(path: Path, to: Path, found: Calibrated) -> None:
    """The head anew, with its calibrations in the card.

    Raises:
        ValueError: damaged, or no weights file.
    """
    card = read_card(path)
    facts = {"calibration": found.calibrations.to_dict(), "calibrated_on": list(found.cases)}
    save_weights(to, read_tensors(path), replace(card, extra=card.extra | facts))


def table(found: Calibrated) -> list[str]:
    """Lines for the terminal."""
    lines = [
        f"{kind}: factor {each.factor:.3g}, floor {each.floor:.3g} (network range)"
        for kind, each in found.calibrations.by_kind.items()
    ]
    lines.append(f"{'interval':>10}{'bare spread':>14}{'calibrated':>14}")
    return lines + [
        f"{100 * level:>8.0f} %{100 * found.before[level]:>12.1f} %{100 * found.after[level]:>12.1f} %"
        for level in found.before
    ]

"""ControlNet heads: which one is for a scan, and what belongs to it (3D MedDiffusion, section III-C)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from priors.diffusion.load import load_prior, prior_with_base
from priors.diffusion.prior import LatentPrior
from priors.weights.card import read_card
from priors.weights.networks import head_kinds, load_steering
from priors.weights.store import HEADS, Entry, entries, find_prior, how_to_get_shipped
from recon.diffusion.calibration import Calibrations
from recon.errors import InputError, input_errors
from recon.learned.mask_task import is_mask_task
from recon.learned.provenance import pinned_weights, told_of_other_weights
from recon.learned.task import Task, task_from_dict
from recon.learned.trained import check_task
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality

if TYPE_CHECKING:
    from priors.networks.controlnet import ControlNet
    from priors.networks.maisi.controlnet import MaisiControlNet

_WAY_OUT = "take `method` tv, or train a head with 'recon train controlnet' and give it as `weights`"


@dataclass(frozen=True)
class Head:
    """A head with what belongs to it.

    Attributes:
        network: the head's network.
        prior: the latent prior that the head was trained on.
        task: the task that the head was trained for.
        sha256: the hash of the head's tensors.
        path: the head's file.
        calibrations: what the spread of the head's samples means; None where its card does not know.
        trained_with: the hashes of the networks that made the images of its training, as
            :func:`recon.learned.provenance.pinned_weights` reads them; None where its card does not say.
        other_scan: a notice why the head was not made for the scan, where it is used all the same.
    """

    network: ControlNet | MaisiControlNet
    prior: LatentPrior
    task: Task
    sha256: str
    path: Path
    calibrations: Calibrations | None = None
    trained_with: Mapping[str, str] | None = None
    other_scan: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, str]:
        """The hash of each network, by name."""
        return {"head": self.sha256, **self.prior.sha256}

    def notices(self, shown: Mapping[str, str]) -> tuple[str, ...]:
        """What to tell where scan or networks are others than in the head's training.

        Args:
            shown: the hashes of the networks that made the images which the head is shown.
        """
        return self.other_scan + told_of_other_weights("the head", self.trained_with, shown)


def load_head(
    weights: str, prior: str, scan: Measurement | Protocol, modality: Modality, *, allow_other: bool = False
) -> Head:
    """Load a head and its prior, and check that the scan is of the kind that the head was trained for.

    Args:
        weights: the head's file; empty for an installed one that fits the scan.
        prior: the name or folder of the head's prior; empty for the installed one with its hash.
        scan: the scan, or what is known of it before it is measured.
        modality: CT or MR.
        allow_other: also accept a scan that the head was not trained for.

    Raises:
        InputError: no head, a damaged one, another prior, or a scan that it was not trained for; the line names a way
            out.
    """
    path = Path(weights) if weights else installed_head(scan, modality, allow_other)
    with input_errors("`weights`"):
        network = load_steering(path).eval()
        card = read_card(path)
    if not network.config.task:
        raise InputError(f"`weights` {path}: steered by label maps, and trained for no scan")
    task = task_from_dict(network.config.task)
    notices = check_task(task, scan, modality, path, allow_other)
    with input_errors("`prior`"):
        base = prior_of(network, prior)
    with input_errors("`weights`"):
        values = card.extra.get("calibration")
        calibrations = None if values is None else Calibrations.from_dict(values)
        if not weights:
            notices += damaged_heads(modality)
        return Head(network, base, task, card.sha256, path, calibrations, pinned_weights(card.extra), notices)


def installed_head(scan: Measurement | Protocol, modality: Modality, allow_other: bool = False) -> Path:
    """The first installed head that was trained for such a scan.

    Args:
        scan: the scan, or what is known of it before it is measured.
        modality: CT or MR.
        allow_other: whether the first head of the modality is taken where none was trained for such a scan.

    Raises:
        InputError: there is none; the line says why each does not fit, and names a way out.
    """
    path, reason = find_head(scan, modality)
    if path is None and allow_other:
        path = next((each.path for each, _ in _installed(modality, scan) if not _damage(each.path)), None)
    if path is None:
        raise InputError(f"`method` meddiffusion: {reason}; {_WAY_OUT}")
    return path


def check_installed(modality: Modality) -> None:
    """Refuse, before a scan takes long, what needs a head where none is installed.

    Raises:
        InputError: no installed head is of the modality.
    """
    if next(_installed(modality), None) is None:
        raise InputError(
            f"`method` meddiffusion: no ControlNet head for {modality} is installed{how_to_get_shipped()}; {_WAY_OUT}"
        )


def find_head(scan: Measurement | Protocol, modality: Modality, proven: bool = False) -> tuple[Path | None, str]:
    """The first sound installed head that was trained for such a scan; else None, and why each is of no use.

    Args:
        scan: the scan, or what is known of it before it is measured.
        modality: CT or MR.
        proven: whether a head must also be known to be better than total variation on such scans.
    """
    reasons = []
    for entry, task in _installed(modality, scan):
        reason = task.why_unsuitable(scan) or (task.why_unproven(scan) if proven else None)
        reason = reason or _damage(entry.path)
        if not reason:
            return entry.path, ""
        reasons.append(f"{entry.name}: {reason}")
    return None, "; ".join(reasons) or f"no ControlNet head for {modality} is installed{how_to_get_shipped()}"


def _installed(modality: Modality, scan: Measurement | Protocol | None = None) -> Iterator[tuple[Entry, Task]]:
    """The installed heads of a modality with their tasks, those that learned from as many coils as the scan has first,
    those of many scanners last; those whose cards are damaged are none."""
    tasks = [(entry, _task_of(entry)) for entry in entries()]
    found = [(entry, task) for entry, task in tasks if isinstance(task, Task) and task.modality == modality]
    protocol = scan.protocol if isinstance(scan, Measurement) else scan or Protocol()
    yield from sorted(found, key=lambda each: (not each[1].knows_coils_of(protocol), each[1].of_many_scanners))


def _task_of(entry: Entry) -> Task | str | None:
    """The task of an installed head; None for another network and for a head for segmentations, which is for no scan,
    and in one line why a card cannot be read."""
    try:
        card = read_card(entry.path)
        task = card.config["task"] if card.kind in head_kinds() else {}
        if card.kind not in head_kinds() or is_mask_task(task) or (card.kind == "maisi-controlnet" and not task):
            return None
        return task_from_dict(task)
    except (InputError, AttributeError, ValueError, KeyError, TypeError) as error:
        return " ".join(str(error).split())


def damaged_heads(modality: Modality) -> tuple[str, ...]:
    """A notice for each installed head that cannot be used, of this modality or of one that cannot be told."""
    reasons = {}
    for entry in entries():
        task = _task_of(entry) if entry.path.parent.name == HEADS else None
        if isinstance(task, str):
            reasons[entry.name] = task
        elif task is not None and task.modality == modality:
            reasons[entry.name] = _damage(entry.path)
    return tuple(
        f"the installed head {name} is damaged and was passed over: {reason}"
        for name, reason in reasons.items()
        if reason
    )


def _damage(path: Path) -> str:
    """Why a head cannot be loaded, in one line; "" where it can."""
    status = path.stat()
    return _damage_of_version(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _damage_of_version(path: Path, size: int, changed: int) -> str:
    try:
        load_steering(path)
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def prior_of(network: ControlNet | MaisiControlNet, given: str | Path | None) -> LatentPrior:
    """The prior of a name or folder or, where none is given, the installed one that the head was trained on.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    return load_prior(find_prior(given) if given else prior_with_base(network.base_hash))

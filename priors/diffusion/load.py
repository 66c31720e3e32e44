"""Priors by folder: which kind a folder holds is what the cards of its files say (:mod:`priors.networks.registry`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from priors.diffusion.prior import LatentPrior
from priors.networks.fingerprint import tensors_sha256
from priors.networks.registry import KINDS
from priors.weights.card import Card, read_card
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX, find_prior, prior_names


def load_prior(folder: Path | str) -> LatentPrior:
    """The prior in a folder, on the CPU, for inference.

    Raises:
        ValueError: no prior, or a file that is missing or damaged.
    """
    folder = Path(folder)
    _, card = noise_estimator(folder)
    prior: LatentPrior = KINDS[card.kind].prior_loader()(folder)
    return prior


def noise_estimator(folder: Path) -> tuple[Path, Card]:
    """The weights file of a folder's noise estimator, which tells what kind of prior the folder holds, and its card.

    Raises:
        ValueError: there is none, or a file is damaged.
    """
    damaged: ValueError | None = None
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            card = read_card(path)
        except ValueError as error:
            damaged = damaged or error
            continue
        if card.kind in KINDS and KINDS[card.kind].prior:
            return path, card
    wanted = ", ".join(f"{kind}{SUFFIX}" for kind, each in KINDS.items() if each.prior)
    raise damaged or ValueError(f"{folder}: no prior: there is no noise estimator in it ({wanted})")


def prior_with_base(sha256: str) -> Path:
    """The folder of the installed prior on whose noise estimator a head was trained.

    Args:
        sha256: the hash of that noise estimator's tensors, as they are stored or as they are in use.

    Raises:
        ValueError: there is none.
    """
    for name in prior_names():
        folder = find_prior(name)
        try:
            path, card = noise_estimator(folder)
        except ValueError:
            continue  # a folder of other networks, such as the baselines'; 'recon weights list' shows damaged files
        if sha256 in (card.sha256, _hash_in_use(path, card.kind)):
            return folder
    raise ValueError(
        f"no installed prior is the one that the head was trained on (hash {sha256[:12]}); name its folder"
    )


def prior_of_head(head: Path) -> Path:
    """The folder of the installed prior that a head's file was trained on.

    Raises:
        ValueError: it cannot be read, is no head, or its prior is not installed.
    """
    card = read_card(head)
    base = card.extra.get("base_sha256")
    if not base:
        raise ValueError(f"{head}: its card names no prior; a ControlNet head is wanted")
    return prior_with_base(str(base))


def files_of_prior(folder: Path) -> list[Path]:
    """The weights files of a prior's own networks, sorted; heads, which lie in a folder of their own, are none."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def _hash_in_use(path: Path, kind: str) -> str:
    """Of the tensors in the precision that networks run in, which a head was trained on; a file may hold 16 bits."""
    status = path.stat()
    return _hash_of_version(path, kind, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _hash_of_version(path: Path, kind: str, size: int, changed: int) -> str:
    return tensors_sha256(load_network(path, kind).state_dict())

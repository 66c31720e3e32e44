"""Generators by folder: which method a folder holds is what the cards of its files say."""

from __future__ import annotations

from pathlib import Path

from priors.diffusion.load import load_prior
from priors.generators.generator import Generator
from priors.generators.latent import LatentGenerator
from priors.networks.registry import KINDS
from priors.weights.card import read_card
from priors.weights.store import SUFFIX


def load_generator(folder: Path | str) -> Generator:
    """The generator in a folder, on the CPU, for inference.

    Raises:
        ValueError: no generator, two of different methods, or a file that is missing or damaged.
    """
    folder = Path(folder)
    found = _kinds_by_method(folder)
    if len(found) > 1:
        names = " and ".join(f"{kind}{SUFFIX}" for kind in found.values())
        raise ValueError(f"{folder}: holds several generators, {names}; give each a folder of its own")
    for name in found.values():
        if KINDS[name].generator:
            generator: Generator = KINDS[name].generator_loader()(folder)
            return generator
    return LatentGenerator(load_prior(folder))


def _kinds_by_method(folder: Path) -> dict[str, str]:
    """One of the kinds of network that a folder holds of each method, by the loader of the method's generator."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            name = read_card(path).kind
        except ValueError:
            continue  # what is wrong with it is said where the folder is read as a prior
        if name in KINDS and (loader := KINDS[name].generator or KINDS[name].prior):
            found.setdefault(loader, name)
    return found

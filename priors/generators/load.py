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
        ValueError: no generator, or a file that is missing or damaged.
    """
    folder = Path(folder)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            kind = KINDS.get(read_card(path).kind)
        except ValueError:
            continue  # what is wrong with it is said where the folder is read as a prior
        if kind and kind.generator:
            generator: Generator = kind.generator_loader()(folder)
            return generator
    return LatentGenerator(load_prior(folder))

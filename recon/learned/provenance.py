"""Which networks made the images that other networks are shown: named in results, pinned in cards.

Images are shown to networks as whole reconstructions, whose weights merge into the result's under names such as
"condition modl: network". What a head's training was shown is pinned in its card under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from priors.weights.card import SHOWN_WEIGHTS
from recon.scan.measurement import Reconstruction

CONDITION, REFERENCE = "condition", "reference"
"""What an image is to a head: shown to it, or part of the base image that its samples change. In result files."""

_SHORT = 12


def weights_shown(role: str, names: Sequence[str], images: Sequence[Reconstruction]) -> dict[str, str]:
    """The hashes of the networks that made images, by names such as "condition modl: network".

    Args:
        role: what the images are, ``CONDITION`` or ``REFERENCE``.
        names: the names of the methods that made them.
        images: their reconstructions.
    """
    return {
        f"{role} {name}: {key}": sha256
        for name, image in zip(names, images, strict=True)
        for key, sha256 in (image.weights or {}).items()
    }


def pinned_weights(extra: Mapping[str, Any]) -> dict[str, str] | None:
    """The hashes that a card pins; None where it says nothing, as the cards of older files.

    Raises:
        ValueError: an entry of another kind.
    """
    found = extra.get(SHOWN_WEIGHTS)
    if found is None:
        return None
    if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError(f"its header is damaged: {SHOWN_WEIGHTS} is {found!r}")
    return dict(found)


def told_of_other_weights(
    network: str, trained_with: Mapping[str, str] | None, shown: Mapping[str, str]
) -> tuple[str, ...]:
    """One notice for each network that is not the one of the training; none where the training is not known.

    Args:
        network: what was trained, such as "the head".
        trained_with: the hashes that its card pins, of some of those shown or of all; None where it pins none.
        shown: the hashes of this run.
    """
    if trained_with is None:
        return ()
    return tuple(
        f"{network} was trained with other weights of {name}: {_short(before)}, not {_short(sha256)}"
        for name, sha256 in shown.items()
        if (before := trained_with.get(name)) != sha256
    )


def _short(sha256: str | None) -> str:
    return sha256[:_SHORT] if sha256 else "none"

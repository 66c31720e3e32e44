"""``recon generate --mask``: new volumes for a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say

if TYPE_CHECKING:
    from priors.diffusion.anatomy import Size
    from priors.generators.latent import LatentGenerator
    from recon.generation.mask import MaskCondition, MaskHead

_OF_THE_MASK = ("size", "spacing")
_FAR = 1.5
"""The ratio of voxel sizes above which a note says that they differ from the head's training."""


@dataclass(frozen=True)
class Masked:
    """A head with the segmentation that it is shown."""

    head: MaskHead
    condition: MaskCondition

    @property
    def generator(self) -> LatentGenerator:
        """The head's prior as a generator, not yet steered."""
        from priors.generators.latent import LatentGenerator

        return LatentGenerator(self.head.prior)

    @property
    def size(self) -> Size:
        """The size (z, x, y) in voxels that is sampled."""
        return self.condition.grown_size(self.head.prior)

    @property
    def usual_class(self) -> str:
        """The name of the class that the head was trained on; of a head that does not say it, the prior's usual one."""
        usual = self.head.prior.default_class("CT")
        named = (each.name for each in self.head.prior.anatomies if each.index == usual)
        return next(iter(self.head.classes), None) or next(named)

    def conditioned(self) -> LatentGenerator:
        """The generator, steered, on the prior's device."""
        from recon.generation.mask import conditioned

        return conditioned(self.head, self.condition)


def check_mask_options(ctx: click.Context, mask: Path | None, head: str | None) -> None:
    """Refuse options that go only with a segmentation, or that a segmentation decides.

    Raises:
        click.UsageError: names the option.
    """
    if (mask is None) != (head is None):
        missing, given = ("--head", "--mask") if head is None else ("--mask", "--head")
        raise click.UsageError(f"{missing}: {given} needs it; a head is shown a segmentation", ctx)
    if mask is None and ctx.params["body"] is not None:
        raise click.UsageError("--body: say --mask and --head with it", ctx)
    for name in _OF_THE_MASK if mask is not None else ():
        if ctx.params[name] is not None:
            raise click.UsageError(f"--{name}: has no effect with --mask, whose grid the volume has", ctx)


def load_masked(head: str, mask: Path, body: Path | None, prior: str | None) -> Masked:
    """The head of a file or name, with the segmentation of a file; see :mod:`recon.generation.mask`."""
    from recon.generation.mask import load_mask_head, read_condition

    loaded = load_mask_head(head, prior)
    return Masked(loaded, read_condition(loaded, mask, body))


def note_grid(masked: Masked, class_name: str, quiet: bool) -> None:
    """Say what size is sampled in place of the segmentation's, and where its voxels are unlike the head's training."""
    wanted, sampled = masked.condition.size, masked.size
    if sampled != wanted:
        (z, x, y), (dz, dx, dy) = wanted, sampled
        say(f"note: {dx},{dy},{dz} voxels (X,Y,Z) are sampled, and cut to the mask's {x},{y},{z}", quiet)
    learned = masked.head.classes.get(class_name)
    if learned and any(not 1 / _FAR < a / b < _FAR for a, b in zip(masked.condition.spacing, learned, strict=True)):
        (mz, mx, my), (lz, lx, ly) = masked.condition.spacing, learned
        say(
            f"note: the mask's voxels are {mx:.3g},{my:.3g},{mz:.3g} mm (X,Y,Z); the head learned {class_name} at "
            f"{lx:.3g},{ly:.3g},{lz:.3g} mm",
            quiet,
        )

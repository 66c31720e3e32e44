"""``recon generate --output-spacing``: new volumes at any voxel size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say

if TYPE_CHECKING:
    from priors.diffusion.anatomy import Size
    from priors.generators.generator import Generator
    from recon.generation.output_grid import OutputGrid


def millimetres(flag: str, text: str) -> tuple[float, float, float]:
    """A voxel size X,Y,Z in mm in the order (z, x, y).

    Raises:
        click.UsageError: no three positive numbers.
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"{flag} {text}: must be three numbers X,Y,Z in mm, such as 0.7,0.7,1") from None
    if not all(0 < each < 1000 for each in (x, y, z)):
        raise click.UsageError(f"{flag} {text}: must be positive, in mm")
    return z, x, y


def check_grid_options(ctx: click.Context) -> None:
    """Refuse options that go only with ``--output-spacing``, or that cannot go with it.

    Raises:
        click.UsageError: names the option.
    """
    spaced = ctx.params["output_spacing"] is not None
    if ctx.params["decoder"] is not None and not spaced:
        raise click.UsageError("--decoder: say --output-spacing with it", ctx)
    if spaced and ctx.params["mask"] is not None:
        raise click.UsageError("--output-spacing: has no effect with --mask, whose grid the volume has", ctx)


def load_grid(
    generator: Generator,
    text: str | None,
    decoder: Path | None,
    prior_name: str,
    size: Size,
    spacing: tuple[float, float, float],
    quiet: bool,
) -> OutputGrid | None:
    """The grid that volumes are decoded on, None for the sampled one; it is said where its voxels were not learned."""
    if text is None:
        return None
    wanted = millimetres("--output-spacing", text)
    from priors.weights.store import find_prior
    from recon.generation.output_grid import decoder_in, load_output_grid, patch_volume_prior

    patch_volume_prior(generator)
    grid = load_output_grid(generator, decoder or decoder_in(find_prior(prior_name)), wanted, size, spacing)
    if not grid.learned:
        config = grid.decoder.config
        edges = ",".join(f"{grid.axes[axis].cell:.3g}" for axis in (1, 2, 0))
        say(
            f"note: the output's voxels are {edges} times (X,Y,Z) those of --spacing; the implicit decoder learned "
            f"{config.finest:g} to {config.coarsest:g} times",
            quiet,
        )
    return grid

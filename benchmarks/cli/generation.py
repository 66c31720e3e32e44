"""``benchmarks run table2``, ``table3``, ``table4``, ``fig6``: generators beside each other and beside real volumes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.harmless import harmless
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from benchmarks.generation.competitors import Asked
    from benchmarks.generation.spec import GenerationSpec
    from priors.diffusion.anatomy import Size

OWN = ("class_name", "priors", "count", "features", "size", "steps", "cache")
"""What tables of generators alone take."""

TAKEN = ("table", "data", "split", "out", "device", "as_json", *OWN)
"""What they take."""


@dataclass(frozen=True)
class GenerationOptions:
    """What a table of generators is told."""

    data: tuple[Path, ...]
    split: str | None
    device: str
    out: Path
    as_json: bool
    class_name: str | None
    priors: tuple[str, ...]
    count: int
    features: str
    size: str | None
    steps: tuple[str, ...]
    cache: Path | None


def generation_table(name: str, given: GenerationOptions) -> None:
    """Run a table of generators, print it, and write its results and its page into a folder of its name."""
    from benchmarks.generation.spec import load_generation_spec

    with input_errors():
        spec = load_generation_spec(name)
    asked = _asked(spec, given)
    run = _cost_table if spec.compares == "cost" else _quality_table
    run(name, spec, asked, given)


def _quality_table(name: str, spec: GenerationSpec, asked: Asked, given: GenerationOptions) -> None:
    import torch

    from benchmarks.generation import text
    from benchmarks.generation.files import write_all
    from benchmarks.generation.real import RealData, parse_parts
    from benchmarks.generation.run import GenerationRequest, run_generation

    if not given.data:
        raise InputError(f"`data`: {name} compares with real volumes; name their folder, or a YAML list of data sets")
    parts = parse_parts([str(each) for each in given.data], asked.anatomy)
    real = RealData(parts, given.split or "train", given.cache or given.out / "generation" / "cache")
    device = torch.device(given.device)
    request = GenerationRequest(name, spec, asked, real, given.count, given.features, given.out, device)
    finished = run_generation(request, lambda line: say(in_flags(line)))
    written = write_all(finished, given.out / name)
    _print(finished.result.to_dict(), text.table(finished.result), given.as_json, written)


def _cost_table(name: str, spec: GenerationSpec, asked: Asked, given: GenerationOptions) -> None:
    import torch

    from benchmarks.generation.cost import CostRequest, run_cost
    from benchmarks.generation.cost_files import cost_text, write_cost

    for option, value in {"data": given.data, "split": given.split, "features": given.features}.items():
        if value:
            raise InputError(f"`{option}`: has no effect on {name}, which looks at no real volumes")
    request = CostRequest(name, spec, asked, given.count, given.out, torch.device(given.device))
    result = run_cost(request, lambda line: say(in_flags(line)))
    written = write_cost(result, given.out / name)
    _print(result.to_dict(), cost_text(result), given.as_json, written)


def _print(plain: dict[str, object], words: str, as_json: bool, written: list[Path]) -> None:
    click.echo(json.dumps(plain, indent=2) if as_json else harmless(in_flags(words)))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


def _asked(spec: GenerationSpec, given: GenerationOptions) -> Asked:
    from benchmarks.generation.competitors import Asked
    from priors.diffusion.anatomy import find_class

    with input_errors("`class`"):
        anatomy = find_class(given.class_name) if given.class_name else spec.usual_class
    return Asked(anatomy, given.priors, read_size(given.size), _steps(given.steps))


def read_size(text: str | None) -> Size | None:
    """``--size`` (X,Y,Z) in the order (z, x, y)."""
    if text is None:
        return None
    try:
        x, y, z = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"`size` {text}: must be three whole numbers X,Y,Z, such as 64,64,64") from None
    if min(x, y, z) < 1:
        raise InputError(f"`size` {text}: must be 1 or more along each axis")
    return z, x, y


def _steps(texts: tuple[str, ...]) -> dict[str, int]:
    """``--steps`` by method, under "" for all."""
    found = {}
    for text in texts:
        method, _, number = text.rpartition("=")
        if not number.isdecimal() or int(number) < 1:
            raise InputError(f"`steps` {text}: must be a whole number from 1, or METHOD=NUMBER such as WDM=100")
        found[method] = int(number)
    return found

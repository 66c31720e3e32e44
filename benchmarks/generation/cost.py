"""What generators cost: training, time and memory of a volume, and operations, counted (Table II)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.generation.cells import Cells, key_of
from benchmarks.generation.competitors import NO_WEIGHTS, Asked, Competitor, Field, find_competitors
from benchmarks.generation.flops import counted
from benchmarks.generation.full_size import FULL_SIZE, FullSize, full_size
from benchmarks.generation.make import generated, make_volumes, sampled, volume_folder
from benchmarks.generation.result import Sampled
from benchmarks.generation.spec import GenerationSpec
from benchmarks.generation.training import Trained, trained
from benchmarks.table.published import published
from priors.diffusion.anatomy import Size
from recon.run.memory import memory_errors

Announce = Callable[[str], None]


@dataclass(frozen=True)
class CostRequest:
    """What is to be measured.

    Attributes:
        table: the name of the table.
        spec: the specification of the table.
        asked: what is asked of all generators; without folders, the published sizes alone are counted.
        count: the number of volumes whose time is measured, of which those that other tables made count too.
        out: the folder of all results.
        device: the device that computes.
    """

    table: str
    spec: GenerationSpec
    asked: Asked
    count: int
    out: Path
    device: torch.device


@dataclass(frozen=True)
class CostRow:
    """One trained generator: its training, its volumes, and the operations of one of them."""

    label: str
    method: str
    trained: Trained
    sampled: Sampled
    flops: int


@dataclass(frozen=True)
class CostResult:
    """What generators cost.

    Attributes:
        table: the name of the table.
        title: the title of the table.
        anatomy: the name of the class.
        methods: the methods of the table in their order.
        size: the size (z, x, y) of the volumes in voxels; None where no trained generator was given.
        rows: the trained generators.
        full: the networks at their published size, for volumes of 256 × 256 × 256 voxels.
        absent: the label of each method without a result, and why.
    """

    table: str
    title: str
    anatomy: str
    methods: tuple[str, ...]
    size: Size | None
    rows: tuple[CostRow, ...]
    full: tuple[FullSize, ...]
    absent: tuple[tuple[str, str], ...]

    @property
    def paper(self) -> dict[str, Any] | None:
        """The paper's own figures; never ours."""
        return published(self.table)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the paper's figures stand apart."""
        return {
            "table": self.table,
            "title": self.title,
            "class": self.anatomy,
            "size": list(self.size) if self.size else None,
            "rows": [asdict(row) for row in self.rows],
            "full_size": [asdict(each) | {"flops": each.flops, "parameters": each.parameters} for each in self.full],
            "absent": [{"label": label, "reason": reason} for label, reason in self.absent],
            "paper": self.paper,
        }


def run_cost(request: CostRequest, announce: Announce = print) -> CostResult:
    """Measure and count.

    Raises:
        InputError: a generator that cannot be used.
        RunError: a generator that failed.
    """
    spec = request.spec
    field = find_competitors(spec.methods, request.asked) if request.asked.folders else None
    rows = [_row(request, field, each, announce) for each in field.competitors] if field else []
    full, uncounted = _full_sizes(announce)
    absent = field.absent if field else tuple((method, NO_WEIGHTS) for method in spec.methods)
    return CostResult(
        request.table,
        spec.title,
        request.asked.anatomy.name,
        spec.methods,
        field.size if field else None,
        tuple(rows),
        full,
        (*absent, *uncounted),
    )


def _full_sizes(announce: Announce) -> tuple[tuple[FullSize, ...], tuple[tuple[str, str], ...]]:
    """The networks at their published size, and those that cannot be made here, each with the reason."""
    full, left = [], []
    for method in FULL_SIZE:
        announce(f"{method}: operations at the published size are counted")
        try:
            full.append(full_size(method))
        except ValueError as error:  # such as a package that is not installed
            left.append((f"{method} at its published size", " ".join(str(error).split())))
    return tuple(full), tuple(left)


def _cells(request: CostRequest) -> Cells:
    return Cells(request.out / "generation" / "cells")


def _row(request: CostRequest, field: Field, competitor: Competitor, announce: Announce) -> CostRow:
    anatomy, size, spacing = request.asked.anatomy, field.size, field.spacing
    folder = volume_folder(competitor, anatomy, size, spacing, request.out / "generation" / "volumes")
    made = make_volumes(competitor, anatomy, size, folder, range(request.count), request.device, announce)
    key = key_of("flops", folder.folder.name)
    known = _cells(request).get(key)
    if known is None:
        announce(f"{competitor.label}: one volume more, to count its operations")
        with memory_errors():
            competitor.generator.to(request.device)
            flops = counted(lambda: generated(competitor, anatomy, size, spacing, 0))
            competitor.generator.to("cpu")
        known = _cells(request).put(key, {"flops": flops})
    return CostRow(
        competitor.label,
        competitor.generator.method,
        trained(competitor.folder),
        sampled(competitor, folder, made),
        int(known["flops"]),
    )

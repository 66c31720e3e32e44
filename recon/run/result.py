"""The content of ``result.json``: numbers are numbers, what does not apply is null. Keys only grow."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets.identity import file_sha256
from recon.run import provenance
from recon.run.outcome import CONVENTION, TASKS, Outcome
from recon.run.residual import EDGES
from recon.scan.volume import Source

VOLUME = "recon.nii.gz"


@dataclass(frozen=True)
class Record:
    """What was asked for, beside what the outcomes themselves tell.

    Attributes:
        command: the command line in one text; None for a call from Python.
        options: every option of the command with its value, defaults too; None for a call from Python.
        date: the time at which the result was written, in UTC.
    """

    command: str | None = None
    options: dict[str, Any] | None = None
    date: datetime = field(default_factory=lambda: datetime.now(UTC))


def volume_name(outcome: Outcome, outcomes: Sequence[Outcome], stem: str = "recon") -> str:
    """The file of an outcome's volume: one of several has its method's name."""
    return f"{stem}.nii.gz" if len(outcomes) == 1 else f"{stem}-{outcome.method}.nii.gz"


def result_json(outcomes: Sequence[Outcome], path: Path, record: Record) -> dict[str, Any]:
    """The content of ``result.json`` of one or more outcomes of one measurement.

    Args:
        outcomes: outcomes by different methods. What concerns a method stands in ``results``, one entry a method; the
            last one's stands at the top too.
        path: the folder in which the volumes are.
        record: what was asked for.
    """
    outcome = outcomes[-1]
    protocol = outcome.measurement.protocol
    source = outcome.result.source
    results = [_of_method(each, path / volume_name(each, outcomes)) for each in outcomes]
    return finite(
        {
            "task": TASKS[outcome.modality],
            "input": str(source.path) if source else None,
            "input_name": source.path.name if source else None,
            "input_sha256": _input_hash(source),
            "shape": list(outcome.result.data.shape),
            "spacing_mm": [round(s, 6) for s in outcome.result.spacing]
            if source is None or source.spacing_known
            else None,
            "unit": outcome.unit or None,
            "baseline": {"method": outcome.baseline_method} | outcome.baseline_metrics,
            "geometry": protocol.geometry,
            "mask": protocol.mask,
            "true_acceleration": protocol.true_acceleration,
            "noise": protocol.noise,
            "model_error": protocol.model_error,
            "sigma": outcome.measurement.noise_level if outcome.measurement.sigma is not None else None,
            "simulation": protocol.simulation,
            "seed": outcome.seed,
            "peak_rss_mb": round(provenance.peak_rss_mb(), 1),
            "device": outcome.device,
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "convention": CONVENTION,
            "date": record.date.isoformat(timespec="seconds"),
            "command": record.command,
            "options": record.options,
            **results[-1],
            "results": results,
        }
    )


def finite(value: Any) -> Any:
    """A value of JSON in which NaN and infinity, which JSON has not, are null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _of_method(outcome: Outcome, volume: Path) -> dict[str, Any]:
    """What concerns the method alone."""
    residual = outcome.residual
    return {
        "method": outcome.method,
        "settings": outcome.settings,
        "settings_resolved": outcome.resolved,
        "output": str(volume),
        "metrics": outcome.metrics,
        "residual_over_sigma": None
        if residual.deviations is None
        else {"rms": residual.deviations, "edges": list(EDGES), "counts": list(residual.counts)},
        "iterations": outcome.trace[-1][0] if outcome.trace else None,
        "seconds": round(outcome.seconds, 3),
        "weights_sha256": outcome.weights,
        "notices": list(outcome.all_notices),
    }


def _input_hash(source: Source | None) -> str | None:
    """SHA-256 of the input file; of a DICOM series, of its files' hashes in the order of the slices."""
    if source is None:
        return None
    files = source.header.get("files") or [source.path]
    if not all(Path(file).is_file() for file in files):
        return None
    hashes = [file_sha256(Path(file)) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()

"""From an outcome to files: ``recon.nii.gz``, ``result.json``, ``report.html``, a DICOM series on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon.errors import InputError
from recon.io.atomic import output_folder
from recon.io.ours import FILES, fingerprints
from recon.methods.method import method_label
from recon.run import provenance
from recon.run.memory import memory_errors
from recon.run.outcome import CONVENTION, TASKS, Outcome
from recon.scan.units import CT_WINDOW
from recon.scan.volume import Volume

REPORT = "report.html"
RESULT = "result.json"
VOLUME = "recon.nii.gz"


def save(path: Path | str, outcome: Outcome, *, overwrite: bool = False, dicom: bool = False) -> dict[str, Any]:
    """Write an outcome to a folder that appears whole or not at all.

    Args:
        path: folder to write.
        outcome: outcome of a reconstruction.
        overwrite: whether a folder of an earlier run may be replaced.
        dicom: whether to write a DICOM series too; the input must be one.

    Returns:
        The content of ``result.json``.

    Raises:
        InputError: the folder exists, or DICOM was asked for without DICOM input.
        RunError: no space left.
    """
    from recon.io.dicom.export import write_series
    from recon.io.nifti.volume import write_volume
    from recon.report import render

    if dicom:
        check_dicom(outcome.result)
    path = Path(path)
    result = result_json(outcome, path)
    with memory_errors(), output_folder(path, overwrite, _inputs(outcome.result)) as folder:
        write_volume(folder / VOLUME, outcome.result)
        if outcome.std is not None:
            write_volume(folder / "std.nii.gz", outcome.std)
        if dicom:
            write_series(folder / "dicom", outcome.result, f"{method_label(outcome.method)}, not for diagnosis")
        page = render(report_data(outcome, result))
        (folder / REPORT).write_text(page, encoding="utf-8", errors="surrogateescape")  # file names are any bytes
        result[FILES] = fingerprints(folder)
        (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _inputs(volume: Volume) -> list[Path]:
    """The files and folders that the volume's grid was read from."""
    source = volume.source
    return [source.path, *source.header.get("files", [])] if source else []


def check_dicom(volume: Volume) -> None:
    """Refuse, before any work, DICOM output for an input that is no DICOM series."""
    if volume.source is None or volume.source.format != "dicom":
        raise InputError("`dicom`: a DICOM series needs the headers of a DICOM input; leave it out or give a folder")
    from recon.io.dicom.export import check_exportable

    check_exportable(volume)


def result_json(outcome: Outcome, path: Path) -> dict[str, Any]:
    """The content of ``result.json``: numbers are numbers, what does not apply is null."""
    protocol = outcome.measurement.protocol
    source = outcome.result.source
    return {
        "task": TASKS[outcome.modality],
        "method": outcome.method,
        "settings": outcome.settings,
        "input": str(source.path) if source else None,
        "output": str(path / VOLUME),
        "shape": list(outcome.result.data.shape),
        "spacing_mm": [round(s, 6) for s in outcome.result.spacing] if source is None or source.spacing_known else None,
        "metrics": outcome.metrics,
        "baseline": {"method": outcome.baseline_method} | outcome.baseline_metrics,
        "geometry": protocol.geometry,
        "mask": protocol.mask,
        "true_acceleration": protocol.true_acceleration,
        "noise": protocol.noise,
        "model_error": protocol.model_error,
        "seed": outcome.seed,
        "iterations": outcome.trace[-1][0] if outcome.trace else None,
        "seconds": round(outcome.seconds, 3),
        "peak_rss_mb": round(provenance.peak_rss_mb(), 1),
        "device": outcome.device,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "weights_sha256": outcome.weights,
        "convention": CONVENTION,
        "notices": list(outcome.all_notices),
    }


def report_data(outcome: Outcome, result: dict[str, Any]) -> Any:
    """What the report shows (a :class:`recon.report.ReportData`)."""
    from recon.report import ReportData

    source = outcome.result.source
    images = {} if outcome.truth is None else {"truth": _shown_truth(outcome.truth)}
    images |= {"baseline": outcome.baseline.data.numpy(), "result": outcome.result.data.numpy()}
    labels = {
        "truth": "Ground truth",
        "baseline": method_label(outcome.baseline_method),
        "result": method_label(outcome.method),
    }
    metrics = {labels["baseline"]: outcome.baseline_metrics}
    if outcome.method == outcome.baseline_method:
        del images["baseline"]
    metrics[labels["result"]] = outcome.metrics
    if outcome.std is not None:
        images["std"] = outcome.std.data.numpy()
    what, mask = ("Sparse-view CT", None) if outcome.modality == "CT" else ("Accelerated MR", _mask(outcome))
    return ReportData(
        title=f"{what}: {method_label(outcome.method)}",
        case=_case(outcome.result, outcome.truth) | _intervals(outcome),
        protocol=list(outcome.measurement.protocol.sentences),
        notices=list(outcome.all_notices),
        modality=outcome.modality,
        images=images,
        labels=labels,
        spacing=outcome.result.spacing,
        metrics=metrics,
        data_picture=_data_picture(outcome),
        mask=mask,
        trace=outcome.trace,
        provenance=_provenance(result),
        sides_known=source is None or source.orientation_known,
        sizes_known=source is None or source.spacing_known,
    )


def _shown_truth(truth: Volume) -> np.ndarray:
    """The ground truth as the operator saw it: padding below -1000 HU is air, and no error of a reconstruction."""
    data = truth.data.numpy()
    return np.maximum(data, np.float32(CT_WINDOW[0])) if truth.modality == "CT" else data


def _case(volume: Volume, truth: Volume | None) -> dict[str, str]:
    z, y, x = volume.data.shape
    dz, dy, dx = volume.spacing
    case = {"Input": volume.source.path.name if volume.source else "in memory"}
    if volume.source:
        case["Format"] = volume.source.format
    size = f"{dx:.4g} × {dy:.4g} × {dz:.4g} mm"
    if volume.source and not volume.source.spacing_known:
        size = "of unknown size"
    case["Grid"] = f"{x} × {y} × {z} voxels (x × y × z), {size}"
    if truth is not None:
        unit = " HU" if volume.modality == "CT" else ""
        case["Range"] = f"{float(truth.data.min()):g} to {float(truth.data.max()):g}{unit}"
    return case


def _intervals(outcome: Outcome) -> dict[str, str]:
    """How often the intervals of the standard deviation contain the ground truth, beside how often they should."""
    if not outcome.coverage:
        return {}
    pairs = ", ".join(f"{100 * level:.0f} %: {100 * held:.0f} %" for level, held in outcome.coverage.items())
    return {"Calibration": f"in the body, intervals of nominal size contain the ground truth: {pairs}"}


def _mask(outcome: Outcome) -> np.ndarray | None:
    mask = outcome.measurement.operator.mask
    return None if mask is None else mask.cpu().numpy()


def _data_picture(outcome: Outcome) -> np.ndarray:
    """The middle slice's sinogram, or log magnitude of its first coil's k-space."""
    middle = outcome.measurement.y[outcome.measurement.y.shape[0] // 2].cpu()
    if outcome.modality == "CT":
        return middle.numpy()
    magnitude = middle[0].abs()
    return torch.log10(magnitude.clamp_min(1e-4 * float(magnitude.max()) or 1.0)).numpy()


def _provenance(result: dict[str, Any]) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version)
    settings = (
        ", ".join(f"{key}={'auto' if value is None else value}" for key, value in result["settings"].items())
        or "defaults"
    )
    return {
        "Method settings": settings,
        "Seed": str(result["seed"]),
        "Time of the method": f"{result['seconds']:.1f} s",
        "Peak memory": f"{result['peak_rss_mb']:.0f} MB",
        "Device": result["device"],
        "Versions": versions,
        "Commit": result["commit"] or "installed package",
        "Metrics": "CT: window −1000 to 1000 HU; MR: range is the reference's maximum; SSIM by axial slice, 7×7",
    }

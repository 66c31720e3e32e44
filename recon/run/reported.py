"""What the report shows of outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from recon.methods.method import method_label
from recon.report import ReportData
from recon.report.data import STD, TRUTH
from recon.run.outcome import Outcome
from recon.scan.units import CT_WINDOW
from recon.scan.volume import Volume


def report_data(outcomes: Sequence[Outcome], result: dict[str, Any]) -> ReportData:
    """What the report shows of one or more outcomes of one measurement, side by side.

    Args:
        outcomes: outcomes by different methods.
        result: the content of their ``result.json``.
    """
    outcome = outcomes[-1]
    source = outcome.result.source
    images, labels, metrics = _compared(outcomes)
    cone = outcome.modality == "CT" and not outcome.measurement.operator.separable
    of_ct = "Cone-beam CT" if cone else "Sparse-view CT"
    what, mask = (of_ct, None) if outcome.modality == "CT" else ("Accelerated MR", _mask(outcome))
    return ReportData(
        title=f"{what}: {', '.join(method_label(each.method) for each in outcomes)}",
        case=_case(outcome.result, outcome.truth) | _intervals(outcome),
        protocol=list(outcome.measurement.protocol.sentences),
        notices=list(dict.fromkeys(notice for each in outcomes for notice in each.all_notices)),
        modality=outcome.modality,
        images=images,
        labels=labels,
        spacing=outcome.result.spacing,
        metrics=metrics,
        data_picture=_data_picture(outcome),
        mask=mask,
        trace=outcome.trace,
        provenance=_provenance(result),
        residuals={method_label(each.method): each.residual for each in outcomes if each.residual.counts},
        ct_unit="" if outcome.unit == "none" else outcome.unit or "HU",
        sides_known=source is None or source.orientation_known,
        sizes_known=source is None or source.spacing_known,
        projection=outcome.measurement.y[:, 0].cpu().numpy() if cone else None,
    )


def _compared(
    outcomes: Sequence[Outcome],
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, dict[str, float | None]]]:
    """Images, their labels and their figures: ground truth, direct method, each result, standard deviation."""
    first, several = outcomes[0], len(outcomes) > 1
    images = {} if first.truth is None else {TRUTH: _shown_truth(first.truth)}
    labels = {TRUTH: "Ground truth"}
    metrics: dict[str, dict[str, float | None]] = {}
    if all(each.method != first.baseline_method for each in outcomes):
        images["baseline"], labels["baseline"] = first.baseline.data.numpy(), method_label(first.baseline_method)
        metrics[labels["baseline"]] = first.baseline_metrics
    for each in outcomes:
        key = each.method if several else "result"
        images[key], labels[key] = each.result.data.numpy(), method_label(each.method)
        metrics[labels[key]] = each.metrics
    for each in outcomes:
        if each.std is not None and STD not in images:
            images[STD] = each.std.data.numpy()
            labels[STD] = f"Standard deviation of {method_label(each.method)}" if several else "Standard deviation"
    return images, labels, metrics


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
    """What of k-space, or of the detector, was measured; None of all, and of what no picture shows."""
    mask = outcome.measurement.operator.mask
    return None if mask is None or mask.ndim > 3 else mask.cpu().numpy()


def _data_picture(outcome: Outcome) -> np.ndarray:
    """The middle slice's (of a cone beam, the middle row's) sinogram, or log magnitude of its first coil's k-space."""
    middle = outcome.measurement.y[outcome.measurement.y.shape[0] // 2].cpu()
    if outcome.modality == "CT":
        return middle.numpy()
    magnitude = middle[0].abs()
    return torch.log10(magnitude.clamp_min(1e-4 * float(magnitude.max()) or 1.0)).numpy()


def _provenance(result: dict[str, Any]) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version)
    several = len(result["results"]) > 1
    facts: dict[str, str] = {}
    for each in result["results"]:
        suffix = f" of {method_label(each['method'])}" if several else ""
        facts["Method settings" + suffix] = settings_text(each)
        facts["Time of the method" + suffix if not several else "Time" + suffix] = f"{each['seconds']:.1f} s"
    return facts | {
        "Seed": str(result["seed"]),
        "Command": result["command"] or "from Python",
        "Date": result["date"],
        "Input": f"{result['input_name'] or 'in memory'}, SHA-256 {result['input_sha256'] or 'unknown'}",
        "Peak memory": f"{result['peak_rss_mb']:.0f} MB",
        "Device": result["device"],
        "Versions": versions,
        "Commit": result["commit"] or "installed package",
        "Metrics": "CT: window −1000 to 1000 HU; MR: range is the reference's maximum; SSIM by axial slice, 7×7",
    }


def settings_text(of_method: dict[str, Any]) -> str:
    """The options that were set, and those that were not; files and names that were not given are no setting."""
    given, all_values = of_method["settings"], of_method["settings_resolved"]
    left = {key: value for key, value in all_values.items() if key not in given and value != ""}
    parts = (_listed(given), f"defaults {_listed(left)}" if left else "")
    return "; ".join(part for part in parts if part) or "defaults"


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={'auto' if value is None else value}" for key, value in values.items())

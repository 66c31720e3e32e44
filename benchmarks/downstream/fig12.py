"""Run Fig. 12: five settings of real and synthetic volumes, five folds, one nnU-Net for each, one held-out set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.downstream import segmentation_scores
from benchmarks.downstream.folds import FOLDS, SETTINGS, Division, Setting, divide, find_settings, splits
from benchmarks.downstream.nnunet import NnUNet, find_nnunet
from benchmarks.downstream.raw_data import write_raw
from benchmarks.downstream.segmentation_cases import check_segmented, check_synthetic, identity, synthetic_file
from benchmarks.downstream.segmentation_result import FoldResult, SegmentationResult, SettingResult, fold_result
from benchmarks.downstream.segmentation_scores import score_files
from benchmarks.downstream.synthetic_volumes import STEPS, HeadVolumes
from benchmarks.downstream.training import How, Workspace
from benchmarks.generation.cells import Cells, key_of
from benchmarks.quality import segmentation_metrics
from benchmarks.table.names import names_for
from datasets import find_entry, open_dataset
from datasets.case import Case
from datasets.identity import file_sha256
from recon.errors import InputError, input_errors

Announce = Callable[[str], None]

_FOLDER = "segmentation"


@dataclass(frozen=True)
class Fig12Request:
    """What is to be run.

    Attributes:
        dataset: the name of the data set, such as ``kits19`` or ``phantom:count=40``.
        path: the folder of the data set; None for one that is generated.
        settings: the short names of the settings to run; none for all.
        nnunet: the folder of nnU-Net's commands; None for those on the PATH.
        synthetic: a folder of given synthetic volumes; None where a head makes them, or none take part.
        head: the file or name of a head that makes them; None for given ones.
        prior: the name or folder of the head's prior; None for the installed one with its hash.
        how: how networks are trained.
        out: the folder of all results.
    """

    dataset: str
    path: Path | None
    settings: tuple[str, ...]
    nnunet: Path | None
    synthetic: Path | None
    head: str | None
    prior: str | None
    how: How
    out: Path


def run_fig12(request: Fig12Request, announce: Announce = print) -> SegmentationResult:
    """Run what is missing, and put the figure together; finished networks and their scores are kept.

    Raises:
        InputError: nnU-Net, data, synthetic volumes or settings that cannot be used.
        RunError: nnU-Net failed; what was finished before is kept.
    """
    nnunet = find_nnunet(request.nnunet)
    with input_errors():
        settings = find_settings(request.settings)
    cases, division = _divided(request)
    synthetic, words = _synthetic(request, settings, division, announce)
    workspace = Workspace(nnunet, _workspace_folder(request, nnunet, division, synthetic), request.how)
    write_raw(workspace.raw, division, synthetic, announce)
    workspace.plan(announce)
    entry = find_entry(request.dataset.partition(":")[0])
    names = names_for(cases if entry.names_people else [], request.out)
    called = [names.case(case) for case in division.test]
    cells = Cells(request.out / _FOLDER / "cells")
    finished = [_run(workspace, setting, division, called, cells, announce) for setting in settings]
    left = tuple((each.label, "not asked for") for each in SETTINGS if each not in settings)
    return SegmentationResult(
        entry.title,
        len(division.training),
        len(division.test),
        words,
        request.how,
        nnunet.version,
        tuple(finished),
        left,
    )


def _divided(request: Fig12Request) -> tuple[list[Case], Division]:
    with input_errors("`dataset`"):
        cases = open_dataset(request.dataset, request.path, modality=_modality(request)).cases()
        division = divide(cases)
    check_segmented(cases)
    return cases, division


def _modality(request: Fig12Request) -> Any:
    """CT, where the data set must be told."""
    return "CT" if find_entry(request.dataset.partition(":")[0]).modality is None else None


def _synthetic(
    request: Fig12Request, settings: Sequence[Setting], division: Division, announce: Announce
) -> tuple[Path | None, str]:
    """The folder of synthetic volumes and what they are in words; none where no setting needs them and none is named.

    Raises:
        InputError: settings that need some and none named, or a folder that lacks some.
    """
    members = list(division.training)
    if request.head is not None:
        from recon.generation.mask import load_mask_head

        head = load_mask_head(request.head, request.prior)
        head.prior.to(request.how.device)
        folder = HeadVolumes(head, request.out / _FOLDER).make(members, announce)
        return folder, f"made by the head {head.sha256[:16]} in {STEPS} steps, one for each mask"
    if request.synthetic is not None:
        check_synthetic(request.synthetic, members)
        return request.synthetic, "given by the user, one for each mask"
    if any(setting.synthetic for setting in settings):
        raise InputError(
            "`synthetic`: the folder of volumes that were generated for the segmentations is wanted, or a `head` that "
            "makes them; the setting real alone needs none"
        )
    return None, ""


def _workspace_folder(request: Fig12Request, nnunet: NnUNet, division: Division, synthetic: Path | None) -> Path:
    """A folder whose name ends with the hash of everything that the networks depend on."""
    members = [
        [*identity(each.case), file_sha256(synthetic_file(synthetic, each.case)) if synthetic else ""]
        for each in division.training
    ]
    test = [identity(case) for case in division.test]
    plan = [splits(division, setting) for setting in SETTINGS]
    key = key_of(members, test, plan, request.how.facts(), request.how.device, nnunet.version)
    return request.out.absolute() / _FOLDER / f"nnunet-{key[:16]}"


def _run(
    workspace: Workspace,
    setting: Setting,
    division: Division,
    called: Sequence[str],
    cells: Cells,
    announce: Announce,
) -> SettingResult:
    folds = []
    for fold in range(FOLDS):
        key = key_of(workspace.folder.name, setting.key, fold, _scoring_sha256())
        cell = cells.get(key)
        if cell is None:
            cell = cells.put(key, _cell(workspace, setting, fold, division, announce))
        folds.append(_fold(cell, setting, fold, division, called))
    return SettingResult(setting.key, setting.label, tuple(folds))


def _cell(workspace: Workspace, setting: Setting, fold: int, division: Division, announce: Announce) -> dict[str, Any]:
    """Train, predict and score one network."""
    training = workspace.train(setting, fold, division, announce)
    predictions, seconds = workspace.predict(setting, fold, announce)
    cases = {
        name: score_files(workspace.raw.test_labels(name), predictions / f"{name}.nii.gz")
        for name in division.named_test
    }
    return {"fold": fold, "training_seconds": training, "prediction_seconds": seconds, "cases": cases}


def _fold(cell: dict[str, Any], setting: Setting, fold: int, division: Division, called: Sequence[str]) -> FoldResult:
    members = setting.members(division, fold)
    real = sum(name.startswith("real") for name in members)
    return fold_result(cell, called, (real, len(members) - real))


@lru_cache(maxsize=1)
def _scoring_sha256() -> str:
    """Hash of how predictions are scored."""
    files = [Path(module.__file__ or "") for module in (segmentation_scores, segmentation_metrics)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

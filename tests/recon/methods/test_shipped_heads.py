"""The heads that come with the package: small, sound, found by the scan, and no worse than what they start from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import run_recon

from datasets import sample
from priors.weights.card import read_card
from priors.weights.networks import verify
from priors.weights.seen import seen_in
from priors.weights.store import shipped_folder
from recon.diffusion.controlnet_head import find_head, load_head
from recon.io.detect import read_any
from recon.io.nifti.volume import write_volume
from recon.learned.refiner import load_refiner
from recon.scan.measurement import Protocol
from recon.scan.volume import Volume

HEADS = shipped_folder() / "starter" / "heads"


def middle(kind: str, edge: int, slices: int) -> Volume:
    """A cube from the middle of a shipped sample."""
    volume = read_any(sample.path(kind), "CT" if kind == "ct" else "MR")
    assert isinstance(volume, Volume)
    first = [(size - want) // 2 for size, want in zip(volume.data.shape, (slices, edge, edge), strict=True)]
    z, y, x = (slice(f, f + want) for f, want in zip(first, (slices, edge, edge), strict=True))
    shift = np.eye(4)
    shift[:3, 3] = first[::-1]
    return replace(volume, data=volume.data[z, y, x].contiguous(), affine=volume.affine @ shift)


@pytest.mark.parametrize("name", ["svct", "svct-arc", "mri", "mri-coils"])
def test_they_are_small_sound_and_learned_from_no_held_out_case(name: str) -> None:
    for path in (HEADS / f"{name}.safetensors", HEADS / f"{name}-refiner.safetensors"):
        assert path.stat().st_size <= 12e6
        card = verify(path)
        assert card.licence == "Apache-2.0"
        for subject in ("LIDC-IDRI-0001", "hanke_T1_1mm_0"):
            assert not any(seen.knows(subject, f"test/{subject}") for seen in seen_in(card.extra))
    assert (
        read_card(HEADS / f"{name}-refiner.safetensors").extra["head"] == verify(HEADS / f"{name}.safetensors").sha256
    )


@pytest.mark.parametrize("views", [30, 40, 80])
def test_one_head_serves_a_range_of_views(views: int) -> None:
    from recon.acquisition.ct import choose_geometry

    head = load_head("", "", Protocol(geometry=choose_geometry("paper40", views).to_dict()), "CT")
    assert head.prior.name == "starter"
    assert head.path.stem == "svct", "though the head of many scanners knows such scans too"
    assert load_refiner("", head.path, head.sha256) is not None
    assert head.trained_with == {}, "no network made the images that it was shown"


@pytest.mark.parametrize("geometry", [{"arc": 120.0}, {"geometry": "limited90"}, {"views": 20}, {"views": 10}])
def test_a_head_of_many_scanners_serves_shorter_arcs_and_fewer_views(geometry: dict[str, Any]) -> None:
    from recon.acquisition.ct import choose_geometry

    scan = Protocol(geometry=choose_geometry(**geometry).to_dict(), simulation="continuous")
    head = load_head("", "", scan, "CT")
    assert head.path.stem == "svct-arc"
    assert load_refiner("", head.path, head.sha256) is not None
    assert find_head(scan, "CT", proven=True)[0] == head.path
    path, reason = find_head(replace(scan, simulation=None), "CT", proven=True)
    assert path is None
    assert "it was trained for an arc of 360 degrees" in reason or "views" in reason
    assert "measured" in reason
    path, reason = find_head(Protocol(geometry=choose_geometry(views=8).to_dict()), "CT")
    assert path is None
    assert "it was trained for 10 to 80 views, the scan has 8" in reason


@pytest.mark.parametrize("kind", ["poisson", "gauss1d"])
@pytest.mark.parametrize("accel", [4, 8])
def test_one_head_serves_both_masks(kind: str, accel: float) -> None:
    head = load_head("", "", Protocol(mask={"kind": kind, "accel": accel}), "MR")
    assert load_refiner("", head.path, head.sha256) is not None
    assert head.path.stem == "mri"
    assert head.trained_with is None, "its card says nothing"


@pytest.mark.parametrize("kind", ["poisson", "gauss1d", "equispaced", "random"])
@pytest.mark.parametrize("coils", [2, 8, 12])
def test_a_head_of_several_coils_serves_them_with_each_mask(kind: str, coils: int) -> None:
    scan = Protocol(mask={"kind": kind, "accel": 8.0}, coils=coils, simulation="continuous")
    head = load_head("", "", scan, "MR")
    assert head.path.stem == "mri-coils"
    assert load_refiner("", head.path, head.sha256) is not None
    assert list(head.trained_with or {}) == ["condition varnet: network"]
    assert find_head(scan, "MR", proven=True)[0] == head.path
    path, reason = find_head(replace(scan, simulation=None), "MR", proven=True)
    assert path is None
    assert "measured, of" in reason


def test_masks_that_the_head_of_one_coil_does_not_know_go_to_that_of_several() -> None:
    scan = Protocol(mask={"kind": "equispaced", "accel": 8.0}, simulation="continuous")
    path, _ = find_head(scan, "MR")
    assert path is not None
    assert path.stem == "mri-coils"
    assert find_head(scan, "MR", proven=True)[0] is None, "auto takes total variation"


@pytest.mark.parametrize(
    ("kind", "command"), [("ct", ["svct", "--views", 20]), ("mr", ["mri", "--mask", "poisson", "--accel", 4])]
)
def test_the_commands_take_them_and_are_better_for_it(kind: str, command: list[object], tmp_path: Path) -> None:
    case = tmp_path / "case.nii.gz"
    write_volume(case, middle(kind, 128, 8))
    psnr = {}
    for method in ("auto", "tv" if kind == "ct" else "modl"):
        run = run_recon(*command, "--method", method, "--input", case, "-o", tmp_path / method, "-q")
        assert run.code == 0, run.err
        result = json.loads((tmp_path / method / "result.json").read_text())
        psnr[result["method"]] = result["metrics"]["psnr"]
    assert psnr.pop("meddiffusion") > next(iter(psnr.values()))

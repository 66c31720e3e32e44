"""``recon generate --mask`` with a tiny prior and head of random weights: one grid, and errors in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from cli_helpers import run_recon
from tiny_prior import BASE, write_prior

from priors.networks.controlnet import ControlNet
from priors.weights.card import Card, save_weights
from priors.weights.networks import load_biflownet
from recon.errors import InputError
from recon.generation.mask import conditioned, load_mask_head, read_condition
from recon.learned.mask_task import MaskTask, mask_task

AFFINE = np.array([[0, 0, -2.0, 30], [0, -3.0, 0, 20], [-4.0, 0, 0, 10], [0, 0, 0, 1]])
"""Slices first, from superior to inferior, as KiTS19 stores them."""

TASK = mask_task({1: "kidney", 2: "tumour"})


def write_head(prior: Path, path: Path, task: MaskTask = TASK) -> Path:
    """A head of random weights that changes what it steers."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        base = load_biflownet(prior / "biflownet.safetensors")
        head = ControlNet.from_base(base, task.hint_channels(4, 4), task.to_dict())
        for parameter in head.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    extra = {"base_sha256": head.base_hash, "classes": {"CTLegs": [4.0, 2.0, 3.0]}}
    save_weights(path, head.state_dict(), Card("controlnet", head.config.to_dict(), extra=extra))
    return path


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def segmentation(body: bool = True) -> np.ndarray:
    array = np.zeros((20, 30, 40), np.uint8)
    array[2:18, 3:27, 4:36] = 255 if body else 0
    array[5:12, 8:16, 10:20] = 1
    array[8, 10, 12] = 2
    return array


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    prior = write_prior(folder / "tiny", replace(BASE, token_patch=1))
    write_head(prior, folder / "head.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights, tmp_path, dirs_exist_ok=True)
    save(tmp_path / "seg.nii.gz", segmentation())
    return tmp_path


COMMAND = ("generate", "--mask", "seg.nii.gz", "--head", "head.safetensors", "--prior", "tiny", "--steps", 1, "-q")


def test_image_and_mask_lie_on_the_grid_of_the_segmentation(folder: Path):
    run = run_recon(*COMMAND, "-o", "new.nii.gz")
    assert run.code == 0, run.err
    image, mask, given = (nibabel.load(folder / name) for name in ("new.nii.gz", "new_mask.nii.gz", "seg.nii.gz"))
    assert image.shape == mask.shape == given.shape
    assert np.allclose(image.affine, given.affine, atol=1e-4)
    assert np.allclose(mask.affine, given.affine, atol=1e-4)
    assert (np.asarray(mask.dataobj) == np.asarray(given.dataobj)).all()
    facts = json.loads((folder / "new.json").read_text())
    assert facts["class"] == "CTLegs"
    assert facts["shape"] == [20, 30, 40]
    assert facts["sampled_shape"] == [32, 32, 64]
    assert facts["spacing_mm"] == pytest.approx([4, 3, 2])
    assert facts["mask"]["labels"] == {"kidney": 1, "tumour": 2, "body": 255}
    assert facts["mask"]["voxels"]["tumour"] == 1
    assert len(facts["mask"]["sha256"]) == 64
    assert len(facts["weights_sha256"]["head"]) == 64


def test_the_size_that_is_sampled_is_said(folder: Path):
    run = run_recon(*COMMAND[:-1], "-o", "new.nii.gz")
    assert "note: 64,32,32 voxels (X,Y,Z) are sampled, and cut to the mask's 40,30,20" in run.err


def test_the_outline_of_an_image_becomes_the_body(folder: Path):
    save(folder / "bare.nii.gz", segmentation(body=False))
    save(folder / "ct.nii.gz", np.where(segmentation() > 0, 40.0, -1000.0).astype(np.float32))
    head = load_mask_head(folder / "head.safetensors", "tiny")
    condition = read_condition(head, folder / "bare.nii.gz", folder / "ct.nii.gz")
    whole = read_condition(head, folder / "seg.nii.gz")
    assert (condition.labels.data == whole.labels.data).all()
    assert torch.equal(condition.hint(head.prior), whole.hint(head.prior))


def test_a_tumour_changes_the_volume_where_it_is(folder: Path):
    head = load_mask_head(folder / "head.safetensors", "tiny")
    with_tumour = read_condition(head, folder / "seg.nii.gz")
    labels = replace(with_tumour.labels, data=with_tumour.labels.data.where(with_tumour.labels.data != 2, 1))
    hints = [each.hint(head.prior) for each in (with_tumour, replace(with_tumour, labels=labels))]
    assert int((hints[0] != hints[1]).any(1).sum()) == 1
    assert len(conditioned(head, with_tumour).heads) == 1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"mask": lambda f: save(f / "other.nii.gz", np.full((4, 4, 4), 9, np.uint8))},
            "does not know the label 9; it k",
        ),
        ({"mask": lambda f: save(f / "none.nii.gz", np.zeros((4, 4, 4), np.uint8))}, "every voxel is background"),
        ({"mask": lambda f: save(f / "bare.nii.gz", segmentation(False))}, "no voxel has the label 255 of the body"),
        ({"mask": lambda f: f / "missing.nii.gz"}, "missing.nii.gz: no such file"),
        ({"body": lambda f: save(f / "ct.nii.gz", np.random.rand(4, 4, 4).astype(np.float32))}, "on another grid ("),
        ({"head": lambda f: f / "tiny" / "biflownet.safetensors"}, "`head`: "),
    ],
)
def test_what_cannot_be_used_is_one_line(folder: Path, changes: dict[str, Any], line: str):
    given = {"head": folder / "head.safetensors", "mask": folder / "seg.nii.gz", "body": None}
    given |= {key: make(folder) for key, make in changes.items()}
    with pytest.raises(InputError) as refused:
        read_condition(load_mask_head(given["head"], "tiny"), given["mask"], given["body"])
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_head_of_another_prior_or_for_scans(folder: Path):
    other = write_prior(folder / "other", replace(BASE, token_patch=1, multipliers=(1, 1, 3)))
    head = load_mask_head(write_head(other, folder / "stranger.safetensors"), "tiny")
    with pytest.raises(InputError, match="`head`: this ControlNet head was made for a base of other sizes"):
        conditioned(head, read_condition(head, folder / "seg.nii.gz"))
    card = {"task": "svct", "conditions": ["fbp"]}
    network = ControlNet.from_base(load_biflownet(folder / "tiny" / "biflownet.safetensors"), 4, card)
    save_weights(folder / "scans.safetensors", network.state_dict(), Card("controlnet", network.config.to_dict()))
    with pytest.raises(InputError, match=r"scans\.safetensors: a head for scans \(svct\); one of the task mask"):
        load_mask_head(folder / "scans.safetensors", "tiny")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--mask", "seg.nii.gz"), "--head: --mask needs it"),
        (("--head", "head.safetensors"), "--mask: --head needs it"),
        (("--class", "CTLegs", "--body", "ct.nii.gz"), "--body: say --mask and --head with it"),
        ((*COMMAND[1:], "--size", "32,32,32"), "--size: has no effect with --mask"),
        ((), "Missing option '--class'"),
    ],
)
def test_options_that_do_not_go_together(folder: Path, options: tuple[Any, ...], line: str):
    run = run_recon("generate", *options)
    assert run.code == 2
    assert line in run.err


def test_a_head_for_segmentations_reconstructs_nothing(folder: Path):
    from recon.diffusion.controlnet_head import load_head
    from recon.training.request import task_of_head

    with pytest.raises(InputError, match=r"`weights`: a head of the task mask .* reconstructs nothing"):
        load_head(str(folder / "head.safetensors"), "tiny", None, "CT")  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"`head`: .*head\.safetensors: a head of the task mask .* nothing is to be ref"
    ):
        task_of_head(folder / "head.safetensors")

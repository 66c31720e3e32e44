"""A head that is shown segmentations: its samples, its training on phantoms, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from cli_helpers import Run, run_recon
from tiny_prior import BASE, networks, write_prior

from datasets import open_dataset
from datasets.cache import Cache
from datasets.sets.phantom import label_map
from priors.diffusion.schedule import GaussianDiffusion
from priors.weights.card import read_card
from recon.errors import InputError
from recon.learned.mask_task import mask_task
from recon.training.build_mask_head import label_weights
from recon.training.latents import Encoding
from recon.training.mask_latents import MaskSource, StoredMask, class_map, stored_mask
from recon.training.prepared import Prepared, prepare
from recon.training.settings.volumes import ControlNetTask

PHANTOMS = "phantom:count=8,anatomy=abdomen,seed=3,size=40x64x64,spacing=8x6x6"
TASK = mask_task({1: "kidney", 2: "tumour"})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def volume(cache: Cache) -> Prepared:
    """A phantom with kidneys."""
    case = next(case for case in open_dataset(PHANTOMS).cases() if (label_map(case) == 1).any())
    return prepare([case], cache)[0]


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prior(tmp_path_factory.mktemp("prior") / "tiny", replace(BASE, token_patch=1))


def train(prior: Path, cache: Cache, out: Path, *more: Any) -> Run:
    common = ("--base", prior, "--cache", cache.folder, "--out", out, "--device", "cpu", "-q")
    tiny = ("--recipe", "tiny", "--set", "steps=2", "--set", "batch=1", "--set", "validation.every=2")
    return run_recon("train", "controlnet", "--task", "mask", *common, *tiny, *more)


def test_classes_are_the_labels_in_the_network_s_axes_with_the_body_around(volume: Prepared, cache: Cache):
    classes = class_map(volume, TASK, cache)
    labels = label_map(volume.case).transpose(0, 2, 1)
    assert ((classes == 2) == (labels == 1)).all()
    assert ((classes == 3) == (labels == 2)).all()
    assert (classes == 1).sum() > (classes > 1).sum()
    assert (np.asarray(volume.data)[classes == 0] < 0).mean() > 0.9


def test_a_segmentation_on_another_grid_comes_to_the_volume_s(tmp_path: Path, cache: Cache):
    image = np.full((16, 16, 8), -1000, np.int16)
    image[2:14, 2:14] = np.arange(8)
    coarse = np.zeros((8, 8, 8), np.uint8)
    coarse[4, 5, 6] = 1
    moved = np.diag([2.0, 2.0, 1.0, 1.0])
    moved[:2, 3] = 0.5
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(coarse, moved), tmp_path / "a_seg.nii.gz")
    (case,) = open_dataset("folder", tmp_path, modality="CT").cases()
    found = class_map(prepare([case], cache)[0], mask_task({1: "kidney"}, body=False), cache)
    assert np.argwhere(found).tolist() == [[6, x, y] for x in (8, 9) for y in (10, 11)]


def test_mirror_images_have_mirrored_segmentations(volume: Prepared, cache: Cache):
    autoencoder = networks()[0].eval().requires_grad_(False)
    encoding = Encoding(autoencoder, "tiny", cache, least=(32, 32, 32))
    plain, mirrored = (stored_mask(volume, TASK, encoding, 1, flip=flip) for flip in (False, True))
    assert plain.latent.shape[1:] == plain.hint.shape[1:] == (12, 16, 16)
    assert (mirrored.hint == plain.hint[:, :, ::-1]).all()
    assert (mirrored.hint != plain.hint).any()


@pytest.mark.parametrize(("pooling", "channels"), [("subvoxels", 256), ("paper", 4)])
def test_other_ways_of_pooling(volume: Prepared, cache: Cache, pooling: Any, channels: int):
    autoencoder = networks()[0].eval().requires_grad_(False)
    encoding = Encoding(autoencoder, "tiny", cache, least=(32, 32, 32))
    stored = stored_mask(volume, replace(TASK, pooling=pooling), encoding, 1, flip=False)
    assert stored.hint.shape == (channels, 12, 16, 16)
    assert stored.shares.shape == (4, 12, 16, 16)


def mask_source(weights: dict[int, float], around: float = 0.0) -> MaskSource:
    shares = np.zeros((3, 8, 8, 8), np.float16)
    shares[2, 7, 7, 7] = 1 / 64  # a lesion of one voxel
    latent = np.random.default_rng(0).normal(size=(4, 8, 8, 8)).astype(np.float16)
    stored = StoredMask(latent, shares, shares, 1)
    return MaskSource([stored], (4, 4, 4), weights, 8, around_labels=around, first_label=2)


def test_the_loss_weighs_latent_voxels_that_touch_a_rare_label():
    source = mask_source({2: 100.0}, around=1.0)
    for item in range(8):
        weight = source.sample(item, item)["weight"]
        assert weight.shape == (1, 4, 4, 4)
        assert weight.max() == 100
        assert (weight == 1).sum() == 63
    assert "weight" not in mask_source({}).sample(0, 0)
    diffusion = GaussianDiffusion(10)
    x0, noise = torch.zeros(1, 2, 1, 1, 2), torch.tensor([1.0, 3.0]).expand(1, 2, 1, 1, 2)
    given = (lambda z, t: torch.zeros_like(z)), x0, torch.tensor([3]), noise
    weight = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 1, 2)
    assert float(diffusion.loss(*given)) == pytest.approx(2)
    assert float(diffusion.loss(*given, weight=weight)) == pytest.approx((1 + 9) / 4)


def test_weights_are_of_labels_that_the_head_has():
    settings = ControlNetTask(crop=(8, 8, 8), label_weights={"tumour": 100})
    assert label_weights(TASK, settings) == {3: 100.0}
    for weights, line in (({"liver": 2.0}, "no label of the head"), ({"tumour": 0.5}, "must be 1 or more")):
        with pytest.raises(InputError, match=line):
            label_weights(TASK, ControlNetTask(crop=(8, 8, 8), label_weights=weights))


def test_a_head_is_trained_on_phantoms_and_its_card_says_what_it_is_for(prior: Path, cache: Cache, tmp_path: Path):
    weights = ("--set", "task.label_weights.tumour=100")
    run = train(prior, cache, tmp_path / "head", "--labels", "1=kidney,2=tumour", "--dataset", PHANTOMS, *weights)
    assert run.code == 0, run.err
    card = read_card(tmp_path / "head" / "head.safetensors")
    assert card.config["task"] == TASK.to_dict()
    assert card.config["hint_channels"] == 4
    assert card.extra["classes"] == {"CTChestAbdomen": [8.0, 6.0, 6.0]}
    assert card.extra["shown_weights"] == {}
    assert card.extra["label_voxels"]["kidney"] > card.extra["label_voxels"]["tumour"] > 0


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ((), "--labels: name the labels of the segmentations"),
        (
            ("--labels", "1=kidney,9=spleen"),
            "--labels 9=spleen: no segmentation of the training's volumes has this label",
        ),
        (("--labels", "1=kidney", "--condition", "tv"), "--condition: has no effect with --task mask"),
        (("--labels", "1=kidney", "--simulate", "ideal"), "--simulate: has no effect with --task mask"),
        (("--labels", "1=kidney", "--views", "40"), "--views: has no effect with --task mask; it is for --task svct"),
        (("--labels", "1=kidney", "--set", "task.variants=2"), "recipe: task.variants: has no effect with --task mask"),
        (("--labels", "1=kidney", "--segmentations", "x"), "data set 'phantom' has its own"),
    ],
)
def test_what_has_no_effect_or_is_missing(prior: Path, cache: Cache, tmp_path: Path, more: tuple[str, ...], line: str):
    run = train(prior, cache, tmp_path / "head", "--dataset", PHANTOMS, *more)
    assert run.code == 2
    assert line in run.err.replace("\n", " ")


def test_options_of_segmentations_belong_to_the_task_mask(tmp_path: Path):
    common = ("--dataset", "sample", "--out", tmp_path / "x", "--task", "svct")
    for option, value in (("--labels", "1=kidney"), ("--segmentations", "x"), ("--no-body", None)):
        run = run_recon("train", "controlnet", *common, option, *([value] if value else []))
        assert run.code == 2
        assert "--task mask" in run.err
    assert run_recon("train", "unet", *common, "--labels", "1=kidney").code == 2


def test_volumes_without_segmentations_are_no_training(prior: Path, cache: Cache, tmp_path: Path):
    image = nibabel.Nifti1Image(np.linspace(-1000, 100, 4096, dtype=np.float32).reshape(16, 16, 16), np.eye(4))
    (tmp_path / "scans" / "train").mkdir(parents=True)
    nibabel.save(image, tmp_path / "scans" / "train" / "a.nii.gz")
    data = ("--data", tmp_path / "scans", "--modality", "CT")
    run = train(prior, cache, tmp_path / "head", "--labels", "1=kidney", *data)
    assert run.code == 2
    assert "no volume for training has a segmentation" in run.err

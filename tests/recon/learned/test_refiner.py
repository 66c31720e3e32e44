"""Refiners: trained by the command on a head's samples, found with their head, refused for another."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_recon, train, write_ct
from safetensors.torch import save_file
from tiny_prior import make_head

from physics.ct.protocol import load_protocol
from priors.networks.perceptual import LPIPS
from priors.networks.squeezenet import SqueezeNet
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.weights.card import Card, read_card, save_weights
from priors.weights.importing import file_sha256
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.errors import InputError
from recon.learned.refiner import FILE_NAME, KIND, START, Refiner, load_refiner, without_period_two
from recon.learned.task import Task
from recon.methods.meddiffusion import MedDiffusionOptions
from recon.training.unet_starts import with_inputs, with_upsampling

DATA = "phantom:count=3,size=16x32x32,spacing=8x10x10,seed=5"
SIZES = UNetConfig(in_channels=2, chans=4, pool_layers=2, residual=True)


def save_refiner(path: Path, head_hash: str, kind: str = KIND, **facts: object) -> Path:
    torch.manual_seed(0)
    card = Card(kind, SIZES.to_dict(), extra={"head": head_hash} | facts)
    save_weights(path, UNet2D(SIZES).state_dict(), card)
    return path


def test_a_refiner_sees_every_slice_of_both_images() -> None:
    torch.manual_seed(0)
    refiner = Refiner(UNet2D(SIZES).eval(), "")
    images = torch.rand(2, 3, 20, 24) - 0.5
    better = refiner.refined(images)
    assert better.shape == images.shape[1:]
    alone = refiner.refined(images[:, 1:2])
    assert torch.allclose(better[1:2], alone, atol=1e-5)
    other_sample = torch.stack([images[0], -images[1]])
    assert not torch.allclose(better, refiner.refined(other_sample), atol=1e-4)
    assert torch.equal(better, refiner.refined(torch.cat([images, images[:1]]))), "no third input"
    mirrored, moved = refiner.refined(images, turn=1), refiner.refined(images, turn=2)
    assert torch.allclose(mirrored, refiner.refined(images.flip(2)).flip(1), atol=1e-5)
    assert torch.allclose(moved, refiner.refined(images.roll(1, 2)).roll(-1, 1), atol=1e-5)
    assert not torch.allclose(mirrored, better, atol=1e-4)
    assert not torch.allclose(moved, better, atol=1e-4)
    assert torch.equal(refiner.refined(images, turn=4), better)


class Striped(UNet2D):
    """Adds stripes of period two along X, and a checkerboard, as up-sampling does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns, rows = torch.arange(x.shape[2])[:, None], torch.arange(x.shape[3])
        return x[:, :1] + 0.1 * (-1.0) ** columns + 0.1 * (-1.0) ** (columns + rows)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_what_up_sampling_leaves_is_taken_out(turn: int) -> None:
    image = torch.rand(2, 20, 24) - 0.5
    refined = Refiner(Striped(SIZES).eval(), "").refined(torch.stack([image, image]), turn)
    torch.testing.assert_close(refined, image, atol=2e-3, rtol=0)


def test_what_an_anti_aliased_network_says_stays() -> None:
    image = torch.rand(2, 20, 24) - 0.5
    network = Striped(replace(SIZES, anti_aliased=True)).eval()
    change = Refiner(network, "").refined(torch.stack([image, image])) - image
    torch.testing.assert_close(change.abs().amax(), torch.tensor(0.2))


@pytest.mark.parametrize("anti_aliased", [False, True])
def test_upsampling_changes_and_tensors_do_not(anti_aliased: bool) -> None:
    plain = UNet2D(SIZES)
    changed = with_upsampling(plain, anti_aliased)
    assert changed.config == replace(SIZES, anti_aliased=anti_aliased)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(changed.state_dict()[name], tensor)


def test_a_change_without_a_pattern_of_period_two_stays() -> None:
    x = torch.arange(32)[:, None].expand(32, 24)
    change = torch.cos(2 * torch.pi * x / 8)[None].contiguous()
    torch.testing.assert_close(without_period_two(change), change, atol=5e-3, rtol=0)


@pytest.mark.parametrize("inputs", [2, 3])
def test_a_network_of_fewer_images_goes_on_as_it_was_with_more(inputs: int) -> None:
    torch.manual_seed(0)
    plain = UNet2D(UNetConfig(chans=4, pool_layers=2, residual=True)).eval()
    grown = with_inputs(plain, inputs).eval()
    image, others = torch.rand(2, 1, 16, 20), torch.rand(2, inputs - 1, 16, 20)
    with torch.no_grad():
        assert torch.allclose(grown(torch.cat([image, others], 1)), plain(image), atol=1e-6)
    assert with_inputs(grown, inputs) is grown


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_network_of_more_images_starts_as_if_the_last_ones_were_zero(inputs: int) -> None:
    torch.manual_seed(0)
    whole = UNet2D(UNetConfig(in_channels=3, chans=4, pool_layers=2, residual=True)).eval()
    narrow, images = with_inputs(whole, inputs).eval(), torch.rand(2, inputs, 16, 20)
    missing = torch.zeros(2, 3 - inputs, 16, 20)
    with torch.no_grad():
        assert torch.allclose(narrow(images), whole(torch.cat([images, missing], 1)), atol=1e-6)


@pytest.mark.parametrize("change", [{"residual": False}, {"out_channels": 2}])
def test_a_network_of_another_kind_is_no_start(change: dict[str, object]) -> None:
    config = UNetConfig(**{"chans": 4, "pool_layers": 2, "residual": True, "in_channels": 1} | change)  # type: ignore
    with pytest.raises(ValueError, match="from the base image to a change of it"):
        with_inputs(UNet2D(config), 2)


def test_the_refiner_beside_a_head_or_installed_is_found_by_the_heads_hash(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("priors.weights.store.shipped_folder", lambda: tmp_path / "nothing")
    head = tmp_path / "run" / "head.safetensors"
    head.parent.mkdir()
    assert load_refiner("", head, "abc") is None
    installed = tmp_path / "weights" / "mine" / "heads"
    installed.mkdir(parents=True)
    save_refiner(installed / "ct-refiner.safetensors", "abc")
    assert load_refiner("", head, "abc") is not None
    assert load_refiner("", head, "other") is None
    save_refiner(head.parent / FILE_NAME, "other")
    assert load_refiner("", head, "other") is not None
    assert load_refiner("none", head, "abc") is None
    save_refiner(head.parent / "knee-refiner.safetensors", "third")
    assert load_refiner("", head.parent / "knee.safetensors", "third") is not None
    assert load_refiner("", head, "third") is None


def test_a_refiner_of_another_head_or_another_kind_is_refused_in_one_line(tmp_path) -> None:
    other = save_refiner(tmp_path / "other.safetensors", "other")
    with pytest.raises(InputError, match="not made for the head abc; another file, or 'none'"):
        load_refiner(str(other), tmp_path / "head.safetensors", "abc")
    unet = save_refiner(tmp_path / "unet.safetensors", "abc", kind="unet")
    with pytest.raises(InputError, match="weights of kind unet, where refiner is wanted"):
        load_refiner(str(unet), tmp_path / "head.safetensors", "abc")
    with pytest.raises(InputError, match="`refiner`"):
        load_refiner(str(tmp_path / "none.safetensors"), tmp_path / "head.safetensors", "abc")


# By the command


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, prior: Path) -> Path:
    """A folder with a prior and a head of random weights, and a trained refiner beside the head."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "prior").symlink_to(prior)
    (folder / "head").mkdir()
    make_head(prior, folder / "head", Task(CTAcquisition(load_protocol("paper40"), (10, 30)), ("fbp", "sirt")))
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", folder / "cache", "-q"]
    train("refiner", *common, *refiner_arguments(folder), "--set", "steps=6", "--out", folder / "refiner")
    (folder / "refiner" / FILE_NAME).rename(folder / "head" / FILE_NAME)
    return folder


def refiner_arguments(folder: Path) -> list[object]:
    return ["--base", folder / "prior", "--head", folder / "head" / "head.safetensors"]


def test_its_card_names_head_task_and_sampling(chain) -> None:
    head, refiner = read_card(chain / "head" / "head.safetensors"), read_card(chain / "head" / FILE_NAME)
    assert refiner.extra["head"] == head.sha256
    assert refiner.extra["task"] == head.config["task"]
    assert refiner.extra["sampling"]["steps"] > 0
    assert refiner.config["in_channels"] == 2
    with (chain / "refiner" / "validation.csv").open() as file:
        assert {"psnr", "ssim"} <= set(next(csv.DictReader(file)))


def test_a_refiner_that_the_sample_is_withheld_from_learns_and_refines_all_the_same(chain, tmp_path) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", "-q", "--set", "task.sample=false"]
    train("refiner", *common, *refiner_arguments(chain), "--set", "steps=2", "--out", tmp_path / "alone")
    alone = tmp_path / "alone" / FILE_NAME
    card, head = read_card(alone), chain / "head" / "head.safetensors"
    assert card.config["in_channels"] == 1
    refiner = load_refiner(str(alone), head, read_card(head).sha256)
    assert refiner is not None
    images = torch.rand(2, 3, 32, 32) - 0.5
    assert torch.equal(refiner.refined(images), refiner.refined(torch.stack([images[0], -images[1]])))


def test_a_twin_without_the_sample_starts_from_the_same_weights_and_learns_from_the_same_base_images(
    chain, tmp_path
) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", tmp_path / "cache", "-q", *refiner_arguments(chain)]
    rounds = ["--set", "task.rounds=2", "--set", "steps=1", "--warm-start", chain / "head" / FILE_NAME]
    train("refiner", *common, *rounds, "--out", tmp_path / "with")
    made = set(tmp_path.glob("cache/*/*.npy"))
    train("refiner", *common, *rounds, "--set", "task.sample=false", "--out", tmp_path / "without")
    assert set(tmp_path.glob("cache/*/*.npy")) == made, "no scan and no round is made anew"
    assert read_card(tmp_path / "without" / FILE_NAME).config["in_channels"] == 1


def test_a_refiners_samples_start_where_its_training_says_and_its_card_tells(chain, tmp_path) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", tmp_path / "cache", "-q", *refiner_arguments(chain)]
    train("refiner", *common, "--set", "task.start=0.6", "--set", "steps=1", "--out", tmp_path / "earlier")
    sampling = read_card(tmp_path / "earlier" / FILE_NAME).extra["sampling"]
    assert (sampling["start"], sampling["steps"]) == (0.6, 12)


def test_a_perceptual_term_is_added_and_named_on_the_card_without_its_folder(chain, tmp_path) -> None:
    torch.manual_seed(1)
    file = tmp_path / "lpips.safetensors"
    state = LPIPS(SqueezeNet()).state_dict()
    save_file(
        {name.replace("net.", "features.", 1): each for name, each in state.items() if "scaling" not in name}, file
    )
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", "-q", "--set", "steps=2"]
    term = ["--set", f"task.perceptual={file}", "--set", "task.perceptual_weight=0.3"]
    train("refiner", *common, *refiner_arguments(chain), *term, "--out", tmp_path / "refiner")
    with (tmp_path / "refiner" / "train-refiner.csv").open() as table:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]
    assert all(row["total"] == pytest.approx(row["l2"] + 0.3 * row["perceptual"], rel=1e-4) for row in rows), rows
    told = read_card(tmp_path / "refiner" / FILE_NAME).extra["recipe"]["task"]["perceptual"]
    assert told == f"lpips.safetensors (SHA-256 {file_sha256(file)[:12]})"
    alone = ["--set", "task.perceptual_weight=0.3", "--out", tmp_path / "none"]
    refused = run_recon("train", "refiner", *common, *refiner_arguments(chain), *alone)
    assert (refused.code, "task.perceptual_weight has an effect only with task.perceptual" in refused.err) == (2, True)
    missing = ["--set", f"task.perceptual={tmp_path / 'missing.pth'}", "--out", tmp_path / "none"]
    refused = run_recon("train", "refiner", *common, *refiner_arguments(chain), *missing)
    assert (refused.code, "missing.pth: no such file" in refused.err) == (2, True)
    assert not (tmp_path / "none").exists()


def test_a_unet_may_begin_as_a_refiner_and_does_without_its_sample(chain, tmp_path) -> None:
    task = ["--task", "svct", "--simulate", "ideal", "--views", "24", "--condition", "sirt"]
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", "-q", "--set", "steps=1"]
    refiner = chain / "head" / FILE_NAME
    made = train("unet", *common, *task, "--warm-start", refiner, "--out", tmp_path / "unet")
    assert read_card(made).config["in_channels"] == 1
    assert read_card(made).config["chans"] == read_card(refiner).config["chans"]
    refused = run_recon("train", "fbpconv", *common, *task, "--warm-start", refiner, "--out", tmp_path / "fbpconv")
    assert refused.code == 2, refused.err


def test_reconstruction_goes_through_it_unless_told_otherwise(chain, tmp_path) -> None:
    case = write_ct(tmp_path / "case.nii.gz", affine=np.diag([10.0, 10.0, 8.0, 1.0]))
    weights = ["--weights", chain / "head" / "head.safetensors", "--prior", chain / "prior", "--set", "steps=2"]
    scan = ["svct", "--simulate", "ideal", "--views", "24", *weights, "--input", case, "-q"]
    results = {}
    kinds = {"with": [], "bare": ["--set", "agree=no"], "without": ["--set", "refiner=none"]}
    for name, more in kinds.items():
        run = run_recon(*scan, *more, "--output", tmp_path / name)
        assert run.code == 0, run.err
        results[name] = json.loads((tmp_path / name / "result.json").read_text())
    assert results["with"]["weights_sha256"]["refiner"] == read_card(chain / "head" / FILE_NAME).sha256
    assert "refiner" not in results["without"]["weights_sha256"]
    assert len({results[name]["metrics"]["psnr"] for name in kinds}) == 3


def test_later_rounds_learn_from_what_the_first_network_and_the_data_make(chain, tmp_path) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", "-q", *refiner_arguments(chain)]
    rounds = ["--set", "task.rounds=2", "--set", "steps=4", "--out", tmp_path / "out"]
    refused = run_recon("train", "refiner", *common, *rounds)
    assert refused.code == 2
    assert "--warm-start: later rounds start from what a trained network makes" in refused.err
    assert not (tmp_path / "out").exists()
    before = set(chain.glob("cache/*/*.npy"))
    train("refiner", *common, *rounds, "--warm-start", chain / "head" / FILE_NAME)
    new = [np.load(path) for path in set(chain.glob("cache/*/*.npy")) - before]
    assert len(new) > 1
    assert all(images.shape == (3, 16, 32, 32) for images in new), "base image, sample, ground truth"


def test_a_head_whose_samples_change_the_mean_of_two_methods(chain, tmp_path) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", tmp_path / "cache", "-q", "--base", chain / "prior"]
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=0", "--set", "steps=2"]
    ideal = ["--simulate", "ideal"]
    task = [
        "--task",
        "svct",
        *ideal,
        "--views",
        "24",
        "--condition",
        "fbp",
        "--reference",
        "sirt",
        "--reference",
        "fbp",
    ]
    train("controlnet", *common, *small, *task, "--out", tmp_path / "head")
    head = tmp_path / "head" / "head.safetensors"
    assert read_card(head).config["task"]["reference"] == ["sirt", "fbp"]
    train("refiner", *common, "--head", head, "--set", "steps=2", "--out", tmp_path / "refiner")
    stored = [np.load(path) for path in tmp_path.glob("cache/*/*.npy")]
    conditions = [images[0] for images in stored if images.shape == (2, 16, 32, 32)]
    base_images = [images[0] for images in stored if images.shape == (4, 16, 32, 32)]
    assert len(conditions) == len(base_images) > 1
    distances = [min(float(np.abs(own - each).mean()) for each in conditions) for own in base_images]
    assert all(0.001 < distance < 0.3 for distance in distances)
    assert read_card(tmp_path / "refiner" / FILE_NAME).config["in_channels"] == 3, "the image shown is one of them"
    (tmp_path / "refiner" / FILE_NAME).rename(tmp_path / "head" / FILE_NAME)
    case = write_ct(tmp_path / "case.nii.gz", affine=np.diag([10.0, 10.0, 8.0, 1.0]))
    weights = ["--weights", head, "--prior", chain / "prior", "--set", "steps=2"]
    run = run_recon("svct", *ideal, "--views", "24", *weights, "--input", case, "-q", "--output", tmp_path / "out")
    assert run.code == 0, run.err


@pytest.mark.parametrize("option", ["--condition", "--reference"])
def test_an_image_of_no_method_is_one_line(chain, tmp_path, option) -> None:
    task = ["--task", "mri", option, "zero-fild"]
    common = ["--dataset", DATA, "--recipe", "tiny", "--base", chain / "prior", "--out", tmp_path / "out"]
    run = run_recon("train", "controlnet", *common, *task)
    assert run.code == 2
    assert f"{option} zero-fild: no such MR method; did you mean zero-filled?" in run.err
    assert len(run.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ([], "--head: name the head"),
        (["--head", "{folder}/prior/biflownet.safetensors"], "kind biflownet, where a ControlNet head is wanted"),
        (["--head", "{folder}/none.safetensors"], "--head"),
        (["--head", "{folder}/head/head.safetensors", "--task", "svct"], "no option --task of 'recon train refiner'"),
        (["--head", "{folder}/head/head.safetensors"], "no installed prior is the one"),
    ],
)
def test_mistakes_are_told_in_one_line(chain, tmp_path, more, line) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "-q"]
    spelled = [text.format(folder=chain) for text in more]
    run = run_recon("train", "refiner", *common, "--cache", chain / "cache", *spelled, "--out", tmp_path / "out")
    assert run.code == 2
    assert line in run.err
    assert not (tmp_path / "out").exists()


def test_a_refiner_says_how_far_its_samples_ran(tmp_path) -> None:
    asked = save_refiner(tmp_path / "asked.safetensors", "abc", sampling={"steps": 12, "start": 0.6})
    silent = save_refiner(tmp_path / "silent.safetensors", "abc")
    starts = [found.start for path in (asked, silent) if (found := load_refiner(str(path), path, "abc"))]
    assert starts == [0.6, START]
    asking = load_refiner(str(asked), asked, "abc")
    trained, alone = (MedDiffusionOptions().sampling(refiner) for refiner in (asking, None))
    assert (trained.start, trained.own_steps, alone.start) == (0.6, 12, START)
    wrong = save_refiner(tmp_path / "wrong.safetensors", "abc", sampling={"start": 2})
    with pytest.raises(InputError, match="its header is damaged: sampling is"):
        load_refiner(str(wrong), wrong, "abc")

"""The whole chain by the command: autoencoder, joint decoder, prior, head; what each leaves alone; mistakes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_recon, start, train, write_ct, write_mr

from datasets import open_dataset
from datasets.cache import Cache
from datasets.identity import content_sha256
from priors.diffusion.anatomy import find_class
from priors.diffusion.load import load_prior
from priors.networks.fingerprint import tensors_sha256
from priors.training.batches import StepBatches
from priors.training.checkpoints import read_checkpoint
from priors.training.one_run import only_run
from priors.training.recipe import load_recipe
from priors.weights.card import read_card, read_tensors
from priors.weights.networks import load_autoencoder
from priors.weights.seen import BEFORE, seen_in
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.errors import InputError
from recon.learned.task import Task
from recon.training.registry import TRAININGS
from recon.training.sources import load_split, parse_data
from recon.training.validation import evaluate_network, patchwise_round_trip, round_trip
from recon.training.workshop import Ingredients, Workshop

DATA = "phantom:count=8,size=32x32x32,spacing=8x10x10"
IDEAL = ("--task", "svct", "--simulate", "ideal")
"""Scans that are made quickly, since no test is about how they are."""

SCANNER = """
type: fan
source_isocentre_mm: 500
source_detector_mm: 1000
pitch_mm: 4
angles: {views: 24, arc_deg: 120}
"""


def arguments(cache: Path, *more: object) -> list[object]:
    return ["--dataset", DATA, "--recipe", "tiny", "--cache", cache, *more, "-q"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each step: stage1, stage2, prior, head."""
    folder = tmp_path_factory.mktemp("chain")
    common = arguments(folder / "cache")
    (folder / "scanner.yaml").write_text(SCANNER)
    first = train("autoencoder", *common, "--set", "steps=6", "--set", "batch=2", "--out", folder / "stage1")
    crop = ["--set", "task.crop=[16,32,32]", "--set", "batch=1", "--set", "steps=3"]
    stage2 = ["--stage", "2", "--warm-start", first, "--out", folder / "stage2"]
    train("autoencoder", *common, *crop, *stage2)
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=2"]
    prior = ["--set", "steps=3", "--base", folder / "stage2", "--out", folder / "prior"]
    train("biflownet", *common, *small, *prior)
    head = [*IDEAL, "--geometry", folder / "scanner.yaml", "--base", folder / "prior"]
    train("controlnet", *common, *small, *head, "--set", "steps=3", "--out", folder / "head")
    return folder


def test_stage_2_trains_the_decoder_and_leaves_encoder_and_codebook_bit_for_bit(chain):
    first = read_tensors(chain / "stage1" / "autoencoder.safetensors")
    second = read_tensors(chain / "stage2" / "autoencoder.safetensors")
    frozen = [name for name in first if name.startswith(("encoder.", "pre_vq_conv", "codebook"))]
    assert len(frozen) > 10
    assert all(torch.equal(first[name], second[name]) for name in frozen)
    changed = [name for name in first if name.startswith("decoder.") and not torch.equal(first[name], second[name])]
    assert len(changed) > 10
    assert tensors_sha256(first) != tensors_sha256(second)


def test_initial_weights_get_the_recipe_s_middle_and_else_keep_their_own(chain, tmp_path):
    stages = ["--stage", "2", "--set", "task.crop=[16,32,32]", "--set", "batch=1", "--set", "steps=1"]
    common, first = arguments(chain / "cache"), chain / "stage1" / "autoencoder.safetensors"
    by_patches = ["--warm-start", first, "--set", "network.patch_middle=true", "--out", tmp_path / "by-patches"]
    turned = train("autoencoder", *common, *stages, *by_patches)
    kept = train("autoencoder", *common, *stages, "--warm-start", turned, "--out", tmp_path / "kept")
    for path in (turned, kept):
        network = load_autoencoder(path)
        assert network.config.patch_middle
        assert network.decoder.middle_edge == 4
    assert not load_autoencoder(first).config.patch_middle


def test_training_a_head_changes_neither_its_base_nor_holds_it(chain):
    base = read_card(chain / "prior" / "biflownet.safetensors")
    assert tensors_sha256(read_tensors(chain / "prior" / "biflownet.safetensors")) == base.sha256
    head = read_card(chain / "head" / "head.safetensors")
    assert head.extra["base_sha256"] == base.sha256
    state = read_checkpoint(sorted((chain / "head" / "checkpoints").glob("step-*.ckpt"))[-1])
    assert set(state["learner"]) == set(read_tensors(chain / "head" / "head.safetensors"))


def test_a_trained_prior_knows_the_averages_of_its_classes(chain):
    prior = load_prior(chain / "prior")
    assert set(prior.averages) == set(prior.classes)
    for name, average in prior.averages.items():
        start = prior.average_start(find_class(name), average.size)
        assert start is not None
        assert start.latent.shape[1:] == prior.latent_size(average.size)
        assert float(start.latent.abs().max()) < 3


def test_a_head_is_validated_on_whole_volumes_with_pictures(chain):
    with (chain / "head" / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"loss", "psnr", "ssim"} <= set(rows[0])
    assert list((chain / "head" / "previews").glob("reconstruction-*.png"))
    assert list((chain / "prior" / "previews").glob("generated-*.png"))
    assert list((chain / "stage1" / "previews").glob("round-trip-*.png"))


def test_the_head_reconstructs_its_geometry_and_refuses_another(chain, tmp_path):
    case = write_ct(tmp_path / "case.nii.gz", affine=np.diag([10.0, 10.0, 8.0, 1.0]))
    weights = ["--weights", chain / "head" / "head.safetensors", "--prior", chain / "prior", "--set", "steps=2"]
    scanner = ["--geometry", chain / "scanner.yaml"]
    scan = (*scanner, "--simulate", "ideal")
    run = run_recon("svct", *scan, *weights, "--input", case, "--output", tmp_path / "out", "-q")
    assert run.code == 0, run.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["method"] == "meddiffusion"
    assert result["weights_sha256"]["head"] == read_card(chain / "head" / "head.safetensors").sha256
    refused = run_recon(
        "svct", "--views", "40", *scan[2:], *weights, "--input", case, "--output", tmp_path / "other", "-q"
    )
    assert refused.code == 2
    assert "it was trained for 24 views, the scan has 40" in refused.err
    assert not (tmp_path / "other").exists()


def test_a_head_can_begin_as_another(chain, tmp_path):
    head = chain / "head" / "head.safetensors"
    more = [*IDEAL, "--geometry", "paper40", "--base", chain / "prior", "--warm-start", head]
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=0", "--set", "steps=1"]
    tiny_rate = ["--set", "optimizer.lr=1e-12"]
    path = train("controlnet", *arguments(chain / "cache"), *more, *small, *tiny_rate, "--out", tmp_path / "warm")
    before, after = read_tensors(head), read_tensors(path)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert read_card(path).config["task"]["geometry"] != read_card(head).config["task"]["geometry"]


def test_sigterm_writes_a_checkpoint_and_the_same_command_goes_on_to_the_same_losses(chain, tmp_path):
    common = [
        *arguments(chain / "cache")[:-1],
        "--set",
        "steps=30",
        "--set",
        "batch=1",
        "--set",
        "checkpoints.every=1000",
    ]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    process = start(tmp_path, "train", "autoencoder", *common, "--out", broken)
    log = broken / "train-generator.csv"
    while process.poll() is None and (not log.exists() or log.read_text().count("\n") < 4):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    train("autoencoder", *common, "--out", broken, "-q")
    train("autoencoder", *common, "--out", whole, "-q")

    def losses(folder: Path) -> list[tuple[str, str]]:
        with (folder / "train-generator.csv").open() as file:
            return [(row["step"], row["total"]) for row in csv.DictReader(file)]

    assert losses(broken) == losses(whole)
    one, other = (read_card(folder / "autoencoder.safetensors") for folder in (broken, whole))
    assert one.sha256 == other.sha256
    assert one.extra["steps"] == other.extra["steps"] == 30
    assert one.extra["seconds"] > one.extra["seconds_of_last_session"] > 0, "both sessions"
    assert one.extra["threads"] >= 1


def workshop(network: str, chain: Path, settings: list[str], **more: object) -> tuple[Workshop, Ingredients]:
    cache = Cache(chain / "cache")
    parts = parse_data("", DATA, None, None)
    train, val = (load_split(parts, split, cache, lambda line: None) for split in ("train", "val"))
    given = Ingredients(load_recipe(network, "tiny", settings), train, val, cache, lambda line: None, **more)
    return TRAININGS[network].build(given), given


@pytest.mark.parametrize("network", ["autoencoder", "biflownet", "controlnet"])
def test_the_loss_falls_on_a_batch_that_can_be_learned_by_heart(chain, network):
    from physics.ct.protocol import load_protocol

    more = {"autoencoder": {}, "biflownet": {"base": chain / "stage2"}, "controlnet": {"base": chain / "prior"}}
    if network == "controlnet":
        more[network]["task"] = Task(CTAcquisition(load_protocol(str(chain / "scanner.yaml"))), ("fbp",))
    settings = ["task.crop=[8,8,8]"] if network != "autoencoder" else ["task.adversarial=false"]
    built, given = workshop(network, chain, settings, **more[network])
    torch.manual_seed(0)
    learner = built.learner.train()
    batch = StepBatches(built.source, 2, 1, 0)[0]
    phase = learner.phase(0)
    parameters = list(learner.phases()[phase])
    rate = {"autoencoder": 3e-3, "biflownet": 5e-3, "controlnet": 2e-2}[network]
    optimizer, losses = torch.optim.Adam(parameters, lr=rate), []
    for _ in range(60):
        torch.manual_seed(1)
        total = learner(batch, phase, 0)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert min(losses[-5:]) < {"autoencoder": 0.6, "biflownet": 0.7, "controlnet": 0.97}[network] * losses[0]
    assert given.recipe.steps


def test_the_codebook_can_wait_for_the_encoder(chain):
    built, _ = workshop(
        "autoencoder", chain, ["task.quantise_after=2", "task.code_decay=0.9", "task.restart_below=0.1"]
    )
    learner = built.learner.train()
    book = learner.network().codebook
    assert (book.decay, book.restart_below) == (0.9, 0.1)
    for step in range(3):
        batch = StepBatches(built.source, 2, 1, 0)[step]
        before = book.embeddings.clone()
        losses = learner(batch, learner.phase(step), step)
        losses["total"].backward()
        quantised = step == 2
        assert bool(losses["perplexity"] > 1) == quantised
        assert bool(losses["commitment"] > 0) == quantised
        assert not torch.equal(book.embeddings, before), "it is filled, then it learns"


def test_a_start_as_averages_is_refused_where_there_are_too_few_channels(chain):
    with pytest.raises(InputError, match=r"recipe: task\.start: a start as averages needs"):
        workshop("autoencoder", chain, ["task.start=averages"])
    built, _ = workshop(
        "autoencoder",
        chain,
        ["task.start=averages", "network.latent_channels=8", "network.norm_groups=2", "network.width=16"],
    )
    batch = StepBatches(built.source, 2, 1, 0)[0]
    assert float(built.learner(batch, "generator", 0)["reconstruction"].detach()) < 4 * 0.25


def test_each_phase_touches_its_own_parameters_only(chain):
    built, _ = workshop("autoencoder", chain, ["task.adversarial_start=0"])
    learner = built.learner.train()
    phases = learner.phases()
    assert len(phases) == 2
    batch = StepBatches(built.source, 2, 1, 0)[0]
    for number, (phase, parameters) in enumerate(phases.items()):
        learner.zero_grad(set_to_none=True)
        learner(batch, phase, number)["total"].backward()
        own = {id(p) for p in parameters}
        optimised_by_others = [p for other, group in phases.items() if other != phase for p in group]
        assert not own & {id(p) for p in optimised_by_others}
        assert any(p.grad is not None and p.grad.any() for p in parameters)


SVCT = ("--task", "svct", "--base", "{chain}/prior")
STAGE2 = ("--base", "{chain}/stage2")
BAD_BASE = "there is no biflownet.safetensors in it"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["autoencoder", "--recipe", "tinny"], "no such file; shipped for autoencoder: cpu, cpu-joint,"),
        (["autoencoder", "--set", "netwrk.width=3"], "unknown key netwrk; did you mean network"),
        (["autoencoder", "--set", "network.wdth=3"], "unknown key network.wdth; did you mean width"),
        (["autoencoder", "--set", "task.crops=3"], "unknown key task.crops; did you mean crop"),
        (["autoencoder", "--set", "network.discriminator=null"], "task.adversarial needs a discriminator"),
        (["autoencoder", "--set", "steps"], "key=value is wanted"),
        (["autoencoder", "--stage", "2"], "--stage 2 continues stage 1"),
        (["biflownet"], "--base: name the prior"),
        (["controlnet", "--task", "svct", "--base", "{chain}/stage1"], BAD_BASE),
        (["controlnet", "--base", "{chain}/prior"], "--task: say what controlnet shall learn to undo, svct or mri"),
        (["controlnet", *SVCT, "--geometry", "none.yaml"], "--geometry none.yaml"),
        (["controlnet", *SVCT, "--set", "task.crop=[4,8,8]"], "task.crop: Z is 4 voxels"),
        (["controlnet", "--task", "mri", "--mask", "spiral", "--base", "{chain}/prior"], "masks spiral; there are"),
        (["biflownet", *STAGE2, "--warm-start", "{chain}/head/head.safetensors"], "of kind controlnet"),
        (["biflownet", "--base", "nothing-of-that-name"], "no prior and no folder of the name"),
        (["autoencoder", "--device", "cuda"], "--device cuda"),
        (["nosuchnet"], "nosuchnet"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(chain, tmp_path, given, line):
    if "cuda" in given and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    out = tmp_path / "out"
    spelled = [text.format(chain=chain) for text in given]
    run = run_recon("train", *arguments(chain / "cache"), *spelled, "--out", out)
    assert run.code == 2, run.err
    assert line in run.err
    assert "Traceback" not in run.err
    assert not out.exists()


def test_a_run_is_not_gone_on_with_as_something_else(chain, tmp_path):
    """Another network's folder, another geometry, a folder of other things: refused, and nothing in it changes."""
    common = arguments(chain / "cache")
    before = {path: path.stat().st_mtime_ns for path in (chain / "head").rglob("*")}
    small = ["--set", "task.crop=[8,8,8]"]
    head = ["controlnet", *common, *small, *IDEAL, "--base", chain / "prior", "--out", chain / "head"]
    run = run_recon("train", *head, "--geometry", "paper40")
    assert run.code == 2
    assert "its checkpoint has task" in run.err
    run = run_recon("train", "autoencoder", *common, "--out", chain / "head")
    assert run.code == 2
    assert "its checkpoint has kind controlnet, this run autoencoder" in run.err
    assert before == {path: path.stat().st_mtime_ns for path in (chain / "head").rglob("*")}
    (tmp_path / "mine.txt").write_text("letters")
    run = run_recon("train", "autoencoder", *common, "--out", tmp_path)
    assert run.code == 2
    assert "not empty" in run.err


def test_a_dry_run_prints_what_it_would_take_and_writes_nothing(chain, tmp_path):
    out = tmp_path / "out"
    run = run_recon("train", "autoencoder", *arguments(chain / "cache")[:-1], "--dry-run", "--out", out)
    assert run.code == 0
    for words in ("parameters to train", "GB in float32", "steps per epoch", "80 steps of 4 samples"):
        assert words in run.out
    assert not out.exists()


def folder_of(tmp_path: Path, good: int, broken: int = 0) -> Path:
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    for number in range(good):
        write_ct(folder / f"good{number}.nii.gz")
    for number in range(broken):
        (folder / f"broken{number}.nii.gz").write_bytes(b"not a NIfTI file")
    return tmp_path / "data"


def train_folder(folder: Path, tmp_path: Path, *more: object) -> object:
    places = ["--out", tmp_path / "out", "--cache", tmp_path / "cache", "--set", "steps=1"]
    return run_recon("train", "autoencoder", "--data", folder, "--recipe", "tiny", *places, *more)


def test_a_few_unreadable_files_are_skipped_with_a_list(tmp_path):
    run = train_folder(folder_of(tmp_path, good=10, broken=1), tmp_path, "--modality", "CT")
    assert run.code == 0, run.err
    assert "skipped: " in run.err
    assert "broken0.nii.gz" in run.err
    assert "10 volumes for training" in run.err


@pytest.mark.parametrize(
    ("good", "broken", "more", "line"),
    [
        (2, 1, ["--modality", "CT"], "1 of 3 cases cannot be read"),
        (0, 0, ["--modality", "CT"], "--data"),
        (1, 0, [], "modality"),
        (1, 0, ["--modality", "CT", "--manifest", "{tmp}/none.json"], "--manifest"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(tmp_path, good, broken, more, line):
    spelled = [text.format(tmp=tmp_path) for text in more]
    run = train_folder(folder_of(tmp_path, good, broken), tmp_path, *spelled)
    assert run.code == 2
    assert line in run.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "line"), [("MRT1Brain", "--class MRT1Brain is MR, the data are CT"), ("CTHand", "no class 'CTHand'")]
)
def test_a_class_that_the_data_cannot_have_is_refused(chain, tmp_path, name, line):
    given = ["--data", folder_of(tmp_path, good=1), "--modality", "CT", "--class", name, "--recipe", "tiny"]
    places = ["--out", tmp_path / "out", "--cache", tmp_path / "cache"]
    run = run_recon("train", "biflownet", "--base", chain / "stage2", *given, *places)
    assert run.code == 2
    assert line in run.err
    assert not (tmp_path / "out").exists()


def test_mixed_modalities_are_refused(tmp_path):
    from cli_helpers import write_dicom

    folder = folder_of(tmp_path, good=1)
    write_mr(folder / "train" / "brain.nii.gz")
    write_dicom(folder / "train" / "series")
    run = train_folder(folder, tmp_path, "--modality", "MR")
    assert run.code == 2
    assert "MR" in run.err
    assert "CT" in run.err


def test_the_manifest_is_compared_and_named(tmp_path):
    from click.testing import CliRunner

    from benchmarks.cli import main as benchmarks

    folder = folder_of(tmp_path, good=2)
    manifest = tmp_path / "manifest.json"
    check = ["data", "check", "folder", str(folder), "--modality", "CT", "--out", str(manifest)]
    CliRunner().invoke(benchmarks, check)
    run = train_folder(folder, tmp_path, "--modality", "CT", "--manifest", manifest)
    assert run.code == 0, run.err
    stated = json.loads(manifest.read_text())["sha256"]
    card = read_card(tmp_path / "out" / "autoencoder.safetensors")
    assert card.extra["data"] == [{"name": "folder", "manifest_sha256": stated}]
    write_ct(folder / "train" / "later.nii.gz", affine=np.diag([-2.0, -2.0, 4.0, 1.0]))
    run = train_folder(folder, tmp_path / "again", "--modality", "CT", "--manifest", manifest)
    assert run.code == 2
    assert "case train/later is not as the manifest says: its content is not in it" in run.err
    (folder / "train" / "later.nii.gz").unlink()
    (folder / "train" / "good0.nii.gz").rename(folder / "train" / "renamed.nii.gz")
    run = train_folder(folder, tmp_path / "renamed", "--modality", "CT", "--manifest", manifest)
    assert run.code == 0, run.err


def test_a_card_knows_what_every_network_of_the_chain_has_seen_and_names_nobody(chain):
    subjects = {case.subject for case in open_dataset(DATA, None).cases("train")}
    content = {content_sha256(case) for case in open_dataset(DATA, None).cases("train")}
    for file in ("stage1/autoencoder", "stage2/autoencoder", "prior/biflownet", "head/head"):
        card = read_card(chain / f"{file}.safetensors")
        assert not any(subject in json.dumps(card.extra) for subject in subjects)
        assert all(any(each.knows(subject, "-") for each in seen_in(card.extra)) for subject in subjects)
        assert all(any(each.knows("-", "-", each_content) for each in seen_in(card.extra)) for each_content in content)
    assert not read_card(chain / "stage1/autoencoder.safetensors").extra[BEFORE]
    assert len(read_card(chain / "head/head.safetensors").extra[BEFORE]) == 3


def test_a_run_goes_on_with_its_own_data_alone(chain, tmp_path):
    common = ["--recipe", "tiny", "--cache", chain / "cache", "--set", "batch=2", "-q", "--out", tmp_path / "run"]
    train("autoencoder", "--dataset", DATA, *common, "--set", "steps=1")
    other = run_recon("train", "autoencoder", "--dataset", DATA.replace("8x10", "9x10"), *common, "--set", "steps=2")
    assert other.code == 2
    assert "its checkpoint has data" in other.err
    rate = run_recon("train", "autoencoder", "--dataset", DATA, *common, "--set", "optimizer.lr=0.5")
    assert rate.code == 2
    assert "optimizer.lr" in rate.err
    train("autoencoder", "--dataset", DATA, *common, "--set", "steps=2")


def test_a_run_killed_before_its_first_checkpoint_begins_afresh(chain, tmp_path):
    run = tmp_path / "run"
    begun = start(tmp_path, "train", "autoencoder", *arguments(chain / "cache")[:-1], "--out", run)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(run.glob("train-*.csv")):
        time.sleep(0.02)
    begun.kill()
    begun.communicate()
    for checkpoints in run.glob("checkpoints"):  # in case that it came so far
        shutil.rmtree(checkpoints)
    train("autoencoder", *arguments(chain / "cache"), "--set", "steps=1", "--out", run)
    (log,) = run.glob("train-*.csv")
    assert len(log.read_text().splitlines()) == 2


def test_a_second_run_in_the_same_folder_is_refused(chain, tmp_path):
    with only_run(tmp_path / "run"):
        second = run_recon("train", "autoencoder", *arguments(chain / "cache"), "--out", tmp_path / "run")
    assert second.code == 2
    assert "another process trains in it" in second.err


def test_a_flipped_byte_in_the_cache_trains_no_other_weights(tmp_path):
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", tmp_path / "cache", "--set", "steps=2", "-q"]
    first = train("autoencoder", *common, "--set", "batch=2", "--out", tmp_path / "first")
    for path in (tmp_path / "cache").rglob("*.npy"):
        content = bytearray(path.read_bytes())
        content[-9] ^= 0x40
        path.write_bytes(content[: len(content) // 2] if path.stat().st_size % 2 else content)
    second = train("autoencoder", *common, "--set", "batch=2", "--out", tmp_path / "second")
    assert tensors_sha256(read_tensors(first)) == tensors_sha256(read_tensors(second))


def test_a_full_disk_ends_in_one_line(chain, tmp_path, monkeypatch):
    """What a checkpoint could not be written to is left as it was."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("priors.training.checkpoints.os.fsync", full)
    run = run_recon("train", "autoencoder", *arguments(chain / "cache"), "--set", "steps=2", "--out", tmp_path / "out")
    assert run.code == 1
    assert "No space left on device" in run.err
    assert "Traceback" not in run.err
    assert not list((tmp_path / "out").rglob("*.ckpt"))


def test_stage_1_weights_load_as_a_network(chain):
    assert load_autoencoder(chain / "stage1" / "autoencoder.safetensors").config.patch == 16


@pytest.mark.parametrize(("stage", "through"), [("stage1", patchwise_round_trip), ("stage2", round_trip)])
def test_stage_1_is_validated_by_patches_and_stage_2_on_whole_volumes(chain, stage, through):
    path = chain / stage / "autoencoder.safetensors"
    network, card = load_autoencoder(path).eval(), read_card(path)
    held_out = load_split(parse_data("", DATA, None, None), "val", Cache(chain / "cache"), print)
    images = [each.volume.network() for each in held_out[: card.extra["recipe"]["validation"]["cases"]]]
    figures = [evaluate_network(image, through(network, image), "CT")["psnr"] for image in images]
    assert card.extra["validation"]["psnr"] == pytest.approx(np.mean(figures), abs=1e-3)

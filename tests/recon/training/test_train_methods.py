"""Training the image networks and the unrolled ones by the command, and reconstructing with what comes of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_recon

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.phase import smooth_phase
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.discriminator import DiscriminatorConfig
from priors.training.batches import StepBatches
from priors.training.recipe import load_recipe
from priors.weights.card import read_card
from priors.weights.networks import verify
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError
from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.metrics import evaluate
from recon.scan.measurement import Reconstruction, RunContext
from recon.scan.units import attenuation_to_hu
from recon.scan.volume import Volume
from recon.training.build_autoencoder import with_discriminator
from recon.training.registry import TRAININGS
from recon.training.sources import load_split, parse_data
from recon.training.workshop import Ingredients, Workshop

DATA = "phantom:count=8,size=8x32x32,spacing=4x8x8"
IDEAL = ("--task", "svct", "--simulate", "ideal")
"""Scans that are made quickly, where no test is about how they are."""

GEOMETRY = FanBeam(circular_angles(40), pitch=2.0)
TASKS = {
    "fbpconv": Task(CTAcquisition(GEOMETRY), ("fbp",)),
    "unet": Task(CTAcquisition(GEOMETRY), ("fbp", "sirt")),
    "dolce": Task(CTAcquisition(GEOMETRY), ("fbp",)),
    "adm": None,
    "primal-dual": Task(CTAcquisition(GEOMETRY), ("fbp",)),
    "modl": Task(MRAcquisition(("equispaced",), (4.0, 4.0), phase=1.0), ("zero-filled",)),
    "varnet": Task(MRAcquisition(("equispaced",), (4.0, 4.0), phase=1.0), ("zero-filled",)),
}
OF_MR = ("modl", "varnet")


def ingredients(folder: Path, network: str, settings: tuple[str, ...] = ()) -> Ingredients:
    from datasets.cache import Cache

    cache = Cache(folder / "cache")
    parts = mr_parts(folder) if network in OF_MR else parse_data("", DATA, None, None)
    recipe = load_recipe(network, "tiny", settings)
    train, val = (load_split(parts, split, cache, lambda line: None) for split in ("train", "val"))
    return Ingredients(recipe, train, val, cache, lambda line: None, task=TASKS[network])


def mr_parts(folder: Path):
    """Two brains and another for validation, as files."""
    from recon.io.nifti.volume import write_volume

    for number, split in enumerate(("train", "train", "val")):
        path = folder / "mr" / split / f"subject{number}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_volume(path, ellipsoid("MR", number))
    return parse_data(str(folder / "mr"), "folder", "MR", None)


def ellipsoid(modality: str, number: int = 0) -> Volume:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (6, 36, 32)), indexing="ij")
    inside = (x / (0.6 + 0.1 * number)) ** 2 + (y / 0.7) ** 2 + 0.5 * z**2 < 1
    texture = np.sin(9 * x + number) * np.cos(7 * y)
    values = (
        np.where(inside, 40 + 60 * texture, -1000) if modality == "CT" else np.where(inside, 800 + 200 * texture, 3)
    )
    return Volume(torch.from_numpy(values).float(), np.diag([8.0, 8.0, 4.0, 1.0]), modality)


def fit_one_batch(workshop: Workshop, recipe, steps: int) -> tuple[float, float]:
    """Loss on one batch before and after training on it alone, noise and scan included."""
    learner = workshop.learner.train()
    batch = StepBatches(workshop.source, recipe.batch, 1, 0)[0]
    parameters = [p for group in learner.phases().values() for p in group]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    losses = []
    for _ in range(steps):
        torch.manual_seed(0)
        total = learner(batch, learner.phase(0), 0)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    return losses[0], losses[-1]


@pytest.mark.parametrize(
    ("network", "share"),
    [
        ("fbpconv", 0.3),
        ("unet", 0.4),
        ("adm", 0.5),
        ("dolce", 0.5),
        ("primal-dual", 0.5),
        ("modl", 0.7),
        ("varnet", 0.6),
    ],
)
def test_the_loss_falls_on_a_batch_that_can_be_learned_by_heart(tmp_path, network, share):
    given = ingredients(tmp_path, network)
    torch.manual_seed(0)
    first, last = fit_one_batch(TRAININGS[network].build(given), given.recipe, 40)
    assert last < share * first


@pytest.mark.parametrize("network", ["fbpconv", "primal-dual", "modl", "dolce", "varnet"])
def test_validation_has_the_metrics_of_the_benchmarks_and_a_picture(tmp_path, network):
    workshop = TRAININGS[network].build(ingredients(tmp_path, network))
    assert workshop.validate is not None
    result = workshop.validate(workshop.learner.network().eval())
    assert {"psnr", "ssim"} <= set(result.figures)
    assert next(iter(result.pictures.values())).ndim == 2


def test_an_untrained_unrolled_network_scores_what_it_starts_from(tmp_path):
    """What is learned begins as zero, so the first validation is that of FBP."""
    workshop = TRAININGS["primal-dual"].build(ingredients(tmp_path, "primal-dual"))
    volume = ingredients(tmp_path, "primal-dual").val[0].volume.volume()
    measurement = simulate_ct(volume, GEOMETRY)
    fbp = get_method("CT", "fbp")
    image = fbp.run(measurement, fbp.options(), RunContext()).mean
    expected = evaluate(volume.data.numpy(), attenuation_to_hu(image).numpy(), "CT")["psnr"]
    assert workshop.validate is not None
    assert workshop.validate(workshop.learner.network().eval()).figures["psnr"] == pytest.approx(expected, abs=0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Path]:
    """Weights of each method, by the command."""
    folder = tmp_path_factory.mktemp("methods")
    mr_parts(folder)
    paths = {}
    for network in ("fbpconv", "unet", "primal-dual", *OF_MR):
        out = folder / network
        data = ["--dataset", DATA] if network not in OF_MR else ["--data", str(folder / "mr"), "--modality", "MR"]
        task = [*IDEAL] if network not in OF_MR else ["--task", "mri", "--mask", "equispaced", "--accel", "4"]
        places = ["--out", out, "--cache", folder / "cache"]
        run = run_recon("train", network, *data, *task, "--recipe", "tiny", "--set", "steps=60", *places, "-q")
        assert run.code == 0, run.err
        paths[network] = out / f"{network}.safetensors"
    return paths


def test_weights_say_what_they_were_trained_for_and_on(trained):
    card = verify(trained["fbpconv"])
    assert card.kind == "fbpconv"
    assert card.extra["task"]["geometry"]["type"] == "fan"
    assert card.extra["data"] == [{"name": DATA}]
    assert card.extra["subjects"]
    assert card.extra["validation"]["psnr"] > 0
    assert card.extra["recipe"]["steps"] == 60


def measured(modality: str, volume: Volume):
    return simulate_ct(volume, "paper40") if modality == "CT" else simulate_mr(volume, "equispaced", 4.0)


@pytest.mark.parametrize(
    ("modality", "method", "network", "direct"),
    [
        ("CT", "fbpconv", "fbpconv", "fbp"),
        ("CT", "unet", "unet", "fbp"),
        ("CT", "primal-dual", "primal-dual", "fbp"),
        ("MR", "modl", "modl", "zero-filled"),
        ("MR", "varnet", "varnet", "zero-filled"),
    ],
)
def test_trained_methods_beat_the_direct_one_and_a_data_step_brings_them_closer_to_the_data(
    trained, modality, method, network, direct
):
    volume = ellipsoid("MR", 3) if modality == "MR" else phantom()
    measurement = measured(modality, volume)
    scores, residuals = {}, {}
    for name in (direct, method, f"{method}+dc"):
        chosen = get_method(modality, name)
        settings = {} if name == direct else {"weights": str(trained[network])}
        answer: Reconstruction = chosen.run(measurement, parse_options(chosen, settings), RunContext())
        image = attenuation_to_hu(answer.mean) if modality == "CT" else answer.mean.abs()
        scores[name] = evaluate(volume.data.numpy(), image.numpy(), modality)["psnr"]
        mean = answer.mean.to(measurement.y.dtype)
        residuals[name] = float((measurement.operator(mean) - measurement.y).norm() / measurement.y.norm())
        if name != direct:
            assert answer.weights == {"network": read_card(trained[network]).sha256}
    assert scores[method] > scores[direct]
    assert residuals[f"{method}+dc"] < residuals[method]


def phantom() -> Volume:
    from datasets import open_dataset
    from recon.io.cases import read_case

    volume = read_case(open_dataset(DATA + ",seed=9", None).cases()[0])
    assert isinstance(volume, Volume)
    return volume


def test_other_scans_are_refused_and_the_way_out_is_named(trained):
    method = get_method("CT", "fbpconv")
    scan = simulate_ct(phantom(), FanBeam(circular_angles(20), pitch=2.0))
    with pytest.raises(InputError, match="trained for 40 views, the scan has 20; take `method` tv"):
        method.run(scan, parse_options(method, {"weights": str(trained["fbpconv"])}), RunContext())
    allowed = parse_options(method, {"weights": str(trained["fbpconv"]), "allow-other": "yes"})
    assert method.run(scan, allowed, RunContext()).mean.shape == scan.operator.domain
    unet = get_method("CT", "unet")
    options = parse_options(unet, {"weights": str(trained["fbpconv"])})
    with pytest.raises(InputError, match="of kind fbpconv, where unet is wanted"):
        unet.run(scan, options, RunContext())


def test_missing_weights_name_how_to_train_them(monkeypatch, tmp_path):
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("recon.learned.trained.SHIPPED", "nowhere")
    method = get_method("MR", "modl")
    with pytest.raises(InputError, match="recon train modl"):
        method.run(simulate_mr(ellipsoid("MR"), "equispaced", 4.0), parse_options(method, {}), RunContext())


@pytest.mark.parametrize("network", ["fbpconv", "primal-dual"])
def test_a_run_that_is_stopped_and_gone_on_with_equals_an_unbroken_one(tmp_path, network):
    def run(out: Path, steps: int) -> list[list[str]]:
        settings = ["--set", f"steps={steps}", "--set", "checkpoints.every=3"]
        places = ["--out", out, "--cache", tmp_path / "cache"]
        arguments = ["--dataset", DATA, *IDEAL, "--recipe", "tiny", *settings, *places, "-q"]
        assert run_recon("train", network, *arguments).code == 0
        with (out / f"train-{network}.csv").open() as file:
            return [row[:2] for row in csv.reader(file)]

    whole = run(tmp_path / "whole", 6)
    run(tmp_path / "parts", 3)
    assert run(tmp_path / "parts", 6) == whole


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fbpconv"], "--task: say what fbpconv shall learn to undo, svct or mri"),
        (["fbpconv", "--task", "mri"], "--task: for MR, and the data are CT"),
        (["primal-dual", "--task", "mri"], "--task: primal-dual is for CT, this task for MR"),
        (["fbpconv", "--task", "svct", "--condition", "fbp", "--condition", "sirt"], "fbpconv takes one"),
        (["fbpconv", "--task", "svct", "--set", "network.wdth=3"], "unknown key network.wdth; did you mean width"),
        (["fbpconv", "--task", "svct", "--set", "task.crop=34"], "task.crop: 34 is no multiple of 4"),
        (
            ["dolce", "--task", "svct", "--set", "network.in_channels=5", "--set", "task.varints=2"],
            "did you mean variants",
        ),
        (["adm", "--set", "network.width=33"], "recipe: network: ADM"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, arguments, line):
    out = tmp_path / "out"
    places = ["--out", out, "--cache", tmp_path / "cache"]
    run = run_recon("train", *arguments, "--dataset", DATA, "--recipe", "tiny", *places)
    assert run.code == 2
    assert line in run.err
    assert run.err.strip().count("\n") <= 2, "what was read, and one line"
    assert not out.exists()


def test_random_phases_are_smooth_bounded_and_repeatable():
    one, again = (smooth_phase((5, 40, 30), 1.5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, again)
    assert float(one.abs().max()) == pytest.approx(1.5)
    assert float(one.diff(dim=1).abs().max()) < 0.3


def test_the_image_of_a_scan_has_the_phase_that_the_task_says():
    """What is learned for is what was measured: k-space of magnitude and phase together."""
    from physics.mr.cartesian import fft2c

    task = MRAcquisition(("equispaced",), (2.0, 2.0), phase=1.0)
    volume = ellipsoid("MR")
    measurement, image = task.simulate_with_image(volume, 7)
    torch.testing.assert_close(image.abs(), volume.data)
    assert float(image.angle().abs().max()) > 0.01
    expected = fft2c(image)[:, None] * measurement.operator.mask
    assert torch.allclose(measurement.y, expected, atol=1e-2)


def test_initial_weights_without_discriminator_get_one_where_the_loss_asks() -> None:
    judge = DiscriminatorConfig(channels=4, layers=2)
    plain = PatchVolumeAutoencoder(AutoencoderConfig(width=8, norm_groups=4, codes=16, latent_channels=2, patch=8))
    judged = with_discriminator(plain, judge)
    assert judged.config.discriminator == judge
    state = judged.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())
    assert with_discriminator(judged, judge) is judged
    assert with_discriminator(plain, None) is plain

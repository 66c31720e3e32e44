"""Reconstruction by a ControlNet head: it runs, is repeatable, and refuses what it was not trained for."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from cli_helpers import run_recon
from click.testing import CliRunner
from tiny_prior import BASE, GEOMETRY, body, make_head

from physics.ct.geometry import circular_angles
from physics.ct.protocol import load_protocol
from priors.networks.biflownet import BiFlowNet
from priors.weights.card import Card, read_card, read_tensors, save_weights
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.cli import cli
from recon.diffusion.controlnet_head import load_head
from recon.errors import InputError
from recon.io.nifti.volume import write_volume
from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.methods.meddiffusion import MedDiffusionOptions
from recon.methods.meddiffusion_paper import PaperOptions
from recon.run.outcome import reconstruct
from recon.scan.measurement import Protocol, RunContext


def test_ct_runs_on_the_grid_of_the_scan_and_is_repeatable(prior, tmp_path):
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp", "sirt")))
    measurement = simulate_ct(body(), GEOMETRY)
    options = PaperOptions(weights=str(head), prior=str(prior), steps=2, samples=2)
    run = get_method("CT", "meddiffusion-paper").run
    first, again = (run(measurement, options, RunContext(torch.Generator().manual_seed(3))) for _ in range(2))
    assert first.mean.shape == (11, 40, 36)
    assert torch.equal(first.mean, again.mean)
    assert first.std is not None
    assert 0 < float(first.std.mean()) < 0.02, "1/mm"
    assert float(first.mean.min()) >= 0
    other = run(measurement, options, RunContext(torch.Generator().manual_seed(4)))
    assert not torch.equal(first.mean, other.mean)


@pytest.mark.parametrize("method", ["meddiffusion", "meddiffusion+dc"])
@pytest.mark.parametrize("mode", ["paper", "full"])
def test_the_option_that_was_the_papers_way_names_the_method(method, mode):
    line = f"`mode`={mode}: the paper's way is a method of its own: take `method` meddiffusion-paper, without `mode`"
    with pytest.raises(InputError, match=line):
        parse_options(get_method("CT", method), {"mode": mode})
    run = run_recon("svct", "--method", method, "--set", f"mode={mode}")
    assert run.code == 2
    assert run.err.strip().splitlines()[-1].endswith("take --method meddiffusion-paper, without --set mode")
    with pytest.raises(InputError, match="no such option"):
        parse_options(get_method("CT", "meddiffusion-paper"), {"gain": "2"})


def test_the_factor_on_a_head_has_the_name_of_the_field():
    with pytest.raises(InputError, match="is called `controlnet-scale`"):
        parse_options(get_method("MR", "meddiffusion"), {"strength": "2"})


def test_the_head_steers_and_its_scale_counts(prior, tmp_path):
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    measurement = simulate_ct(body(), GEOMETRY)
    run = get_method("CT", "meddiffusion-paper").run
    means = [
        run(
            measurement,
            PaperOptions(weights=str(head), prior=str(prior), steps=2, controlnet_scale=scale),
            RunContext(torch.Generator().manual_seed(3)),
        ).mean
        for scale in (0.0, 0.5, 1.0)
    ]
    assert not torch.equal(means[0], means[1])
    assert not torch.equal(means[1], means[2])


def test_mr_comes_out_in_the_units_of_the_measurement(prior, tmp_path):
    """Ten times the signal gives ten times the image: the scale follows from the data."""
    head = make_head(prior, tmp_path, Task(MRAcquisition(("equispaced",), (2.0, 4.0)), ("zero-filled",)))
    run = get_method("MR", "meddiffusion-paper").run
    options = PaperOptions(weights=str(head), prior=str(prior), steps=2)
    one = body("MR")
    images = [
        run(simulate_mr(volume, "equispaced", 2.0), options, RunContext(torch.Generator().manual_seed(3))).mean
        for volume in (one, one.like(one.data * 10))
    ]
    assert images[0].shape == one.data.shape
    assert torch.allclose(images[1], images[0] * 10, rtol=0.05, atol=float(images[1].max()) * 0.02)


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (replace(GEOMETRY, angles=circular_angles(40)), "it was trained for 24 views, the scan has 40"),
        (replace(GEOMETRY, angles=circular_angles(24, arc=math.pi / 2)), "an arc of 360 degrees, the scan has 90"),
        (replace(GEOMETRY, source_isocentre=400.0), "a magnification of 1.83, the scan has 2.72"),
    ],
)
def test_another_geometry_is_refused_in_one_line_with_a_way_out(prior, tmp_path, scan, reason):
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    named = (str(head), str(prior))
    with pytest.raises(InputError, match="take `method` tv") as error:
        load_head(*named, Protocol(geometry=scan.to_dict()), "CT")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert load_head(*named, Protocol(geometry=scan.to_dict()), "CT", allow_other=True).task.modality == "CT"


def test_another_mask_modality_or_prior_is_refused(prior, tmp_path):
    head = make_head(prior, tmp_path, Task(MRAcquisition(("poisson",), (4.0, 8.0)), ("zero-filled",)))
    named = (str(head), str(prior))
    with pytest.raises(InputError, match="trained for the masks poisson, the scan has gauss1d"):
        load_head(*named, Protocol(mask={"kind": "gauss1d", "accel": 8}), "MR")
    with pytest.raises(InputError, match="trained for acceleration 4 to 8, the scan has 12"):
        load_head(*named, Protocol(mask={"kind": "poisson", "accel": 12}), "MR")
    with pytest.raises(InputError, match="trained for MR, the scan is CT"):
        load_head(*named, Protocol(geometry=GEOMETRY.to_dict()), "CT")
    with pytest.raises(InputError, match="no installed prior is the one"):
        load_head(str(head), "", Protocol(mask={"kind": "poisson", "accel": 8}), "MR")


def test_a_head_on_another_prior_is_refused(prior, tmp_path):
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    other = tmp_path / "other"
    other.mkdir()
    (other / "autoencoder.safetensors").write_bytes((prior / "autoencoder.safetensors").read_bytes())
    torch.manual_seed(9)
    save_weights(other / "biflownet.safetensors", BiFlowNet(BASE).state_dict(), Card("biflownet", BASE.to_dict()))
    options = MedDiffusionOptions(weights=str(head), prior=str(other), steps=1)
    with pytest.raises(InputError, match="made for the base"):
        get_method("CT", "meddiffusion").run(simulate_ct(body(), GEOMETRY), options, RunContext())


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_the_prior_is_found_by_its_hash_among_those_installed(prior, tmp_path, monkeypatch, dtype):
    """Also where its file holds 16 bits: a head is trained on what they are in use."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "weights"))
    installed = tmp_path / "weights" / "mine"
    installed.mkdir(parents=True)
    for name in ("autoencoder.safetensors", "biflownet.safetensors"):
        save_weights(installed / name, read_tensors(prior / name), read_card(prior / name), dtype)
    head = make_head(installed, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    assert load_head(str(head), "", Protocol(geometry=GEOMETRY.to_dict()), "CT").prior.name == "mine"


def test_an_installed_head_is_chosen_by_the_scan(prior, tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("priors.weights.store.shipped_folder", lambda: tmp_path / "nothing")
    heads = tmp_path / "mine" / "heads"
    heads.mkdir(parents=True)
    for name in ("autoencoder.safetensors", "biflownet.safetensors"):
        (heads.parent / name).write_bytes((prior / name).read_bytes())
    tasks = {
        "few": Task(CTAcquisition(GEOMETRY, (10, 20)), ("fbp",)),
        "many": Task(CTAcquisition(GEOMETRY, (21, 40)), ("fbp",)),
        "mr": Task(MRAcquisition(), ("zero-filled",)),
    }
    for name, task in tasks.items():
        make_head(prior, tmp_path, task).rename(heads / f"{name}.safetensors")
    (heads / "damaged.safetensors").write_bytes(b"none")
    chosen = load_head("", "", Protocol(geometry=GEOMETRY.to_dict()), "CT")
    assert chosen.task == tasks["many"]
    with pytest.raises(InputError, match=r"few: it was trained for 10 to 20 views.*many: .*the scan has 50.*tv") as no:
        load_head("", "", Protocol(geometry=replace(GEOMETRY, angles=circular_angles(50)).to_dict()), "CT")
    assert "\n" not in str(no.value)
    assert "mr" not in str(no.value).split(";")[0]


def test_auto_takes_a_head_that_fits_the_scan_and_says_why_it_does_not(prior, tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("priors.weights.store.shipped_folder", lambda: tmp_path / "nothing")
    heads = tmp_path / "mine" / "heads"
    heads.mkdir(parents=True)
    for name in ("autoencoder.safetensors", "biflownet.safetensors"):
        (heads.parent / name).write_bytes((prior / name).read_bytes())
    task = Task(CTAcquisition(load_protocol("paper40"), (20, 30)), ("fbp",))
    make_head(prior, tmp_path, task).rename(heads / "few.safetensors")
    case = tmp_path / "case.nii.gz"
    write_volume(case, body())
    ideal = ("--simulate", "ideal")  # what the head was trained on
    fitting = run_recon("svct", *ideal, "--views", 24, "--input", case, "--set", "steps=1", "-o", tmp_path / "fits")
    assert fitting.code == 0, fitting.err
    assert json.loads((tmp_path / "fits" / "result.json").read_text())["method"] == "meddiffusion"
    other = run_recon("svct", "--views", 40, "--input", case, "-o", tmp_path / "other")
    assert other.code == 0, other.err
    reason = "mine/heads/few: it was trained for 20 to 30 views, the scan has 40"
    assert f"note: --method tv was taken, not meddiffusion: {reason}" in other.err
    assert json.loads((tmp_path / "other" / "result.json").read_text())["method"] == "tv"
    named = run_recon("svct", "--views", 40, "--method", "meddiffusion", "--input", case, "-o", tmp_path / "no")
    assert named.code == 2
    assert "take --method tv" in named.err
    assert not (tmp_path / "no").exists()
    magnitude = tmp_path / "mr.nii.gz"
    write_volume(magnitude, body("MR"))
    mr = run_recon("mri", "--mask", "equispaced", "--accel", 2, "--input", magnitude, "-o", tmp_path / "mr")
    assert mr.code == 0, mr.err
    assert "note: --method tv was taken, not meddiffusion: no ControlNet head for MR is installed" in mr.err


def test_the_command_takes_weights_and_says_what_is_missing(prior, tmp_path, monkeypatch):
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    case, scanner = tmp_path / "case.nii.gz", tmp_path / "scan.yaml"
    write_volume(case, body())
    scanner.write_text(
        "type: fan\nsource_isocentre_mm: 595\nsource_detector_mm: 1086.5\npitch_mm: 2\nangles: {views: 24}\n"
    )
    arguments = ["svct", "--input", str(case), "--geometry", str(scanner), "-o", str(tmp_path / "out"), "-q"]
    with_head = [*arguments, "--weights", str(head), "--prior", str(prior), "--set", "steps=1"]
    assert CliRunner().invoke(cli, with_head, catch_exceptions=False).exit_code == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["method"] == "meddiffusion"
    assert result["weights_sha256"] == {
        "head": read_card(head).sha256,
        "autoencoder.safetensors": read_card(prior / "autoencoder.safetensors").sha256,
        "biflownet.safetensors": read_card(prior / "biflownet.safetensors").sha256,
    }
    monkeypatch.setattr("priors.weights.store.shipped_folder", lambda: tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no ControlNet head for CT is installed.* adds them; take --method tv"):
        CliRunner().invoke(
            cli, [*arguments, "--overwrite", "--method", "meddiffusion"], catch_exceptions=False, standalone_mode=False
        )


def test_a_network_that_is_used_all_the_same_says_so_beside_the_result(prior, tmp_path):
    """Its conditions' networks are used all the same too."""
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp",)))
    scan = simulate_ct(body(), replace(GEOMETRY, angles=circular_angles(30)))
    settings = {"weights": str(head), "prior": str(prior), "steps": 1, "allow_other": True}
    outcome = reconstruct(scan, body(), "meddiffusion-paper", settings=settings)
    assert outcome.all_notices[-1] == (
        "weights head.safetensors are not made for this scan: it was trained for 24 views, the scan has 30"
    )
    assert reconstruct(scan, body(), "fbp").all_notices == outcome.all_notices[:-1]


def test_missing_weights_are_told_before_the_scan_is_simulated(tmp_path, monkeypatch):
    monkeypatch.setattr("priors.weights.store.shipped_folder", lambda: tmp_path / "nothing")
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("recon.run.measure.measure_ct", lambda *_, **__: pytest.fail("it was simulated"))
    case = tmp_path / "case.nii.gz"
    write_volume(case, body())
    for method, line in (("meddiffusion", "no ControlNet head for CT"), ("fbpconv+dc", "no weights of kind fbpconv")):
        with pytest.raises(InputError, match=line):
            CliRunner().invoke(
                cli,
                ["svct", "--input", str(case), "--method", f"fbp,{method}", "-o", str(tmp_path / "out"), "-q"],
                catch_exceptions=False,
                standalone_mode=False,
            )

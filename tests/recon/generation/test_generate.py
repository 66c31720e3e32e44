"""``recon generate`` with a tiny prior of random weights, and how network images become volumes and pictures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_helpers import ROOT, Run, listing, load, run_recon, start
from PIL import Image
from tiny_prior import BASE, write_prior

from priors.diffusion.anatomy import find_class
from priors.diffusion.average import average_latent
from priors.diffusion.load import load_prior
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.samplers import SAMPLERS, SPACINGS
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.inference import Acceleration
from priors.weights.card import Card, save_weights
from recon.cli.generate import generate
from recon.errors import InputError, RunError
from recon.generation.files import output_files
from recon.generation.preview import preview
from recon.generation.request import Request
from recon.generation.volumes import generate_volumes, to_volume
from recon.pictures.lettering import MARGIN
from recon.scan.volume import Volume

SMALL = ("--size", "32,64,32", "--steps", 2, "--prior", "tiny", "--device", "cpu")
ENDLESS = ("generate", "--class", "CTLegs", *SMALL[:2], "--steps", 1000, *SMALL[4:], "--sampler", "ddpm")
CHEST, KNEE = find_class("CTChestAbdomen"), find_class("MRKnee")


@pytest.fixture(scope="module")
def prior_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of random weights; 4x, so that volumes are multiples of 32 voxels."""
    return write_prior(tmp_path_factory.mktemp("weights") / "tiny", replace(BASE, token_patch=1))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prior_folder: Path) -> Path:
    """A working folder with the prior ``tiny`` in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prior_folder, tmp_path / "tiny")
    return tmp_path


def made(folder: Path) -> set[str]:
    """What lies in the working folder beside the prior."""
    return {name for name in listing(folder) if not name.startswith("tiny")}


def make(*arguments: object) -> Run:
    return run_recon("generate", "--class", "CTChestAbdomen", *SMALL, *arguments)


def test_a_ct_volume_with_its_json_and_its_picture(folder: Path) -> None:
    done = make("--seed", 3, "-o", "out/vol.nii.gz", "--preview")
    assert (done.code, done.out) == (0, "out/vol.nii.gz\n")
    assert "256,256,256 and 512,512,512 voxels" in done.err
    assert made(folder) == {"out", "out/vol.nii.gz", "out/vol.json", "out/vol.png"}
    image = load("out/vol.nii.gz")
    assert image.shape == (32, 64, 32)  # x, y, z
    np.testing.assert_array_equal(image.affine, np.diag([1.25, 1.25, 1.25, 1]))
    values = image.get_fdata()
    assert values.min() >= -1000
    assert values.max() <= 1000
    assert values.std() > 1
    facts = json.loads(Path("out/vol.json").read_text())
    assert facts["shape"] == [32, 64, 32]  # z, y, x
    assert (facts["class"], facts["seed"], facts["steps"], facts["sampler"]) == ("CTChestAbdomen", 3, 2, "ddim")
    assert (facts["prior"], facts["unit"], facts["timesteps"]) == ("tiny", "HU", [999, 0])
    assert set(facts["weights_sha256"]) == {"autoencoder.safetensors", "biflownet.safetensors"}
    edge = 2 * MARGIN
    assert Image.open("out/vol.png").size == (32 + 4 + 32 + 4 + 64 + 3 * edge, 64 + edge)


def test_the_file_is_the_network_image_with_its_axes_named(folder: Path) -> None:
    assert make("--seed", 3, "-o", "vol.nii.gz", "-q").code == 0
    from priors.diffusion.latent_sampling import generate as network_images

    image = network_images(load_prior(folder / "tiny"), 1, (32, 32, 64), steps=2, seeds=[3])[0, 0]
    expected = image.clamp(-1, 1).permute(1, 2, 0).numpy() * 1000
    np.testing.assert_allclose(load("vol.nii.gz").get_fdata(), expected, atol=0.05)


def test_the_same_seed_gives_the_same_file(folder: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        assert make("--seed", 5, "-o", name).code == 0
    assert make("--seed", 4, "--count", 2, "-o", "c.nii.gz").code == 0
    assert make("--seed", 4, "--count", 2, "--batch", 2, "-o", "d.nii.gz").code == 0
    files = listing(folder)
    assert files["a.nii.gz"] == files["b.nii.gz"] == files["c-seed5.nii.gz"]
    assert files["a.nii.gz"] != files["c-seed4.nii.gz"]
    for seed in (4, 5):
        alone, together = (load(f"{name}-seed{seed}.nii.gz").get_fdata() for name in "cd")
        # Rounding may move a latent across the border between two codes, here and there.
        assert np.mean(np.abs(alone - together) > 0.5) < 0.02


def test_mr_is_a_magnitude_in_its_own_spacing(folder: Path) -> None:
    done = run_recon("generate", "--class", "mrabdomen", *SMALL, "--sampler", "dpm++")
    assert (done.code, done.out) == (0, "MRAbdomen.nii.gz\n")
    image = load("MRAbdomen.nii.gz")
    np.testing.assert_allclose(image.header.get_zooms(), (1.2, 1.2, 2))
    assert image.get_fdata().min() >= 0
    assert image.get_fdata().max() <= 1
    assert json.loads(Path("MRAbdomen.json").read_text())["timesteps"][0] == 999


def test_spacing_of_ones_own_and_json_on_standard_output(folder: Path) -> None:
    done = make("--spacing", "0.5,0.6,3", "--json", "-q")
    assert json.loads(done.out) == json.loads(Path("CTChestAbdomen.json").read_text())
    assert json.loads(done.out)["spacing_mm"] == [3, 0.6, 0.5]
    assert done.err == ""
    np.testing.assert_allclose(load("CTChestAbdomen.nii.gz").header.get_zooms(), (0.5, 0.6, 3))
    several = make("--count", 2, "--json", "-o", "s.nii")
    assert [facts["output"] for facts in json.loads(several.out)] == ["s-seed0.nii", "s-seed1.nii"]


def test_bfloat16_runs_and_stays_near(folder: Path) -> None:
    assert make("-o", "exact.nii").code == 0
    assert make("-o", "half.nii", "--dtype", "bfloat16").code == 0
    exact, half = (load(name).get_fdata() for name in ("exact.nii", "half.nii"))
    assert np.corrcoef(exact.ravel(), half.ravel())[0, 1] > 0.5
    assert json.loads(Path("half.json").read_text())["dtype"] == "bfloat16"


BAD: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "class": (("--class", "CTHead"), ("--class", "'CTHead'", "CTHeadNeck", "MRKnee")),
    "size": (("--size", "100,64,32"), ("--size", "X is 100", "96 or 128 would do")),
    "size below": (("--size", "32,64,8"), ("--size", "Z is 8", "32 would do")),
    "size words": (("--size", "big"), ("--size big", "X,Y,Z")),
    "spacing": (("--spacing", "1,1"), ("--spacing 1,1", "X,Y,Z in mm")),
    "no spacing": (("--spacing", "1,0,1"), ("--spacing 1,0,1", "positive")),
    "steps": (("--steps", 1001), ("--steps", "1 to 1000")),
    "prior": (("--prior", "absent"), ("--prior", "absent", "recon weights import")),
    "no prior": (("--prior", "elsewhere/prior"), ("--prior", "elsewhere/prior")),
    "device": (("--device", "gpu"), ("--device gpu",)),
    "suffix": (("-o", "vol.mha"), ("vol.mha", ".nii.gz")),
    "no stem": (("-o", ".nii.gz"), (".nii.gz", "NIfTI")),
    "seed": (("--seed", -1), ("--seed",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(folder: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_WEIGHTS", str(folder / "none"))
    arguments, words = BAD[case]
    done = make(*arguments)
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]
    assert made(folder) == set()


@pytest.mark.parametrize("name", ["vol.nii.gz", "vol.json", "vol.png"])
def test_an_existing_output_stays(folder: Path, name: str) -> None:
    (folder / name).write_text("mine")
    done = make("-o", "vol.nii.gz", "--preview")
    assert done.code == 2
    assert f"{name}: exists already" in done.err
    foreign = make("-o", "vol.nii.gz", "--preview", "--overwrite")
    assert foreign.code == 2
    assert f"{name}: --overwrite replaces only what an earlier run" in foreign.err
    assert made(folder) == {name}
    assert (folder / name).read_text() == "mine"


def test_the_outputs_of_an_earlier_run_are_replaced_on_request(folder: Path) -> None:
    assert make("--seed", 1, "-o", "vol.nii.gz", "--preview").code == 0
    before = listing(folder)
    assert make("--seed", 2, "-o", "vol.nii.gz", "--preview", "--overwrite").code == 0
    after = listing(folder)
    assert after.keys() == before.keys()
    assert all(before[name] != after[name] for name in ("vol.nii.gz", "vol.json", "vol.png"))


def test_networks_that_do_not_belong_together(folder: Path) -> None:
    other = PatchVolumeAutoencoder(AutoencoderConfig(width=8, latent_channels=2, codes=8, norm_groups=4, patch=16))
    save_weights(
        folder / "tiny" / "autoencoder.safetensors", other.state_dict(), Card("autoencoder", other.config.to_dict())
    )
    done = make()
    assert done.code == 2
    assert "2 channels and the noise estimator takes 4" in done.err


@pytest.mark.parametrize("name", ["autoencoder", "biflownet"])
def test_a_damaged_or_missing_network(folder: Path, name: str) -> None:
    path = folder / "tiny" / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    damaged = make()
    path.unlink()
    missing = make()
    for done in (damaged, missing):
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
        assert path.name in done.err or "tiny" in done.err
    assert made(folder) == set()


def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    process = start(folder, *ENDLESS, "--count", 2, "-o", "new/vol.nii.gz", "--preview")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("note: these networks")  # from now on it works
    deadline = time.monotonic() + 120
    while not list(folder.glob("new")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "recon: interrupted; nothing was written"
    assert out == ""
    assert made(folder) == set()


def test_the_bar_counts_the_steps_on_a_terminal(folder: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "recon", "generate", "--class", "CTLegs", "--size", "32,32,32", "--steps", "10"]
    process = subprocess.Popen(
        [*command, *map(str, SMALL[4:])], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=follower
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # Linux says so when the other side closes
        pass
    finally:
        os.close(leader)
    assert process.wait(timeout=120) == 0
    assert b"seed 0: steps" in shown
    assert b"/10" in shown
    assert b"decoding" in shown


def test_a_class_that_the_prior_does_not_have(prior_folder: Path) -> None:
    from recon.generation.request import check_request

    prior = load_prior(prior_folder)
    few = BiFlowNet(BiFlowNetConfig(**{**vars(prior.biflownet.config), "classes": 2}))
    with pytest.raises(InputError, match=r"`class` MRKnee: .* first 2 "):
        check_request(
            LatentGenerator(PatchVolumePrior(prior.autoencoder, few, GaussianDiffusion())), request(KNEE, (32, 32, 32))
        )


def request(anatomy: Any, size: tuple[int, int, int], **options: Any) -> Request:
    return Request(anatomy, size, (3.0, 1.0, 2.0), **options)


def test_a_prior_that_says_what_it_learned_gives_the_defaults_and_refuses_the_rest(folder: Path) -> None:
    from priors.weights.card import read_card, read_tensors

    path = folder / "tiny" / "biflownet.safetensors"
    card, tensors = read_card(path), read_tensors(path)
    facts = {"classes": {"MRKnee": [3.3, 1.0, 1.0]}, "size": [32, 64, 32]}
    save_weights(path, tensors, Card("biflownet", card.config, extra=facts))
    common = ("--steps", 2, "--prior", "tiny", "--device", "cpu")
    done = run_recon("generate", "--class", "MRKnee", *common, "-o", "vol.nii.gz", "-q")
    assert done.code == 0, done.err
    image = load("vol.nii.gz")
    assert image.shape == (64, 32, 32)
    np.testing.assert_allclose(np.diag(image.affine)[:3], [1, 1, 3.3], rtol=1e-5)
    refused = run_recon("generate", "--class", "CTLegs", *common)
    assert refused.code == 2
    assert "this prior learned MRKnee alone" in refused.err
    save_weights(path, tensors, Card("biflownet", card.config, extra={"size": [1]}))
    damaged = run_recon("generate", "--class", "CTLegs", *common)
    assert damaged.code == 2
    assert "its header is damaged: classes or size" in damaged.err


def test_volumes_start_from_the_average_that_a_prior_knows(folder: Path) -> None:
    from priors.weights.card import read_card, read_tensors

    path = folder / "tiny" / "biflownet.safetensors"
    card, tensors = read_card(path), read_tensors(path)
    average = average_latent([torch.full((4, 2, 16, 24), 0.5)], (32, 64, 32))
    facts = {"averages": {"MRKnee": average.to_dict()}}
    save_weights(path, tensors, Card("biflownet", card.config, extra=facts))
    common = ("generate", "--class", "MRKnee", "--steps", 2, "--prior", "tiny", "--device", "cpu", "-q")
    for name, options in (("average", ()), ("noise", ("--start", "noise")), ("again", ())):
        done = run_recon(*common, *options, "-o", f"{name}.nii.gz")
        assert done.code == 0, done.err
    facts_of = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("average", "noise")}
    assert facts_of["average"]["shape"] == facts_of["noise"]["shape"] == [32, 32, 64]
    assert (facts_of["average"]["start"], facts_of["average"]["timesteps"]) == ("average", [900, 0])
    assert (facts_of["noise"]["start"], facts_of["noise"]["timesteps"]) == ("noise", [999, 0])
    images = {name: load(f"{name}.nii.gz").get_fdata() for name in ("average", "noise", "again")}
    assert np.array_equal(images["average"], images["again"])
    assert not np.array_equal(images["average"], images["noise"])
    unknown = run_recon(*common[:2], "MRAbdomen", *common[3:], "--start", "average")
    assert unknown.code == 2
    assert "--start average: this prior knows no average of MRAbdomen" in unknown.err
    for damaged in ({"MRKnee": {"grid": [1], "size": [32, 64, 32]}}, {"Nobody": average.to_dict()}, [1]):
        save_weights(path, tensors, Card("biflownet", card.config, extra={"averages": damaged}))
        refused = run_recon(*common, "--overwrite")
        assert refused.code == 2
        assert "its header is damaged: averages" in refused.err


def test_network_images_become_hu_or_magnitude() -> None:
    image = torch.tensor([-1.2, -1, 0, 0.5, 1, 1.3]).view(1, 2, 3)  # z, x, y
    ct = to_volume(image, request(CHEST, (1, 2, 3)))
    assert ct.data.flatten().tolist() == [-1000, 500, -1000, 1000, 0, 1000]  # z, y, x
    assert ct.data.shape == (1, 3, 2)
    assert ct.spacing == (3, 2, 1)
    assert to_volume(image, request(KNEE, (1, 2, 3))).data.flatten().tolist() == [0, 0.75, 0, 1, 0.5, 1]
    with pytest.raises(RunError, match="NaN or infinity"):
        to_volume(image * torch.nan, request(CHEST, (1, 2, 3)))


def test_a_batch_is_made_as_it_is_asked_for(prior_folder: Path) -> None:
    told: list[str] = []
    wanted = request(CHEST, (32, 32, 32), sampling=Sampling(steps=1), seeds=(1, 2, 3), batch=2)
    volumes = generate_volumes(
        LatentGenerator(load_prior(prior_folder)), wanted, Acceleration(), lambda event: told.append(event.stage)
    )
    next(volumes)
    assert set(told) == {"seed 1, 2: steps", "seed 1: decoding, %"}
    assert len(list(volumes)) == 2
    assert "seed 3: steps" in told


def test_the_picture_shows_three_planes_in_true_proportion() -> None:
    data = torch.full((10, 20, 30), -1000.0)  # z, y, x
    data[5, 4:, 25:] = 1000  # in the middle axial plane, at the patient's right (x ascends to the right side)
    picture = preview(Volume(data, np.diag([1.0, 1.0, 3.0, 1.0]), "CT"))
    edge = 2 * MARGIN
    assert picture.shape == (30 + edge, 30 + edge + 4 + 30 + edge + 4 + 20 + edge)
    inner = picture[MARGIN:-MARGIN]
    axial, coronal = inner[:20, MARGIN : MARGIN + 30], inner[:30, 34 + edge + MARGIN : 64 + edge + MARGIN]
    assert axial[:16, :5].min() == 255  # radiological view: the right side at the left, anterior at the top
    assert axial[:, 5:].max() == 0
    assert coronal[:, 5:].max() == 0
    assert coronal[12:15, :5].mean() > 100  # axial slices are 3 mm thick, superior at the top
    assert (picture[:, 30 + edge : 34 + edge] == 0).all()
    assert picture[:MARGIN, :].max() > 0, "letters stand above the planes"


def test_names_of_outputs() -> None:
    (one,) = output_files(Path("a/b.nii.gz"), (7,), preview=True)
    assert one.all() == [Path("a/b.nii.gz"), Path("a/b.json"), Path("a/b.png")]
    two = output_files(Path("b.c.nii"), (1, 2), preview=False)
    assert [each.all() for each in two] == [
        [Path("b.c-seed1.nii"), Path("b.c-seed1.json")],
        [Path("b.c-seed2.nii"), Path("b.c-seed2.json")],
    ]


def test_the_command_offers_what_there_is() -> None:
    assert {p.name: p.default for p in generate.params}["prior_name"] == "starter"
    choices = {p.name: getattr(p.type, "choices", None) for p in generate.params}
    assert set(choices["sampler"] or ()) == {*SAMPLERS, "rflow"}
    assert set(choices["timesteps"] or ()) == set(SPACINGS)

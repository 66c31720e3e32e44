"""``recon generate --output-spacing``: the grid and its place, what the files say, and errors in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import Run, listing, load, run_recon
from implicit_decoders import write_decoder
from tiny_prior import BASE, networks, write_prior
from toy_generators import ToyGenerator

from priors.diffusion.load import load_prior
from priors.generators.latent import LatentGenerator
from priors.networks.implicit_decoder import ImplicitDecoder, ImplicitDecoderConfig
from priors.networks.resampling import resampled
from priors.weights.card import Card, read_card, save_weights
from recon.errors import InputError
from recon.generation.output_grid import OutputGrid, load_output_grid, patch_volume_prior

SMALL = ("--size", "32,64,32", "--steps", 2, "--prior", "tiny", "--device", "cpu", "--spacing", "2,2,4")
FINER = ("--output-spacing", "1.5,1,2", "--decoder", "fine.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of random weights, an implicit decoder of its autoencoder, and one that adds nothing."""
    folder = tmp_path_factory.mktemp("weights")
    write_prior(folder / "tiny", replace(BASE, token_patch=1))
    write_decoder(networks()[0], folder / "fine.safetensors")
    write_decoder(networks()[0], folder / "plain.safetensors", spread=0)
    other = networks()[0]
    with torch.no_grad():
        other.post_vq_conv.bias += 1
    write_decoder(other, folder / "other.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights, tmp_path, dirs_exist_ok=True)
    return tmp_path


def make(*arguments: object) -> Run:
    return run_recon("generate", "--class", "CTChestAbdomen", *SMALL, *arguments)


def test_a_finer_volume_lies_where_the_usual_one_lies(folder: Path) -> None:
    done = make("--seed", 3, "-o", "fine.nii.gz", *FINER)
    assert (done.code, done.out) == (0, "fine.nii.gz\n"), done.err
    assert "implicit decoder learned" not in done.err
    image = load("fine.nii.gz")
    assert image.shape == (43, 128, 64)  # 64, 128 and 128 mm
    np.testing.assert_allclose(image.header.get_zooms(), (1.5, 1, 2), rtol=1e-6)
    usual = np.array([[-1, -1, -2], [63, 127, 126]]) + 0.0  # the ends of 32 x 64 x 32 voxels of 2 x 2 x 4 mm
    corners = [image.affine @ [*(np.array(at) - 0.5), 1] for at in ((0, 0, 0), image.shape)]
    np.testing.assert_allclose(np.array(corners)[:, :3], usual, atol=0.26)  # 43 x 1.5 mm is no 64 mm
    np.testing.assert_allclose(np.mean(corners, axis=0)[:3], usual.mean(axis=0), atol=1e-4)


def test_the_json_file_says_how_it_was_made(folder: Path) -> None:
    assert make("-o", "fine.nii.gz", *FINER).code == 0
    told = json.loads(Path("fine.json").read_text())
    assert (told["shape"], told["sampled_shape"]) == ([64, 128, 43], [32, 64, 32])
    assert told["spacing_mm"] == pytest.approx([2, 1, 1.5])
    assert told["sampled_spacing_mm"] == [4, 2, 2]
    assert told["weights_sha256"]["implicit-decoder.safetensors"] == read_card("fine.safetensors").sha256


def test_a_decoder_that_adds_nothing_gives_the_usual_volume_resampled(folder: Path) -> None:
    assert make("-o", "usual.nii.gz").code == 0
    assert make("-o", "finer.nii.gz", "--output-spacing", "1,1,3", "--decoder", "plain.safetensors").code == 0
    usual, finer = (torch.from_numpy(load(name).get_fdata()) for name in ("usual.nii.gz", "finer.nii.gz"))
    grid = load_output_grid(
        LatentGenerator(load_prior("tiny")), Path("plain.safetensors"), (3, 1, 1), (32, 32, 64), (4, 2, 2)
    )
    expected = resampled(usual.permute(2, 0, 1), grid.axes).clamp(-1000, 1000).permute(1, 2, 0)
    # The usual volume was clipped before it is resampled here, so that some voxels differ, but not half of them.
    assert float((finer - expected).abs().median()) < 0.01
    assert float(expected.std()) > 50


def test_the_prior_s_own_decoder_is_found_and_unlearned_edges_are_said(folder: Path) -> None:
    shutil.copy("fine.safetensors", "tiny/implicit-decoder.safetensors")
    done = make("-o", "coarse.nii.gz", "--output-spacing", "4,8,12")
    assert done.code == 0, done.err
    assert "voxels are 2,4,3 times (X,Y,Z) those of --spacing; the implicit decoder learned 0.5 to 2 times" in done.err
    assert load("coarse.nii.gz").shape == (16, 16, 11)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--output-spacing", "1,1"), "--output-spacing 1,1: must be three numbers X,Y,Z in mm"),
        (("--output-spacing", "1,0,1"), "--output-spacing 1,0,1: must be positive, in mm"),
        (("--output-spacing", "1,nan,1"), "--output-spacing 1,nan,1: must be positive, in mm"),
        (
            ("--output-spacing", "0.01,1,1", *FINER[2:]),
            "--output-spacing: voxels of 0.005 times the edge; 1/16 to 16 times",
        ),
        (
            ("--output-spacing", "1,1,900", *FINER[2:]),
            "--output-spacing: voxels of 225 times the edge; 1/16 to 16 times",
        ),
        (("--output-spacing", "1,1,1", "--decoder", "no.safetensors"), "--decoder: no.safetensors: no such file"),
        (
            ("--output-spacing", "1,1,1", "--decoder", "tiny/biflownet.safetensors"),
            "--decoder: tiny/biflownet.safetensors: weights of kind biflownet, where implicit-decoder is wanted",
        ),
        (
            ("--output-spacing", "1,1,1", "--decoder", "other.safetensors"),
            "--decoder other.safetensors: this implicit decoder was made for the autoencoder",
        ),
        (("--decoder", "fine.safetensors"), "--decoder: say --output-spacing with it"),
        (("--output-spacing", "1,1,1"), "--decoder: there is no implicit-decoder.safetensors in tiny"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(folder: Path, more: tuple[str, ...], line: str) -> None:
    before = listing(folder)
    done = make("-o", "new.nii.gz", *more)
    assert done.code == 2
    assert done.err.removeprefix("recon: ").startswith(line), done.err
    assert done.err.count("\n") == 1
    assert listing(folder) == before


def test_a_mask_decides_the_grid(folder: Path) -> None:
    mask = ("--mask", "seg.nii.gz", "--head", "head.safetensors", "--output-spacing", "1,1,1")
    done = run_recon("generate", "--prior", "tiny", *mask)
    assert done.code == 2
    assert "--output-spacing: has no effect with --mask" in done.err


def test_a_volume_that_does_not_fit_in_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.run.memory.available_bytes", lambda: 10**6)
    done = make("-o", "fine.nii.gz", *FINER)
    assert done.code == 2
    assert "the volume needs about" in done.err


def test_generators_without_such_an_autoencoder_are_refused() -> None:
    with pytest.raises(InputError, match=r"^`output_spacing`: WDM has no Patch-Volume autoencoder"):
        patch_volume_prior(ToyGenerator("toy", "WDM", 0.0, 32, True, {}))


def test_decoders_of_another_size_are_refused(folder: Path) -> None:
    generator = LatentGenerator(load_prior("tiny"))
    wide = {"channels": 12, "width": 6, "layers": 2, "finest": 0.5, "coarsest": 2.0}
    net = ImplicitDecoder(ImplicitDecoderConfig.from_dict(wide))
    save_weights("wide.safetensors", net.state_dict(), Card("implicit-decoder", wide))
    with pytest.raises(InputError, match=r"^`decoder` wide\.safetensors: .*an autoencoder of other sizes$"):
        load_output_grid(generator, Path("wide.safetensors"), (2, 2, 2), (32, 32, 32), (2, 2, 2))


def test_a_grid_says_its_memory_and_size(folder: Path) -> None:
    generator = LatentGenerator(load_prior("tiny"))
    grid = load_output_grid(generator, Path("fine.safetensors"), (1, 2, 4), (32, 32, 64), (2, 2, 2))
    assert isinstance(grid, OutputGrid)
    assert grid.size == (64, 32, 32)
    assert grid.bytes == 4 * 6 * 64 * 32 * 32
    assert grid.learned

"""An implicit decoder's training: coarsened volumes with their finer truth, samples, a run on phantoms, refusals."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_helpers import ROOT, Run, run_recon
from tiny_prior import networks, write_prior

from datasets import open_dataset
from datasets.cache import Cache
from priors.networks.implicit_decoder import ImplicitDecoder, ImplicitDecoderConfig, interpolated
from priors.networks.resampling import resampled
from priors.training.implicit_learner import ImplicitLearner
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder, load_implicit_decoder
from recon.errors import InputError
from recon.training.coarse_pairs import CoarsePair, coarse_image, coarse_pair, coarsening
from recon.training.implicit_samples import ImplicitSource
from recon.training.latents import Encoding
from recon.training.prepared import Prepared, prepare
from recon.training.settings.implicit import ImplicitTask
from recon.training.settings.parse import parse_task

PHANTOMS = "phantom:count=8,seed=3,size=20x48x48,spacing=8x6x6"
TASK = ImplicitTask(crop=(6, 12, 12), points=(3, 5, 4), longest=12.0, per_volume=4)


def replace_task(**changes: Any) -> ImplicitTask:
    return TASK.model_copy(update=changes)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def volume(cache: Cache) -> Prepared:
    return prepare(open_dataset(PHANTOMS).cases()[:1], cache)[0]


@pytest.fixture(scope="module")
def encoding(cache: Cache) -> Encoding:
    return Encoding(networks()[0].eval().requires_grad_(False), "tiny", cache, least=TASK.crop)


@pytest.fixture(scope="module")
def pair(volume: Prepared, encoding: Encoding) -> CoarsePair:
    return coarse_pair(volume, encoding, TASK.longest, TASK.depth)


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prior(tmp_path_factory.mktemp("prior") / "tiny")


def train(prior: Path, cache: Cache, out: Path, *more: Any) -> Run:
    common = ("--base", prior, "--cache", cache.folder, "--out", out, "--device", "cpu", "-q", "--dataset", PHANTOMS)
    return run_recon("train", "implicit-decoder", "--recipe", "tiny", *common, *more)


def test_axes_are_coarsened_where_their_voxels_stay_short(volume: Prepared) -> None:
    assert [axis.cell for axis in coarsening(volume, 12.0, None).axes] == [1, 2, 2]
    assert [axis.cell for axis in coarsening(volume, 16.0, None).axes] == [2, 2, 2]
    part = coarsening(volume, 16.0, 4)
    assert part.size == (4, 24, 24)
    assert (part.planes.start, part.planes.stop) == (6, 14)
    assert part.finest(0.5) == (0.5, 0.5, 0.5)
    assert coarsening(volume, 12.0, None).finest(0.5) == (1.0, 0.5, 0.5)


def test_the_truth_is_the_volume_at_half_a_voxel_and_the_coarse_image_at_one(pair: CoarsePair) -> None:
    own, coarse = pair.volume.network(), coarse_image(pair.volume, pair.how)
    z, x, y = (torch.arange(size, dtype=torch.float64) for size in own.shape)
    truth = pair.truth([z, x / 2 - 0.25, y / 2 - 0.25], (1.0, 0.5, 0.5))
    torch.testing.assert_close(truth, own, atol=1e-5, rtol=0)
    z, x, y = (torch.arange(size, dtype=torch.float64) for size in coarse.shape)
    assert float((pair.truth([z, x, y], (1.0, 1.0, 1.0)).clamp(-1, 1) - coarse).abs().max()) < 1e-5


def test_what_is_stored_is_the_usual_output_and_what_it_is_made_from(pair: CoarsePair, encoding: Encoding) -> None:
    net = encoding.autoencoder
    padded = encoding.padded(coarse_image(pair.volume, pair.how))
    assert pair.stored.shape == (1 + net.feature_channels, *padded.shape)
    assert pair.before == (6, 4, 4)
    usual = net.decode(net.patch_encode(padded[None, None]))[0, 0]
    np.testing.assert_allclose(pair.stored[0], usual, atol=2e-3)
    features = torch.from_numpy(np.array(pair.stored[1:], dtype=np.float32))
    again = net.last_convolution(features[None])[0, 0].detach()
    torch.testing.assert_close(again, usual, atol=2e-2, rtol=0)


def test_samples_have_points_inside_with_their_interpolation_and_truth(pair: CoarsePair) -> None:
    source = ImplicitSource([pair], TASK)
    assert len(source) == 4
    sample = source.sample(0, 11)
    assert {key: tuple(value.shape) for key, value in sample.items()} == {
        "features": (8, 6, 12, 12),
        "z": (3,),
        "x": (5,),
        "y": (4,),
        "cell": (3,),
        "base": (3, 5, 4),
        "truth": (3, 5, 4),
    }
    for draw in range(20):
        sample = source.sample(0, draw)
        for name, edge in zip("zxy", TASK.crop, strict=True):
            assert 1 <= float(sample[name].min()) <= float(sample[name].max()) <= edge - 2
        assert 1 <= float(sample["cell"][0]) <= 2, "along z nothing finer is known"
        assert 0.5 <= float(sample["cell"][1:].min()) <= float(sample["cell"][1:].max()) <= 2
    torch.testing.assert_close(source.sample(0, 11)["truth"], source.sample(0, 11)["truth"])
    with pytest.raises(ValueError, match=r"a coarse image of \(32, 32, 32\) is smaller than the crop"):
        ImplicitSource([pair], ImplicitTask(crop=(40, 12, 12)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_features_base_and_truth_of_a_sample_lie_at_one_place(volume: Prepared, encoding: Encoding, axis: int) -> None:
    """Of a ramp, with the coarse image in place of what the network makes of it, all three agree far from its ends."""
    size = volume.data.shape[axis]
    steps = np.linspace(-900, 900, size).reshape([-1 if each == axis else 1 for each in range(3)])
    ramp = replace(volume, data=np.broadcast_to(steps, volume.data.shape).astype(np.int16))
    how = coarsening(ramp, TASK.longest, None)
    padded = encoding.padded(coarse_image(ramp, how))
    same = CoarsePair(ramp, how, (6, 4, 4), padded[None].expand(2, -1, -1, -1).numpy())
    compared = 0
    for draw in range(10):
        sample = ImplicitSource([same], replace_task(coarsest=1.2)).sample(0, draw)
        features = interpolated(sample["features"][0][..., None], [sample[name] for name in "zxy"])[..., 0]
        inside = sample["truth"].abs() < 0.6
        for found in (sample["base"], features):
            assert not inside.any() or float((found - sample["truth"])[inside].abs().max()) < 0.01
        compared += int(inside.sum())
    assert compared > 50


def test_it_learns_to_do_better_than_interpolation(pair: CoarsePair, encoding: Encoding) -> None:
    torch.manual_seed(0)
    net = ImplicitDecoder.on(encoding.autoencoder, ImplicitDecoderConfig(channels=8, width=16, layers=2))
    learner, source = ImplicitLearner(net), ImplicitSource([pair], TASK)
    batch = {key: torch.stack([source.sample(0, seed)[key] for seed in range(4)]) for key in source.sample(0, 0)}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    gains = []
    for step in range(60):
        losses = learner(batch, "implicit-decoder", step)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        gains.append(float(losses["gain"]))
    assert gains[0] == pytest.approx(0, abs=1e-4)
    assert gains[-1] > 3
    assert all(parameter.grad is None for parameter in encoding.autoencoder.parameters())


def test_a_run_is_validated_goes_on_and_says_whose_it_is(prior: Path, cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = train(prior, cache, out, "--set", "steps=10", "--set", "checkpoints.every=5")
    assert (first.code, first.out) == (0, f"{out / 'implicit-decoder.safetensors'}\n"), first.err
    with (out / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"loss", "psnr", "gain"} <= set(rows[0])
    assert train(prior, cache, out).code == 0
    card = read_card(out / "implicit-decoder.safetensors")
    assert (card.extra["steps"], card.extra["longest_mm"]) == (20, 100)
    assert card.extra["autoencoder"] == read_card(prior / "autoencoder.safetensors").sha256
    decoder = load_implicit_decoder(out / "implicit-decoder.safetensors")
    decoder.check_autoencoder(load_autoencoder(prior / "autoencoder.safetensors"))
    assert (decoder.config.channels, decoder.config.finest, decoder.config.coarsest) == (8, 0.5, 2)
    warm = ("--warm-start", out / "implicit-decoder.safetensors")
    recipe = tmp_path / "mine.yaml"
    recipe.write_bytes((ROOT / "priors" / "training" / "recipes" / "implicit-decoder" / "tiny.yaml").read_bytes())
    assert train(prior, cache, tmp_path / "more", *warm, "--recipe", recipe, "--set", "steps=1").code == 0
    source = read_card(tmp_path / "more" / "implicit-decoder.safetensors").source
    assert source == "trained with recon train implicit-decoder, recipe mine.yaml", "no folder of whoever trained it"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--base", "nowhere"), "recon: --base nowhere: no prior and no folder of the name 'nowhere'"),
        (
            ("--set", "task.longest=3"),
            "recon: recipe: task.longest 3: no volume has voxels fine enough to be coarsened",
        ),
        (("--set", "task.finest=0.2"), "recon: recipe: task.finest: Input should be greater than or equal to 0.5"),
        (("--set", "task.crop=[2,8,8]"), "recon: recipe: task: crop [2, 8, 8]: each must be 4 or more"),
        (("--set", "network.channels=5"), "recon: recipe: network.channels 5: must be 8 here"),
        (("--set", "network.width=0"), "recon: recipe: network: implicit decoder setting width is 0; it must be 1"),
        (("--warm-start", "nothing.safetensors"), "recon: --warm-start: nothing.safetensors: no such file"),
    ],
)
def test_bad_input_gives_one_line(prior: Path, cache: Cache, tmp_path: Path, more: tuple[str, ...], line: str) -> None:
    done = train(prior, cache, tmp_path / "run", *more)
    assert done.code == 2
    assert done.err.startswith(line), done.err
    assert done.err.count("\n") == 1


def test_no_autoencoder_in_the_base_is_said(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = train(tmp_path / "empty", cache, tmp_path / "run")
    assert (done.code, done.err) == (
        2,
        f"recon: --base {tmp_path / 'empty'}: there is no autoencoder.safetensors in it\n",
    )


def test_settings_that_are_no_use_are_refused() -> None:
    for values, line in (({"points": [0, 1, 1]}, "points"), ({"coarsest": 0.5}, "coarsest"), ({"depth": 0}, "depth")):
        with pytest.raises(InputError, match=line):
            parse_task(ImplicitTask, values)


def test_a_grid_of_the_same_voxels_is_the_coarse_image(volume: Prepared) -> None:
    how = coarsening(volume, 12.0, None)
    image = volume.network()
    torch.testing.assert_close(coarse_image(volume, how), resampled(image, how.axes).clamp(-1, 1))

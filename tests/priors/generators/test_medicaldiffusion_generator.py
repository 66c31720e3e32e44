"""Medical Diffusion as a generator: seeds, sizes, samplers, and folders that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from priors.diffusion.anatomy import find_class
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.generator import Sampling
from priors.generators.load import load_generator
from priors.generators.medicaldiffusion import UNET_FILE, UNET_KIND, VQGAN_FILE, VQGAN_KIND, MedicalDiffusion
from priors.generators.trained import Origin
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.weights.card import Card, save_weights

CHEST, LEGS = find_class("CTChestAbdomen"), find_class("CTLegs")
SIZE = (8, 16, 16)


def networks() -> tuple[VQGAN, FactorisedUNet]:
    torch.manual_seed(0)
    vq = VQGANConfig(width=4, latent_channels=4, codes=16, norm_groups=4, judge_channels=4, judge_layers=2)
    unet = FactorisedUNetConfig(width=8, multipliers=(1, 2), channels=4, heads=2, head_width=8, norm_groups=4)
    return VQGAN(vq).eval(), FactorisedUNet(unet).eval()


def write(folder: Path, **extra: Any) -> Path:
    vqgan, unet = networks()
    folder.mkdir(exist_ok=True)
    card = save_weights(folder / VQGAN_FILE, vqgan.state_dict(), Card(VQGAN_KIND, vqgan.config.to_dict()))
    facts = {VQGAN_KIND: card.sha256, "timesteps": 12, "classes": {CHEST.name: [4, 4, 4]}, "size": list(SIZE)} | extra
    save_weights(folder / UNET_FILE, unet.state_dict(), Card(UNET_KIND, unet.config.to_dict(), extra=facts))
    return folder


def test_a_folder_is_a_generator_of_what_its_networks_learned(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "md"))
    assert isinstance(generator, MedicalDiffusion)
    assert (generator.method, generator.name, set(generator.sha256)) == (
        "MedicalDiffusion",
        "md",
        {VQGAN_FILE, UNET_FILE},
    )
    assert [each.name for each in generator.anatomies] == [CHEST.name]
    assert generator.usual_sizes(CHEST) == [SIZE]
    assert generator.usual_spacing(CHEST, SIZE) == (4, 4, 4)
    with pytest.raises(ValueError, match="learned CTChestAbdomen alone"):
        generator.check_class(LEGS)


def test_the_published_sampler_visits_every_step() -> None:
    generator = MedicalDiffusion(Origin(), *networks(), GaussianDiffusion(300))
    plan = generator.plan(CHEST, SIZE, Sampling())
    assert (plan.sampler, plan.steps, plan.times[:2], plan.times[-1]) == ("ddpm", 300, (299, 298), 0)
    assert generator.plan(CHEST, SIZE, Sampling("ddim")).steps == 50
    with pytest.raises(ValueError, match="`sampler` rflow"):
        generator.plan(CHEST, SIZE, Sampling("rflow"))
    with pytest.raises(ValueError, match="301 steps"):
        generator.plan(CHEST, SIZE, Sampling(steps=301))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_seed_gives_the_same_volume_alone_and_in_a_batch(tmp_path: Path, sampler: str) -> None:
    generator = load_generator(write(tmp_path / "md"))
    told: list[tuple[str, int, int]] = []
    sampling = Sampling(sampler, steps=4)
    together = list(generator.generate(CHEST, SIZE, [3, 4], sampling, on_progress=lambda *each: told.append(each)))
    (alone,) = generator.generate(CHEST, SIZE, [4], sampling)
    assert together[0].shape == SIZE
    assert together[0].dtype == torch.float32
    torch.testing.assert_close(together[1], alone, atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1])
    assert ("seed 3, 4: steps", 4, 4) in told


def test_sizes_are_refused_by_axis(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "md"))
    generator.check_size((4, 8, 24))
    with pytest.raises(ValueError, match="Z is 6 voxels"):
        generator.check_size((6, 16, 16))
    with pytest.raises(ValueError, match="X is 12 voxels, which is no multiple of 8"):
        generator.check_size((8, 12, 16))
    with pytest.raises(ValueError, match="X is 12 voxels, which is no multiple of 8"):
        next(iter(generator.generate(CHEST, (8, 12, 16), [0], Sampling(steps=1))))
    with pytest.raises(ValueError, match="learned CTChestAbdomen alone"):
        next(iter(generator.generate(LEGS, SIZE, [0], Sampling(steps=1))))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trained on the latents of another"):
        load_generator(write(tmp_path / "other", **{VQGAN_KIND: "0" * 64}))
    with pytest.raises(ValueError, match="timesteps is 'many'"):
        load_generator(write(tmp_path / "damaged", timesteps="many"))
    with pytest.raises(ValueError, match="classes or size"):
        load_generator(write(tmp_path / "sizes", size=[1, 2]))
    folder = write(tmp_path / "half")
    (folder / VQGAN_FILE).unlink()
    with pytest.raises(ValueError, match=f"there is no {VQGAN_FILE} in it"):
        load_generator(folder)


def test_networks_of_other_latents_are_refused() -> None:
    vqgan, _ = networks()
    unet = FactorisedUNet(FactorisedUNetConfig(width=8, multipliers=(1, 2), channels=8, heads=2, norm_groups=4))
    with pytest.raises(ValueError, match="4 channels and the noise estimator takes 8"):
        MedicalDiffusion(Origin(), vqgan, unet, GaussianDiffusion(4))

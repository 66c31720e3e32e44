"""MedSyn as a generator: both stages, the small volumes alone, texts, sizes, and folders that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from priors.diffusion.anatomy import find_class
from priors.generators.generator import Sampling
from priors.generators.load import load_generator
from priors.generators.medsyn import LOW_FILE, LOW_KIND, SR_FILE, SR_KIND, MedSyn
from priors.generators.trained import Origin
from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow
from priors.weights.card import Card, save_weights

CHEST = find_class("CTChestAbdomen")
LOW = MedSynConfig(
    width=8, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, text_tokens=2, text_width=6
)
SR = MedSynSRConfig(width=8, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, ratio=2)
SIZE = (4, 8, 8)


def write(folder: Path, *, finer: bool = True, told: str | None = None) -> Path:
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    low, sr = MedSynLow(LOW), MedSynSR(SR)
    facts = {"classes": {CHEST.name: [4, 4, 4]}, "size": list(SIZE)}
    extra = facts | {"ratio": 2, "reduction": "mean"}
    card = save_weights(folder / LOW_FILE, low.state_dict(), Card(LOW_KIND, LOW.to_dict(), extra=extra))
    if finer:
        extra = facts | {LOW_KIND: told or card.sha256}
        save_weights(folder / SR_FILE, sr.state_dict(), Card(SR_KIND, SR.to_dict(), extra=extra))
    return folder


def test_both_files_make_volumes_on_the_finer_grid(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "both"))
    assert isinstance(generator, MedSyn)
    assert set(generator.sha256) == {LOW_FILE, SR_FILE}
    assert generator.usual_sizes(CHEST) == [SIZE]
    assert generator.usual_spacing(CHEST, SIZE) == (4, 4, 4)
    (made,) = generator.generate(CHEST, SIZE, [1], Sampling(steps=3))
    assert made.shape == SIZE
    assert made.abs().max() <= 1


def test_the_first_file_alone_makes_small_volumes_on_a_coarser_grid(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "low", finer=False))
    assert generator.usual_sizes(CHEST) == [(2, 4, 4)]
    assert generator.usual_spacing(CHEST, (2, 4, 4)) == (8, 8, 8)
    (made,) = generator.generate(CHEST, (2, 4, 4), [1], Sampling(steps=3))
    assert made.shape == (2, 4, 4)


def test_a_seed_gives_the_same_volume_alone_and_in_a_batch(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "both"))
    told: set[tuple[str, int, int]] = set()
    together = list(generator.generate(CHEST, SIZE, [3, 4], Sampling(steps=5), on_progress=lambda *e: told.add(e)))
    (alone,) = generator.generate(CHEST, SIZE, [4], Sampling(steps=5))
    torch.testing.assert_close(together[1], alone, atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1])
    assert {("seed 3, 4: steps", 5, 5), ("seed 3, 4: steps on the finer grid", 2, 2)} <= told


def test_the_published_steps_are_fifty_and_twenty(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "both"))
    plan = generator.plan(CHEST, SIZE, Sampling())
    assert (plan.sampler, plan.steps, len(plan.times)) == ("ddim", 50, 70)
    assert plan.times[:2] + plan.times[49:52] == (1000, 980, 20, 1000, 950)
    for wrong, said in ((Sampling("ddpm"), "`sampler`"), (Sampling(timesteps="trailing"), "`timesteps`")):
        with pytest.raises(ValueError, match=said):
            generator.plan(CHEST, SIZE, wrong)


def test_a_class_with_a_text_is_sampled_with_it_and_guided() -> None:
    torch.manual_seed(0)
    low = MedSynLow(replace(LOW, text_classes=(CHEST.name,))).eval()
    low.class_texts.normal_(generator=torch.Generator().manual_seed(1))
    (told,) = MedSyn(Origin(), low).generate(CHEST, SIZE, [1], Sampling(steps=2))
    (untold,) = MedSyn(Origin(), low).generate(find_class("CTLegs"), SIZE, [1], Sampling(steps=2))
    assert not torch.allclose(told, untold)
    guided = MedSyn(Origin(), low, guidance=2.0)
    assert not torch.allclose(guided.sample(SIZE, [1], 2, low.text_of(CHEST.name))[0, 0], told)
    torch.testing.assert_close(guided.sample(SIZE, [1], 2)[0, 0], untold)


def test_sizes_are_refused_by_axis(tmp_path: Path) -> None:
    generator = load_generator(write(tmp_path / "both"))
    generator.check_size((2, 4, 8))
    with pytest.raises(ValueError, match="Z is 3 voxels"):
        generator.check_size((3, 8, 8))
    with pytest.raises(ValueError, match="Y is 6 voxels, which is no multiple of 4"):
        generator.check_size((4, 8, 6))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{SR_FILE} was trained for another {LOW_FILE}"):
        load_generator(write(tmp_path / "other", told="0" * 64))
    folder = write(tmp_path / "half")
    (folder / LOW_FILE).unlink()
    with pytest.raises(ValueError, match=f"there is no {LOW_FILE} in it"):
        load_generator(folder)
    with pytest.raises(ValueError, match="not trained together"):
        MedSyn(Origin(), MedSynLow(LOW), MedSynSR(replace(SR, channels=4)))

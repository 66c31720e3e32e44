"""Age and sex as conditions of BiFlowNet: nothing changes before they are learned, and guidance is a linear mix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_prior import BASE, networks
from torch import Tensor

from priors.diffusion.learned import learned_patients
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.generator import Sampling
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.controlnet import ControlNet, attach
from priors.networks.new_conditions import with_classes, with_patient
from priors.networks.patient import NOBODY, LearnedPatients, Patient, refuse_patient
from priors.networks.patient_embedding import UNKNOWN_SEX, Patients
from priors.training.diffusion_learner import BiFlowNetLearner, ControlNetLearner, patients_of

TOLD = replace(BASE, patient=True)
PEOPLE = [Patient(60.0, "female"), Patient(None, "male")]
Y, T, RES = torch.tensor([1, 2]), torch.tensor([3, 700]), torch.tensor([0.125, 0.125, 0.125])


@pytest.fixture(scope="module")
def plain() -> BiFlowNet:
    """A network of random weights that is told neither."""
    return redrawn(networks()[1])


@pytest.fixture(scope="module")
def trained() -> BiFlowNet:
    """A network of random weights, those of age and sex among them."""
    return redrawn(networks(TOLD)[1])


def redrawn(net: BiFlowNet) -> BiFlowNet:
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return net.eval()


def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, 8, generator=torch.Generator().manual_seed(2))


def test_files_that_do_not_name_the_setting_are_of_networks_without(plain: BiFlowNet) -> None:
    old = {name: value for name, value in BASE.to_dict().items() if name != "patient"}
    assert BiFlowNetConfig.from_dict(old) == BASE
    assert not any("patient" in name for name in plain.state_dict())
    assert set(networks(TOLD)[1].state_dict()) - set(plain.state_dict()) == {
        f"patient_emb.{name}"
        for name in ("sex.weight", "unknown_age", "age.1.weight", "age.1.bias", "age.3.weight", "age.3.bias")
    }


@torch.no_grad()
def test_a_trained_network_that_is_given_the_embeddings_computes_the_same_bits(plain: BiFlowNet) -> None:
    told = with_patient(plain).eval()
    assert told.config.patient
    assert with_patient(told) is told
    wanted = plain(latents(), T, Y, RES)
    for patients in (None, Patients.of(PEOPLE)):
        assert torch.equal(told(latents(), T, Y, RES, patients=patients), wanted)
    assert with_classes(told, [1, 1]).config.patient


def test_what_begins_as_zero_is_reached_by_gradients(plain: BiFlowNet) -> None:
    told = with_patient(plain)
    told(latents(), T, Y, RES, patients=Patients.of(PEOPLE)).square().mean().backward()
    embedding = told.patient_emb
    for parameter in (embedding.sex.weight, embedding.unknown_age, embedding.age[-1].weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


@torch.no_grad()
def test_age_and_sex_change_the_estimate_each_by_itself(trained: BiFlowNet) -> None:
    def estimate(patient: Patient) -> Tensor:
        found: Tensor = trained(latents(), T, Y, RES, patients=Patients.of([patient] * 2))
        return found

    asked = [Patient(), Patient(60), Patient(30), Patient(None, "female"), Patient(None, "male"), Patient(60, "male")]
    found = [estimate(each) for each in asked]
    for one in range(len(found)):
        for other in range(one):
            assert (found[one] - found[other]).abs().max() > 1e-4
    assert torch.equal(found[0], trained(latents(), T, Y, RES)), "nobody is a person of whom nothing is known"
    assert torch.equal(estimate(Patient(90)), estimate(Patient(104))), "ages above 89 are one group"


def test_a_network_that_is_told_neither_refuses_both(plain: BiFlowNet) -> None:
    with pytest.raises(ValueError, match="a network that is told neither"):
        plain(latents(), T, Y, RES, patients=Patients.of(PEOPLE))


@torch.no_grad()
def test_guidance_is_a_linear_mix_of_two_estimates(trained: BiFlowNet) -> None:
    learned = LearnedPatients((20, 80), ("female", "male"))
    prior = PatchVolumePrior(networks()[0], trained, GaussianDiffusion(1000), patients=learned)

    def estimator(patient: Patient, guidance: float) -> Tensor:
        bound: Callable[[Tensor, Tensor], Tensor] = prior.estimator(
            1, (32, 32, 32), batch=2, patient=patient, guidance=guidance
        )
        return bound(latents(), T)

    untold, told = estimator(Patient(), 1.0), estimator(PEOPLE[0], 1.0)
    for scale in (0.0, 0.5, 2.0, 3.5):
        torch.testing.assert_close(estimator(PEOPLE[0], scale), (1 - scale) * untold + scale * told)
    assert torch.equal(untold, prior.estimator(1, (32, 32, 32), batch=2)(latents(), T))
    assert torch.equal(estimator(Patient(), 2.0), untold), "there is nothing to guide by"


@torch.no_grad()
def test_heads_on_such_a_network_are_told_too(trained: BiFlowNet) -> None:
    head = redrawn_head(trained)
    hint = latents()
    steered = [
        trained.bind(Y, RES, heads=[attach(trained, head, hint)], patients=Patients.of([each] * 2))(latents(), T)
        for each in (Patient(30, "male"), Patient(80, "male"))
    ]
    controls = [head(latents(), T, Y, RES, hint, patients=Patients.of([Patient(age)] * 2)).middle for age in (30, 80)]
    assert (controls[0] - controls[1]).abs().max() > 1e-4
    assert (steered[0] - steered[1]).abs().max() > 1e-4


def redrawn_head(base: BiFlowNet) -> ControlNet:
    head = ControlNet.from_base(base, 4)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
    return head.eval()


def batch(count: int) -> dict[str, Tensor]:
    told = Patients.of([Patient(50, "male")] * count)
    return {"age": told.age, "sex": told.sex, "seed": torch.arange(count)}


def test_a_tenth_each_of_both_of_ages_and_of_sexes_is_hidden_in_training() -> None:
    told = patients_of(batch(4000), training=True)
    assert told is not None
    no_age, no_sex = told.age.isnan(), told.sex == UNKNOWN_SEX
    for hidden in (no_age & no_sex, no_age & ~no_sex, ~no_age & no_sex):
        assert abs(float(hidden.float().mean()) - 0.1) < 0.015
    again = patients_of(batch(4000), training=True)
    assert again is not None
    assert torch.equal(again.sex, told.sex)
    kept = patients_of(batch(10), training=False)
    assert kept is not None
    assert not kept.age.isnan().any()
    assert patients_of({"seed": torch.arange(2)}, training=True) is None


def test_learners_tell_their_networks(trained: BiFlowNet) -> None:
    diffusion = GaussianDiffusion(1000)
    samples = {"latent": latents(), "class": Y, "hint": latents(), "seed": torch.tensor([100, 101])}
    head = redrawn_head(trained)
    for learner in (BiFlowNetLearner(trained, diffusion), ControlNetLearner(head, trained, diffusion)):
        learner.eval()
        losses = []
        for people in ([Patient(30)] * 2, [Patient(80)] * 2):
            told = Patients.of(people)
            with torch.no_grad():
                losses.append(float(learner(samples | {"age": told.age, "sex": told.sex}, learner.kind, 0)["total"]))
        assert losses[0] != losses[1]
    trained.eval()


@pytest.mark.parametrize("age", [-1, 121, math.nan, math.inf])
def test_ages_that_are_none_are_one_line(age: float) -> None:
    with pytest.raises(ValueError, match=r"`age` .*: must be from 0 to 120 years"):
        Patient(age)


def test_guidance_needs_something_to_guide_by() -> None:
    with pytest.raises(ValueError, match="`guidance` 2: say `age` or `sex` with it"):
        Sampling(guidance=2)
    with pytest.raises(ValueError, match="`guidance` -1: must be from 0 to 100"):
        Sampling(patient=Patient(50), guidance=-1)
    assert Sampling(patient=Patient(50), guidance=2).guidance == 2


def test_what_was_not_learned_is_refused_in_one_line() -> None:
    women = LearnedPatients(None, ("female",))
    women.check(Patient(None, "female"))
    for patient, words in (
        (Patient(50), "`age` 50: this prior was told no ages"),
        (Patient(None, "male"), "`sex` male: this prior was told female alone"),
    ):
        with pytest.raises(ValueError, match=words):
            women.check(patient)
    with pytest.raises(ValueError, match="`sex` male: this prior was told no sex"):
        NOBODY.check(Patient(None, "male"))
    with pytest.raises(ValueError, match="`age` 50: WDM is not told age or sex"):
        refuse_patient(Patient(50, "male"), "WDM")
    with pytest.raises(ValueError, match="told neither"):
        PatchVolumePrior(*networks(), GaussianDiffusion(1000), patients=women)


def test_a_card_says_of_whom_was_learned_and_a_damaged_one_is_one_line(tmp_path) -> None:
    for learned in (NOBODY, LearnedPatients((20, 80), ("male",)), LearnedPatients(None, ("female", "male"))):
        assert learned_patients(tmp_path, {"patients": learned.to_dict()}) == learned
    assert learned_patients(tmp_path, {}) == NOBODY
    for damaged in ({}, {"ages": [1], "sexes": []}, {"ages": None, "sexes": ["x"]}, {"ages": "ab", "sexes": []}, 5):
        with pytest.raises(ValueError, match="header is damaged: patients"):
            learned_patients(tmp_path, {"patients": damaged})

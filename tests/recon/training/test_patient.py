"""BiFlowNet told age and sex: trained by the command from what data say, continued from a prior that was not, used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_helpers import run_recon, train
from tiny_prior import write_prior

from datasets.cache import Cache
from priors.diffusion.load import load_prior
from priors.networks.patient import LearnedPatients, Patient
from priors.weights.card import read_card, read_tensors
from recon.errors import InputError
from recon.training.latents import LatentSource, StoredLatent
from recon.training.sources import load_split, parse_data

GRID = "anatomy=chest,size=16x32x32,spacing=12x10x10"
PEOPLE = f"phantom:count=8,{GRID},age=30-80,sex=mixed"
TOLD = ("--set", "task.patient=true")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantoms of all trainings, computed once."""
    return tmp_path_factory.mktemp("cache")


def arguments(folder: Path, cache: Path, data: str, *more: object) -> list[object]:
    prior = write_prior(folder / "prior")
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=0", "--set", "batch=1", "--set", "steps=1"]
    where = ["--base", prior, "--cache", cache, "--out", folder / "run", "-q"]
    start = ["--warm-start", prior / "biflownet.safetensors"]
    return ["biflownet", "--dataset", data, "--recipe", "tiny", *small, *start, *where, *more]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of a prior that was continued with ages and sexes, from one that knew none."""
    return train(*arguments(tmp_path_factory.mktemp("tuned"), cache, PEOPLE, *TOLD)).parent


def test_a_prior_without_is_continued_and_its_card_says_of_whom_it_learned(tuned: Path) -> None:
    card = read_card(tuned / "biflownet.safetensors")
    assert card.config["patient"] is True
    ages = [float(each) for each in card.extra["patients"]["ages"]]
    assert 30 <= ages[0] < ages[1] <= 80
    assert card.extra["patients"]["sexes"] == ["female", "male"]
    assert load_prior(tuned).patients == LearnedPatients((ages[0], ages[1]), ("female", "male"))
    old = read_tensors(tuned.parent / "prior" / "biflownet.safetensors")
    new = read_tensors(tuned / "biflownet.safetensors")
    assert set(old) < set(new)
    assert new["patient_emb.sex.weight"].abs().max() > 0


def test_a_recipe_that_does_not_ask_for_it_makes_the_network_of_before(tmp_path: Path, cache: Path) -> None:
    card = read_card(train(*arguments(tmp_path, cache, PEOPLE)))
    assert card.config["patient"] is False
    assert "patients" not in card.extra


def test_initial_weights_that_are_told_stay_so(tuned: Path, tmp_path: Path, cache: Path) -> None:
    words = arguments(tmp_path, cache, PEOPLE)
    words[words.index("--warm-start") + 1] = tuned / "biflownet.safetensors"
    assert read_card(train(*words)).config["patient"] is True


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        (f"phantom:count=8,{GRID}", TOLD, "--data: no volume says age or sex"),
        (PEOPLE, (*TOLD, "--set", "network.patient=true"), "task.patient"),
        (PEOPLE, ("--set", "task.patient=60"), "task.patient"),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    tmp_path: Path, cache: Path, data: str, more: tuple[str, ...], words: str
) -> None:
    found = arguments(tmp_path, cache, data, *more)
    if "network.patient=true" in more:
        place = found.index("--warm-start")
        del found[place : place + 2]
    run = run_recon("train", *found)
    assert run.code == 2
    assert words in run.err
    assert run.err.strip().count("\n") == 0


def test_volumes_are_generated_for_an_age_and_a_sex(tuned: Path, tmp_path: Path) -> None:
    words = ["generate", "--prior", tuned, "--class", "CTChestAbdomen", "--steps", "2", "-q"]
    results = {}
    for name, asked in {"none": (), "told": ("--age", 60, "--sex", "female"), "guided": ("--age", 60)}.items():
        more = ("--guidance", 3) if name == "guided" else ()
        run = run_recon(*words, *asked, *more, "-o", tmp_path / f"{name}.nii.gz")
        assert run.code == 0, run.err
        results[name] = json.loads((tmp_path / f"{name}.json").read_text())
    told = {name: [each[key] for key in ("age", "sex", "guidance")] for name, each in results.items()}
    assert told == {"none": [None, None, None], "told": [60, "female", 1], "guided": [60, None, 3]}
    contents = {(tmp_path / f"{name}.nii.gz").read_bytes() for name in results}
    assert len(contents) == 3
    beyond = run_recon(*words[:-1], "--age", 5, "-o", tmp_path / "child.nii.gz")
    assert beyond.code == 0, beyond.err
    assert "note: these networks learned ages from" in beyond.err


@pytest.mark.parametrize(
    ("prior", "asked", "words"),
    [
        ("run", ("--age", 121), "--age 121: must be from 0 to 120 years"),
        ("run", ("--age", "nan"), "--age nan: must be from 0 to 120 years"),
        ("run", ("--age", "old"), "'old' is not a valid float"),
        ("run", ("--sex", "x"), "'x' is not one of 'female', 'male'"),
        ("run", ("--guidance", 2), "--guidance 2: say --age or --sex with it"),
        ("run", ("--guidance", -2, "--age", 40), "--guidance -2: must be from 0 to 100"),
        ("prior", ("--age", 40), "--age 40: this prior was told no ages in its training"),
        ("prior", ("--sex", "male"), "--sex male: this prior was told no sex in its training"),
    ],
)
def test_bad_requests_are_one_line(tuned: Path, tmp_path: Path, prior: str, asked: Any, words: str) -> None:
    size = ("--size", "32,32,32", "--steps", "1", "-o", tmp_path / "a.nii.gz")
    run = run_recon("generate", "--prior", tuned.parent / prior, "--class", "CTChestAbdomen", *size, *asked)
    assert run.code == 2
    assert words in run.err
    assert run.err.strip().count("\n") == 0
    assert not (tmp_path / "a.nii.gz").exists()


def test_samples_say_age_and_sex_where_they_are_asked_for() -> None:
    stored = [StoredLatent(torch.zeros(2, 8, 8, 8).numpy(), 1, Patient(70, "male"))]
    assert set(LatentSource(stored, (8, 8, 8), 2).sample(0, 0)) == {"latent", "class"}
    sample = LatentSource(stored, (8, 8, 8), 2, told_patient=True).sample(0, 0)
    assert (float(sample["age"]), int(sample["sex"])) == (70, 1)


def test_a_list_states_ages_part_by_part_or_by_a_table(tmp_path: Path) -> None:
    case = f"phantom:count=1,{GRID}"
    (tmp_path / "people.csv").write_text("case,age,sex\nchest-0-00000,97,F\n", encoding="utf-8")
    file = tmp_path / "data.yaml"
    file.write_text(
        f"- {{dataset: '{case}', age: 41, sex: M}}\n- {{dataset: '{case}', patients: people.csv, age: 3}}\n"
        f"- {{dataset: '{case}'}}\n",
        encoding="utf-8",
    )
    parts = parse_data(str(file), "folder", None, None)
    split = parts[0].told([])
    assert split == []
    volumes = load_split(parts, "test", Cache(tmp_path / "cache"), print)
    volumes = volumes or load_split(parts, "train", Cache(tmp_path / "cache"), print)
    assert [each.patient for each in volumes] == [Patient(41, "male"), Patient(90, "female"), Patient()]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("age: 130", "age '130': must be from 0 to 120 years"),
        ("sex: woman", "sex 'woman'"),
        ("patients: none.csv", "none.csv: cannot be read"),
    ],
)
def test_bad_lists_are_one_line(tmp_path: Path, entry: str, words: str) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(f"- {{dataset: phantom, {entry}}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=words) as refusal:
        parse_data(str(file), "folder", None, None)
    assert "\n" not in str(refusal.value)

"""Train the networks of an ablation alike, and measure them on held-out volumes; what is done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.ablations.measure import distances, round_trips
from benchmarks.ablations.spec import AblationSpec, RowSpec, RunSpec
from benchmarks.table.runner import check_leak
from datasets.cache import Cache
from datasets.whole_file import whole_file
from priors.diffusion.load import files_of_prior
from priors.training.recipe import load_recipe
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder
from priors.weights.store import AUTOENCODER
from recon.errors import InputError, input_errors
from recon.training.machine import Machine
from recon.training.request import Request
from recon.training.run import train
from recon.training.sources import DataPart, TrainingVolume, load_split

Announce = Callable[[str], None]

SAMPLES = 8
"""Generated volumes, where no number is named."""


@dataclass(frozen=True)
class Ablation:
    """What is to be run.

    Attributes:
        name: the name of the table.
        spec: the specification of the table.
        parts: data sets; their train split teaches, ``split`` measures.
        split: the split of the volumes that are measured.
        recipe: the recipe of every network, by name or file.
        steps: the steps of every training; None takes the recipe's.
        settings: the settings of recipes, after the runs' own; each begins with the network that it is for, and a
            colon.
        perceptual: file of the perceptual network, for the runs that need one.
        samples: number of generated volumes; None is 8.
        out: folder; the networks are in ``NAME/RUN`` in it, those of a base in ``NAME-HASH/RUN``.
        machine: the machine that trains.
        base: folder of a prior: autoencoders begin as its own, and noise estimators build upon it; None starts from
            nothing.
    """

    name: str
    spec: AblationSpec
    parts: list[DataPart]
    out: Path
    split: str = "test"
    recipe: str = "starter"
    steps: int | None = None
    settings: tuple[str, ...] = ()
    perceptual: str = ""
    samples: int | None = None
    machine: Machine = field(default_factory=Machine)
    base: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what has no effect on this ablation.

        Raises:
            InputError: names it.
        """
        networks = sorted({run.network for run in self.spec.runs.values()})
        for each in self.settings:
            network, colon, _ = each.partition(":")
            if not colon or network not in networks:
                raise InputError(
                    f"`set` {each}: {self.name} trains {', '.join(networks)}; write {networks[0]}:KEY=VALUE"
                )
        if self.perceptual and not any(run.perceptual for run in self.spec.runs.values()):
            raise InputError(f"`perceptual`: has no effect on {self.name}, which trains without that network")
        if self.samples is not None and self.spec.measure != "generation":
            raise InputError(f"`samples`: has no effect on {self.name}, which generates nothing")

    @property
    def folder(self) -> Path:
        """Of the networks; another one for each base, so that none is taken for what began otherwise."""
        begun = f"-{read_card(self.base / AUTOENCODER).sha256[:8]}" if self.base else ""
        return self.out / f"{self.name}{begun}"


@dataclass(frozen=True)
class Line:
    """One measured row: figures by name, or why there are none; ``weights`` is the hash of the measured network."""

    label: str
    figures: dict[str, tuple[float, float]]
    weights: str = ""
    steps: int = 0
    absent: str = ""


def run_ablation(asked: Ablation, announce: Announce) -> list[Line]:
    """Train what is missing, measure, and write ``NAME.json``.

    Raises:
        InputError: data, recipe, base or perceptual network that cannot be used, or a base that learned from what is
            to be measured.
        RunError: a training failed.
        Stopped: it was asked to stop; the same call goes on.
    """
    volumes = load_split(asked.parts, asked.split, Cache(asked.out / "cache"), announce)
    if not volumes:
        raise InputError(f"`split` {asked.split}: the data have no volume in it")
    if asked.base is not None:
        check_leak(files_of_prior(asked.base), [each.volume.case for each in volumes], "`base`")
    files: dict[str, Path | None] = {}
    for name, run in asked.spec.runs.items():
        files[name] = _trained(asked, name, run, files, announce)
    lines = [_measured(asked, row, files[row.run], volumes, announce) for row in asked.spec.rows]
    with whole_file(asked.out / f"{asked.name}.json") as temporary:
        content = {"title": asked.spec.title, "split": asked.split, "rows": [asdict(line) for line in lines]}
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return lines


def _trained(
    asked: Ablation, name: str, run: RunSpec, files: dict[str, Path | None], announce: Announce
) -> Path | None:
    """The weights file of one run; None where it needs a perceptual network and there is none."""
    if run.perceptual and not asked.perceptual:
        return None
    given = asked.base / AUTOENCODER if asked.base is not None and run.network == "autoencoder" else None
    if given is not None and asked.spec.measure == "generation":
        return given
    own = [setting.partition(":")[2] for setting in asked.settings if setting.startswith(f"{run.network}:")]
    settings = [*run.settings, *own, *([f"steps={asked.steps}"] if asked.steps else [])]
    if run.perceptual:
        settings.append(f"task.perceptual={asked.perceptual}")
    with input_errors("`recipe`"):
        recipe = load_recipe(run.network, asked.recipe, settings)
    base, start = files.get(run.base), files.get(run.warm_start) or given
    out = asked.folder / name
    done = out / f"{run.network}.safetensors"
    if done.is_file() and read_card(done).extra.get("recipe") == recipe.model_dump(mode="json"):
        announce(f"{name}: there already")
        return done
    announce(f"{name}: training {recipe.steps} steps")
    request = Request(
        run.network,
        recipe,
        asked.parts,
        out,
        asked.out / "cache",
        base=base.parent if base else None,
        warm_start=start,
        stage=run.stage,
        name=asked.recipe,
    )
    return train(request, asked.machine, announce)


def _measured(
    asked: Ablation, row: RowSpec, file: Path | None, volumes: Sequence[TrainingVolume], announce: Announce
) -> Line:
    if file is None:
        return Line(row.label, {}, absent="needs the perceptual network: `perceptual` FILE")
    announce(f"{row.label}: measuring")
    card = read_card(file)
    if asked.spec.measure == "round-trip":
        figures = round_trips(load_autoencoder(file).eval(), row.decode, volumes)
    else:
        figures = distances(file.parent, volumes, asked.samples or SAMPLES, card.extra["recipe"]["task"]["crop"])
        figures |= {name: (value, 0.0) for name, value in card.extra.get("validation", {}).items()}
    return Line(row.label, figures, card.sha256, int(card.extra.get("step", card.extra["recipe"]["steps"])))

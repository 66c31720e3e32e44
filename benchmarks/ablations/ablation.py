"""Train the networks of an ablation alike, and measure them on held-out volumes; what is done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.ablations.spec import AblationSpec, RowSpec, RunSpec
from benchmarks.quality.generation_metrics import frechet_distance, maximum_mean_discrepancy, pooled_features
from benchmarks.table.published import published
from benchmarks.table.runner import check_leak
from datasets.cache import Cache
from datasets.whole_file import whole_file
from priors.diffusion.latent_sampling import generate
from priors.diffusion.load import load_prior
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.training.batches import derived_seed
from priors.training.recipe import load_recipe
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder
from priors.weights.store import AUTOENCODER
from recon.errors import InputError, input_errors
from recon.scan.padding import grown
from recon.training.run import Machine, train
from recon.training.run import Request as TrainingRequest
from recon.training.sources import DataPart, TrainingVolume, load_split
from recon.training.validation import evaluate_network, patchwise_round_trip, round_trip

Report = Callable[[str], None]


@dataclass(frozen=True)
class Ablation:
    """What is to be run.

    Attributes:
        name: of the table.
        spec: of it.
        parts: data sets; their train split teaches, ``split`` measures.
        split: of the volumes that are measured.
        recipe: of every network, by name or file.
        steps: of every training; None as the recipe says.
        settings: of recipes, after the runs' own; each begins with the network that it is for, and a colon.
        perceptual: file of the perceptual network, for the runs that need one.
        samples: generated volumes.
        out: folder; the networks are in ``NAME/RUN`` in it, those of a base in ``NAME-HASH/RUN``.
        machine: where it runs.
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
    samples: int = 8
    machine: Machine = field(default_factory=Machine)
    base: Path | None = None

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


def run_ablation(asked: Ablation, report: Report) -> list[Line]:
    """Train what is missing, measure, and write ``NAME.json``.

    Raises:
        InputError: data, recipe, base or perceptual network that cannot be used, or a base that learned from what is
            to be measured.
        RunError: a training failed.
        Stopped: it was asked to stop; the same call goes on.
    """
    volumes = load_split(asked.parts, asked.split, Cache(asked.out / "cache"), report)
    if not volumes:
        raise InputError(f"no volume in the split {asked.split} of the data")
    if asked.base is not None:
        check_leak([asked.base / AUTOENCODER], [each.volume.case for each in volumes], "`base`")
    files: dict[str, Path | None] = {}
    for name, run in asked.spec.runs.items():
        files[name] = _trained(asked, name, run, files, report)
    lines = [_measured(asked, row, files[row.run], volumes, report) for row in asked.spec.rows]
    with whole_file(asked.out / f"{asked.name}.json") as temporary:
        content = {"title": asked.spec.title, "split": asked.split, "rows": [asdict(line) for line in lines]}
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return lines


def _trained(asked: Ablation, name: str, run: RunSpec, files: dict[str, Path | None], report: Report) -> Path | None:
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
        report(f"{name}: there already")
        return done
    report(f"{name}: training {recipe.steps} steps")
    request = TrainingRequest(
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
    return train(request, asked.machine, report)


def _measured(
    asked: Ablation, row: RowSpec, file: Path | None, volumes: Sequence[TrainingVolume], report: Report
) -> Line:
    if file is None:
        return Line(row.label, {}, absent="needs the perceptual network: `perceptual` FILE")
    report(f"{row.label}: measuring")
    card = read_card(file)
    if asked.spec.measure == "round-trip":
        figures = _round_trips(load_autoencoder(file).eval(), row.decode, volumes)
    else:
        figures = _distances(file.parent, volumes, asked.samples, card.extra["recipe"]["task"]["crop"])
        figures |= {name: (value, 0.0) for name, value in card.extra.get("validation", {}).items()}
    return Line(row.label, figures, card.sha256, int(card.extra.get("step", card.extra["recipe"]["steps"])))


def _round_trips(
    network: PatchVolumeAutoencoder, decode: str, volumes: Sequence[TrainingVolume]
) -> dict[str, tuple[float, float]]:
    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for each in volumes:
        image = each.volume.network()
        output = round_trip(network, image) if decode == "volume" else patchwise_round_trip(network, image)
        scores = evaluate_network(image, output, each.volume.modality)
        for name, values in found.items():
            if (score := scores[name]) is not None:
                values.append(score)
    return {name: _mean_and_spread(values) for name, values in found.items() if values}


def _distances(
    folder: Path, volumes: Sequence[TrainingVolume], samples: int, crop: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Of new volumes, as large as the crops that the network learned from, from as many crops of held-out volumes."""
    prior = load_prior(folder)
    size = prior.image_size((crop[0], crop[1], crop[2]))
    kinds = sorted({each.class_index for each in volumes})
    made = [
        generate(prior, kinds[number % len(kinds)], size, steps=20, seeds=[derived_seed("ablation", number)])[0, 0]
        for number in range(samples)
    ]
    real = [_real_crop(volumes[number % len(volumes)], size, number) for number in range(4 * samples)]
    one, other = (pooled_features(torch.stack(each).cpu()) for each in (made, real))
    distances = {"frechet": frechet_distance(one, other), "mmd": maximum_mean_discrepancy(one, other)}
    return {name: (value, 0.0) for name, value in distances.items()}


def _real_crop(volume: TrainingVolume, size: tuple[int, int, int], number: int) -> Tensor:
    image = grown(volume.volume.network(), size)
    random = torch.Generator().manual_seed(derived_seed("real crop", number))
    region = []
    for have, want in zip(image.shape, size, strict=True):
        first = int(torch.randint(have - want + 1, (), generator=random))
        region.append(slice(first, first + want))
    return image[tuple(region)]


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    tensor = torch.tensor(values, dtype=torch.float64)
    return float(tensor.mean()), float(tensor.std()) if len(values) > 1 else 0.0


def as_text(spec: AblationSpec, name: str, lines: Sequence[Line]) -> str:
    """The table for the terminal, the paper's own figures apart."""
    columns = list(dict.fromkeys(figure for line in lines for figure in line.figures))
    width = max(len(line.label) for line in lines)
    rows = [f"{'':{width}}  " + "".join(f"{column:>20}" for column in columns) + f"{'steps':>8}"]
    for line in lines:
        if line.absent:
            rows.append(f"{line.label:{width}}  absent: {line.absent}")
            continue
        cells = "".join(f"{_figure(line.figures.get(column)):>20}" for column in columns)
        rows.append(f"{line.label:{width}}  {cells}{line.steps:>8}")
    paper = published(name)
    if paper:
        rows += ["", f"the paper's own figures ({paper['title']}), on its data:"]
        rows += ["  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in paper["rows"]]
    return "\n".join([spec.title, "", *rows])


def _figure(value: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    mean, spread = value
    return f"{mean:.4f} ({spread:.4f})" if spread else f"{mean:.4f}"

"""What an ablation of the paper compares: networks that are trained alike but for one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from benchmarks.specs import read_spec
from priors.training.section import Section, setting

ABLATIONS = Path(__file__).parent / "specs"


class RunSpec(Section):
    """One network to train."""

    network: Literal["autoencoder", "biflownet"] = setting(..., "kind of network")
    stage: Literal[1, 2] = setting(1, "stage of the autoencoder's training")
    base: str = setting("", "run whose autoencoder a BiFlowNet builds upon")
    warm_start: str = setting("", "run whose weights are the initial weights of this one")
    settings: tuple[str, ...] = setting((), "settings that replace the recipe's, as KEY=VALUE")
    perceptual: bool = setting(False, "whether it needs the file of the perceptual network")

    @model_validator(mode="after")
    def _has_a_use_for_all(self) -> RunSpec:
        if self.network == "autoencoder" and self.base:
            raise ValueError("base belongs to biflownet; an autoencoder builds upon nothing")
        if self.network == "biflownet" and (self.stage != 1 or self.perceptual):
            raise ValueError("stage and perceptual belong to autoencoder")
        return self


class RowSpec(Section):
    """One line of the table."""

    label: str = setting(..., "label that the table shows")
    run: str = setting(..., "run whose network is measured")
    decode: Literal["patches", "volume"] = setting(
        "volume", "decoding by an autoencoder: each patch alone, or the volume whole"
    )


class AblationSpec(Section):
    """An ablation.

    ``round-trip`` measures PSNR and SSIM of held-out volumes through the autoencoder, ``generation`` distances of new
    volumes from held-out ones. Each run stands after those that it builds upon.
    """

    title: str = setting(..., "title of the table")
    measure: Literal["round-trip", "generation"] = setting(..., "what is measured")
    runs: dict[str, RunSpec] = setting(..., "networks by name")
    rows: tuple[RowSpec, ...] = setting(..., "lines of the table")

    @model_validator(mode="after")
    def _refers_backwards(self) -> AblationSpec:
        if not self.runs or not self.rows:
            raise ValueError("at least one run and one row are wanted")
        known: set[str] = set()
        for name, run in self.runs.items():
            missing = {run.base, run.warm_start} - {""} - known
            if missing:
                raise ValueError(f"run {name} builds upon {min(missing)}, which is not before it")
            known.add(name)
        stray = {row.run for row in self.rows} - known
        if stray:
            raise ValueError(f"no run {min(stray)}")
        return self


def ablation_names() -> list[str]:
    """Names of the shipped ablations."""
    return sorted(path.stem for path in ABLATIONS.glob("*.yaml"))


def load_ablation(name: str) -> AblationSpec:
    """A shipped ablation by name, or one from a YAML file.

    Raises:
        ValueError: no such ablation, not YAML, or a wrong key or value; one line.
    """
    path = ABLATIONS / f"{name}.yaml" if name in ablation_names() else Path(name)
    try:
        return read_spec(AblationSpec, path, f"ablation {name}")
    except FileNotFoundError:
        known = ", ".join(ablation_names())
        raise ValueError(f"no ablation {name!r}; there are {known}, or name a YAML file") from None

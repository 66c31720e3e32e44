"""What an ablation of the paper compares: networks that are trained alike but for one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ABLATIONS = Path(__file__).parent / "specs"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSpec(_Section):
    """One network to train.

    Attributes:
        network: its kind.
        stage: of the autoencoder.
        base: run whose autoencoder a BiFlowNet builds upon.
        warm_start: run whose weights this one begins with.
        settings: of the recipe, as ``recon train --set`` takes them.
        perceptual: needs the perceptual network's file.
    """

    network: Literal["autoencoder", "biflownet"]
    stage: Literal[1, 2] = 1
    base: str = ""
    warm_start: str = ""
    settings: tuple[str, ...] = ()
    perceptual: bool = False


class RowSpec(_Section):
    """One line of the table.

    Attributes:
        label: as the table shows it.
        run: whose network is measured.
        decode: of an autoencoder: each patch alone, or the volume whole.
    """

    label: str
    run: str
    decode: Literal["patches", "volume"] = "volume"


class AblationSpec(_Section):
    """An ablation.

    Attributes:
        title: of the table.
        measure: ``round-trip``: PSNR and SSIM of held-out volumes through the autoencoder; ``generation``: distances
            of new volumes from held-out ones.
        runs: networks by name, each after those that it builds upon.
        rows: of the table.
    """

    title: str
    measure: Literal["round-trip", "generation"]
    runs: dict[str, RunSpec] = Field(min_length=1)
    rows: tuple[RowSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _refers_backwards(self) -> AblationSpec:
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
    """A shipped ablation.

    Raises:
        ValueError: a wrong key or value; one line.
    """
    content: Any = yaml.safe_load((ABLATIONS / f"{name}.yaml").read_text(encoding="utf-8"))
    try:
        return AblationSpec.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"ablation {name}: {error.errors()[0]['msg']}") from error

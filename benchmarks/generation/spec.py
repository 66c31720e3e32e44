"""Which methods a table of generation compares, of which class and by what, read from a short YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from benchmarks.specs import read_spec
from priors.diffusion.anatomy import Anatomy, find_class
from priors.training.section import Section, setting

SPECS = Path(__file__).with_name("specs")

Compares = Literal["figures", "picture", "cost"]


class GenerationSpec(Section):
    """A table of generators."""

    title: str = setting(..., "title of the table")
    compares: Compares = setting(
        "figures", "what is compared: figures of quality, a picture of the features, or time, memory and operations"
    )
    anatomy: str = setting(..., "class of the volumes; another one may be asked for")
    methods: tuple[str, ...] = setting(..., "methods in the order of the table, by the names of their generators")

    @model_validator(mode="after")
    def _is_complete(self) -> GenerationSpec:
        find_class(self.anatomy)
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError("methods: at least one is wanted, each once")
        return self

    @property
    def usual_class(self) -> Anatomy:
        """The class of the volumes where no other is asked for."""
        return find_class(self.anatomy)


def generation_names() -> list[str]:
    """The shipped tables of generators."""
    return sorted(path.stem for path in SPECS.glob("*.yaml"))


def load_generation_spec(name: str) -> GenerationSpec:
    """A shipped table by its name.

    Raises:
        ValueError: a damaged file; one line.
    """
    return read_spec(GenerationSpec, SPECS / f"{name}.yaml", f"table {name}")

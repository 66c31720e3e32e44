"""A recipe: everything a training run depends on beside its data, read from a short YAML file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RECIPES = Path(__file__).with_name("recipes")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OptimizerSettings(_Section):
    """``lr`` is the peak of the schedule; ``betas`` are Adam's, ``momentum`` that of SGD."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)


class ScheduleSettings(_Section):
    """Learning rate over the steps, after a linear warm-up.

    ``polynomial``: lr · (1 − progress)^power, and ``cosine``, a half wave, fall to ``end`` times the peak. ``step``
    drops to that at the share ``at`` of the steps, ``exponential`` has fallen to it there and stays.
    """

    name: Literal["constant", "polynomial", "cosine", "step", "exponential"] = "constant"
    warmup: int = Field(0, ge=0)
    power: float = Field(0.9, gt=0)
    end: float = Field(0.0, ge=0, le=1)
    at: float = Field(0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _exponentials_never_reach_zero(self) -> ScheduleSettings:
        if self.name == "exponential" and not self.end:
            raise ValueError("an exponential schedule needs an end above 0")
        return self


class EmaSettings(_Section):
    """Exponential moving average of the weights: every ``every`` steps; a plain copy before step ``start``."""

    decay: float = Field(0.999, ge=0, lt=1)
    every: int = Field(1, ge=1)
    start: int = Field(0, ge=0)


class CheckpointSettings(_Section):
    """Write one every ``every`` steps, keep the last ``keep`` beside the best."""

    every: int = Field(500, ge=1)
    keep: int = Field(3, ge=1)


class ValidationSettings(_Section):
    """Every ``every`` steps on at most ``cases`` whole volumes; ``metric`` chooses the best checkpoint."""

    every: int = Field(1000, ge=1)
    cases: int = Field(3, ge=1)
    metric: str = "loss"
    higher_is_better: bool = False


class Recipe(_Section):
    """See the recipes folder for complete ones.

    Attributes:
        network: settings of the network, as its configuration class takes them.
        task: settings of what is learned (losses, patch sizes, conditions), as the learner takes them.
        steps: optimiser steps of the whole run; the most of them, where ``minutes`` are given.
        minutes: of training, validations included and data's preparation not; none where absent. The schedule then
            runs over the time, so that a rented machine's hours are used to their end with a rate that has decayed.
        batch: samples of one step over all processes.
        accumulate: pieces that a process cuts its share of the batch into, to save memory.
        precision: of Lightning Fabric.
        clip: largest norm of the gradients; none where absent.
        clip_value: largest value of each gradient; none where absent.
        workers: processes that read data, per training process.
        activation_checkpointing: compute activations twice to hold fewer.
        channels_last: keep convolutions' weights in the layout in which their gradients take less time.
    """

    network: dict[str, Any] = {}
    task: dict[str, Any] = {}
    steps: int = Field(ge=1)
    minutes: float | None = Field(None, gt=0)
    batch: int = Field(ge=1)
    accumulate: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    optimizer: OptimizerSettings
    schedule: ScheduleSettings = ScheduleSettings()
    ema: EmaSettings | None = None
    clip: float | None = Field(None, gt=0)
    clip_value: float | None = Field(None, gt=0)
    seed: int = Field(0, ge=0)
    workers: int = Field(0, ge=0)
    activation_checkpointing: bool = False
    channels_last: bool = False
    checkpoints: CheckpointSettings = CheckpointSettings()
    validation: ValidationSettings = ValidationSettings()

    @model_validator(mode="after")
    def _batch_is_divisible(self) -> Recipe:
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} is no multiple of accumulate {self.accumulate}")
        return self


def recipe_names(network: str) -> list[str]:
    """Names of the shipped recipes of a network, such as ``paper``, ``starter``, ``tiny``."""
    return sorted(path.stem for path in (RECIPES / network).glob("*.yaml"))


def load_recipe(network: str, name_or_file: str, settings: Iterable[str] = ()) -> Recipe:
    """A shipped recipe by name, or a YAML file, with single settings replaced.

    Args:
        network: such as ``biflownet``; the folder of its recipes.
        name_or_file: ``paper``, ``starter``, ``tiny`` or the path of a YAML file.
        settings: ``key=value`` with dots between levels and YAML values: ``optimizer.lr=1e-4``.

    Raises:
        ValueError: no such recipe, not YAML, an unknown key (the nearest is named) or a value out of range.
    """
    shipped = recipe_names(network)
    path = RECIPES / network / f"{name_or_file}.yaml" if name_or_file in shipped else Path(name_or_file)
    if not path.is_file():
        known = f"; shipped for {network}: {', '.join(shipped)}" if shipped else ""
        raise ValueError(f"recipe {name_or_file}: no such file{known}")
    content = _read_yaml(path)
    for setting in settings:
        _apply(content, setting)
    return parse_recipe(content, str(name_or_file))


def parse_recipe(content: Mapping[str, Any], name: str) -> Recipe:
    """Check a recipe's content.

    Raises:
        ValueError: one line with the first thing that is wrong.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"recipe {name}: {_first_problem(error)}") from error


def nearest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean lr?"`` or the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; one of {', '.join(known)}"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"recipe {path}: a mapping of settings is wanted, not {type(content).__name__}")
    return content


def _apply(content: dict[str, Any], setting: str) -> None:
    """Put one ``a.b=value`` into nested mappings."""
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"setting {setting}: key=value is wanted, such as optimizer.lr=1e-4")
    *path, last = key.strip().split(".")
    section = content
    for name in path:
        inner = section.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"setting {setting}: {name} is a value, not a section")
        section = inner
    section[last] = _scalar(yaml.safe_load(value))


def _scalar(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 (without a point) as text; a user means the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where}{nearest(str(problem['loc'][-1]), _known_keys(problem['loc']))}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section in which an unknown one stands."""
    section: type[BaseModel] = Recipe
    for name in location[:-1]:
        annotation = section.model_fields[str(name)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(section.model_fields)

"""A recipe: everything a training run depends on beside its data, read from a short YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, model_validator

from priors.training.plain_yaml import read_yaml, read_yaml_file
from priors.training.section import Section, first_problem, setting

_DEEPEST = 10

RECIPES = Path(__file__).with_name("recipes")


def _refuse_unused(section: Section, chosen: str, users: Mapping[str, tuple[str, ...]]) -> None:
    """``ValueError`` for a setting that is not at its default and that the chosen one has no use for."""
    for key, names in users.items():
        if chosen not in names and getattr(section, key) != type(section).model_fields[key].default:
            raise ValueError(f"{key} has no effect with {chosen}; it belongs to {', '.join(names)}")


class OptimizerSettings(Section):
    """The optimiser."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = setting("adam", "optimiser")
    lr: float = setting(..., "learning rate at the peak of the schedule", gt=0)
    betas: tuple[float, float] = setting((0.9, 0.999), "decay rates of the moments of adam and adamw")
    momentum: float = setting(0.9, "momentum of sgd", ge=0, lt=1)
    weight_decay: float = setting(0.0, "weight decay", ge=0)

    @model_validator(mode="after")
    def _uses_what_it_is_given(self) -> OptimizerSettings:
        _refuse_unused(self, self.name, {"betas": ("adam", "adamw"), "momentum": ("sgd",)})
        return self


class ScheduleSettings(Section):
    """Learning rate over the steps, after a linear warm-up.

    ``polynomial``: lr · (1 − progress)^power, and ``cosine``, a half wave, fall to ``end`` times the peak. ``step``
    drops to that at the share ``at`` of the steps, ``exponential`` has fallen to it there and stays.
    """

    name: Literal["constant", "polynomial", "cosine", "step", "exponential"] = setting(
        "constant", "form of the decay of the learning rate"
    )
    warmup: int = setting(0, "length of the linear warm-up", "steps", ge=0)
    power: float = setting(0.9, "power of the polynomial decay", gt=0)
    end: float = setting(0.0, "final learning rate", "shares of the peak", ge=0, le=1)
    at: float = setting(0.8, "point at which step and exponential reach the end", "shares of the steps", gt=0, le=1)

    @model_validator(mode="after")
    def _uses_what_it_is_given(self) -> ScheduleSettings:
        decaying = ("polynomial", "cosine", "step", "exponential")
        _refuse_unused(self, self.name, {"power": ("polynomial",), "end": decaying, "at": ("step", "exponential")})
        if self.name == "exponential" and not self.end:
            raise ValueError("an exponential schedule needs an end above 0")
        return self


class EmaSettings(Section):
    """Exponential moving average of the weights; a plain copy before step ``start``."""

    decay: float = setting(0.999, "decay of the moving average of the weights", ge=0, lt=1)
    every: int = setting(1, "interval between updates of the average", "steps", ge=1)
    start: int = setting(0, "step at which the average begins", "steps", ge=0)


class CheckpointSettings(Section):
    """Checkpoints, the last ones and the best."""

    every: int = setting(500, "interval between checkpoints", "steps", ge=1)
    keep: int = setting(3, "number of checkpoints kept beside the best", ge=1)


class ValidationSettings(Section):
    """Validation on whole volumes."""

    every: int = setting(1000, "interval between validations", "steps", ge=1)
    cases: int = setting(3, "largest number of volumes of a validation", ge=1)
    metric: str = setting("loss", "figure that chooses the best checkpoint, such as loss or psnr")
    higher_is_better: bool = setting(False, "whether the better figure is the higher one")
    keep: Literal["best", "last"] = setting(
        "best", "weights that are written: the best ones by the metric, or the last ones"
    )


class Recipe(Section):
    """Everything that a training depends on beside its data; see the recipes folder for complete ones.

    With ``minutes`` the schedule runs over the time, so that a rented machine's hours are used to their end with a rate
    that has decayed.
    """

    network: dict[str, Any] = setting({}, "settings of the network, as its configuration class takes them")
    task: dict[str, Any] = setting({}, "settings of what is learned: losses, sizes of samples, simulated scans")
    steps: int = setting(
        ..., "number of optimiser steps of the whole run; the largest number where minutes are given", ge=1
    )
    minutes: float | None = setting(
        None, "length of the training, with validations and without the preparation of data", "minutes", gt=0
    )
    clock: Literal["wall", "processor"] = setting(
        "wall",
        "what the minutes are of: time that passes, or time of one processor core, summed over cores, which is the "
        "same whatever else a machine without a GPU does",
    )
    batch: int = setting(..., "number of samples of one step, over all processes", ge=1, le=1 << 16)
    accumulate: int = setting(
        1, "number of parts into which a process splits its share of the batch, to save memory", ge=1
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = setting(
        "32-true", "floating-point precision, by the names of Lightning"
    )
    optimizer: OptimizerSettings
    schedule: ScheduleSettings = ScheduleSettings()
    ema: EmaSettings | None = None
    clip: float | None = setting(None, "largest norm of the gradients", gt=0)
    clip_value: float | None = setting(None, "largest value of each gradient", gt=0)
    seed: int = setting(0, "seed of all random numbers", ge=0)
    workers: int = setting(0, "number of processes that read data, for each training process", ge=0, le=256)
    activation_checkpointing: bool = setting(False, "whether activations are computed twice so that fewer are held")
    channels_last: bool = setting(
        False, "whether convolutions keep their weights in the layout in which gradients take less time"
    )
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
    for change in settings:
        _apply(content, change)
    return parse_recipe(content, str(name_or_file))


def parse_recipe(content: Mapping[str, Any], name: str) -> Recipe:
    """Check a recipe's content.

    Raises:
        ValueError: one line with the first thing that is wrong.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"recipe {name}: {first_problem(error, Recipe)}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml_file(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"recipe {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"recipe {path}: a mapping of settings is wanted, not {type(content).__name__}")
    return content


def _apply(content: dict[str, Any], setting: str) -> None:
    """Put one ``a.b=value`` into nested mappings."""
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"setting {setting}: key=value is wanted, such as optimizer.lr=1e-4")
    *path, last = key.strip().split(".")
    if len(path) > _DEEPEST:
        raise ValueError(f"setting {key[:40]}…: sections are at most {_DEEPEST} deep")
    section = content
    for name in path:
        inner = section.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"setting {setting}: {name} is a value, not a section")
        section = inner
    try:
        section[last] = _scalar(read_yaml(value))
    except ValueError as error:
        raise ValueError(f"setting {key.strip()}: {error}") from error


def _scalar(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 (without a point) as text; a user means the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value

"""Options of methods: typed models from which help texts, checks, error messages and stored values follow.

    class TVOptions(Options):
        weight: float | None = setting(None, "weight λ of the total variation; auto: from the noise", unit="mm", gt=0)
        window: Literal["hann", "cosine"] = setting("hann", "apodisation of the ramp filter")

A value may be a Python value or, as on the command line, text. An option is called by its key: the name of its field,
with hyphens or underscores.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from recon.errors import InputError

Kind = TypeVar("Kind", bound="Options")

_TYPES = {bool: "yes or no", int: "an integer", float: "a number", str: "text"}


def setting(
    default: Any,
    description: str,
    *,
    unit: str | None = None,
    needs: tuple[str, str] | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
) -> Any:
    """One field of a model of options.

    Args:
        default: value of the option where it is not set; None stands for "auto".
        description: what the option does, for ``recon methods NAME``; range, choices, unit and default are added to it.
        unit: physical unit of the value, such as "mm".
        needs: another field and the value which that must have; elsewhere this option would have no effect, and is
            refused.
        ge, gt, le: bounds of the value: at least, above, at most.
    """
    return Field(
        default=default,
        description=description,
        json_schema_extra={"unit": unit, "needs": list(needs) if needs else None},
        ge=ge,
        gt=gt,
        le=le,
    )


class Options(BaseModel):
    """Options of one method: immutable, every field made by :func:`setting`, no other names accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="after")
    def _no_option_without_effect(self) -> Self:
        for option in described(type(self)):
            changed = option.field in self.model_fields_set and getattr(self, option.field) != option.default
            if option.needs and changed and getattr(self, option.needs[0]) != option.needs[1]:
                name, value = option.needs
                raise ValueError(f"`{option.key}`: has an effect only with `{name.replace('_', '-')}`={value}")
        return self


class NoOptions(Options):
    """Options of a method that has nothing to set."""


@dataclass(frozen=True)
class Setting:
    """What is known of one option.

    Attributes:
        key: name of the option as users write it, with hyphens.
        field: name of the model's field.
        default: value where the option is not set; None stands for "auto".
        description: what the option does.
        type: bool, int, float or str.
        optional: whether the value may be None ("auto").
        choices: all values that are allowed; empty where there is no such list.
        range: allowed numbers in words, such as "of 1 or more"; empty where every number is allowed.
        unit: physical unit of the value, or None.
        needs: field and value without which the option has no effect, or None.
    """

    key: str
    field: str
    default: Any
    description: str
    type: type
    optional: bool
    choices: tuple[Any, ...]
    range: str
    unit: str | None
    needs: tuple[str, str] | None

    @property
    def requirement(self) -> str:
        """What a value must be, in words: "an integer of 1 or more"."""
        if self.choices:
            words = f"one of {', '.join(map(str, self.choices))}"
        else:
            unit = f"in {self.unit}" if self.unit else ""
            words = " ".join(part for part in (_TYPES[self.type], self.range, unit) if part)
        return f"{words}, or auto" if self.optional else words

    def value_of(self, given: Any) -> Any:
        """The value of a text; a Python value as it is."""
        if isinstance(given, os.PathLike):
            given = os.fspath(given)
        if not isinstance(given, str):
            return given
        if self.optional and given.lower() in ("auto", "none"):
            return None
        return next((choice for choice in self.choices if str(choice) == given), given)


def described(kind: type[Options]) -> tuple[Setting, ...]:
    """What is known of each option of a model, in the order of its fields."""
    return tuple(_setting(name, field) for name, field in kind.model_fields.items())


def options_from(kind: type[Kind], settings: Mapping[str, Any]) -> Kind:
    """Options with some values set.

    Args:
        kind: model of the options.
        settings: key to value, Python values or text.

    Raises:
        InputError: unknown keys, and values or combinations that cannot be; the line names the option in backticks.
    """
    known = {option.key: option for option in described(kind)}
    values: dict[str, Any] = {}
    for written, given in settings.items():
        key = written.replace("_", "-")
        if key not in known:
            raise InputError(_no_such_option(written, given, list(known)))
        option = known[key]
        if option.field in values:
            raise InputError(f"`{key}`: set twice, with hyphens and with underscores")
        values[option.field] = option.value_of(given)
    try:
        return kind(**values)
    except ValidationError as error:
        raise InputError(_in_one_line(error, {option.field: option for option in known.values()})) from error


def plain(options: Options) -> dict[str, Any]:
    """The values that were set, by key, as JSON has them; None stands for "auto"."""
    values = options.model_dump(mode="json", include=set(options.model_fields_set))
    return {name.replace("_", "-"): value for name, value in values.items()}


def all_values(options: Options) -> dict[str, Any]:
    """Every value by key, defaults too, as JSON has them; None stands for "auto"."""
    return {name.replace("_", "-"): value for name, value in options.model_dump(mode="json").items()}


def _no_such_option(key: str, value: Any, known: list[str]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "it has " + (", ".join(known) or "none")
    return f"`{key}`={value}: the method has no such option; {hint}"


def _in_one_line(error: ValidationError, known: Mapping[str, Setting]) -> str:
    first = error.errors(include_url=False)[0]
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else ""
    if not first["loc"]:  # about several options at once: the message names them
        return reason
    option, value = known[str(first["loc"][0])], first["input"]
    near = difflib.get_close_matches(str(value), map(str, option.choices), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"`{option.key}`={value}: {reason or f'must be {option.requirement}{hint}'}"


def _setting(name: str, field: FieldInfo) -> Setting:
    kind, optional, choices = _kind(field.annotation)
    extra: Any = field.json_schema_extra or {}
    needs = extra.get("needs")
    return Setting(
        key=name.replace("_", "-"),
        field=name,
        default=field.default,
        description=field.description or "",
        type=kind,
        optional=optional,
        choices=choices,
        range=_range(field),
        unit=extra.get("unit"),
        needs=needs and tuple(needs),
    )


def _kind(annotation: Any) -> tuple[type, bool, tuple[Any, ...]]:
    """Type, whether None is allowed, and the choices of a field's annotation."""
    optional = get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation)
    if optional:
        (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return type(choices[0]), optional, choices
    if annotation not in _TYPES:
        raise TypeError(f"an option cannot be of type {annotation}; there are bool, int, float, str and Literal")
    return annotation, optional, ()


def _range(field: FieldInfo) -> str:
    bounds = {
        name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le") if hasattr(rule, name)
    }
    least, above, most = (f"{bounds[name]:g}" if name in bounds else "" for name in ("ge", "gt", "le"))
    if least and most:
        return f"from {least} to {most}"
    if least:
        return f"of {least} or more"
    parts = [f"above {above}" if above else "", f"at most {most}" if most else ""]
    return " and ".join(part for part in parts if part)

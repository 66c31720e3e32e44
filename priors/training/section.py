"""Sections of settings: typed models whose help, checks and messages follow from one declaration of each field."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


class Section(BaseModel):
    """A group of settings: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def setting(
    default: Any,
    description: str,
    unit: str = "",
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """A field of a :class:`Section`.

    Args:
        default: the value where none is given; ``...`` for a field that must be given.
        description: a noun phrase that says what the field is, without a full stop.
        unit: the unit of the value, such as ``voxels``; "" for none.
        ge, gt, le, lt: bounds of the value.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit}, ge=ge, gt=gt, le=le, lt=lt)


@dataclass(frozen=True)
class Described:
    """A setting as a user reads of it.

    Attributes:
        key: the name with its sections, such as ``optimizer.lr``.
        wanted: the values that it takes, in words.
        unit: the unit; "" for none.
        default: the value where none is given, as YAML has it; "" where it must be given.
        description: what it is.
    """

    key: str
    wanted: str
    unit: str
    default: str
    description: str


def describe(section: type[BaseModel], prefix: str = "") -> Iterator[Described]:
    """Every setting of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from describe(inner, f"{prefix}{name}.")
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = "" if field.is_required() else yaml_text(field.get_default())
        unit = str(extra.get("unit", ""))
        yield Described(f"{prefix}{name}", wanted(field.annotation), unit, default, field.description or "")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds; None for a plain value."""
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def wanted(annotation: Any) -> str:
    """What values a type takes, in words."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Literal:
        return "one of " + ", ".join(map(str, parts))
    if kind in (Union, types.UnionType):
        return " or ".join(wanted(part) for part in parts)
    if kind in (tuple, list):
        several = [part for part in parts if part is not Ellipsis]
        count = "" if Ellipsis in parts or kind is list else f" of {len(several)}"
        return f"a list{count}, each {wanted(several[0])}"
    return _NAMES.get(annotation, "a mapping")


def yaml_text(value: Any) -> str:
    """A value as YAML has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{','.join(map(yaml_text, value))}]"
    return str(value)


def nearest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean lr?"`` or the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; one of {', '.join(known)}"


def first_problem(error: ValidationError, section: type[BaseModel], prefix: str = "") -> str:
    """What is wrong first, in one line: an unknown key with the nearest known one, or a value and what is wanted.

    Args:
        error: the error that pydantic raised.
        section: the model that was to be made.
        prefix: stands before every key, such as ``task.``.
    """
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _known_keys(section, problem["loc"][:-1])
        return f"unknown key {prefix}{where}{nearest(str(problem['loc'][-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{prefix}{where}: {message}" if where else f"{prefix.rstrip('.')}: {message}" if prefix else message


def _known_keys(section: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section in which an unknown one stands."""
    for part in location:
        if isinstance(part, str) and part in section.model_fields:
            section = next(_sections_in(section.model_fields[part].annotation))
    return list(section.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type names, however deep: ``dict[str, Section]``, ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)

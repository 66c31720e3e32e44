"""Specifications of tables in YAML files, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from priors.training.section import Section, first_problem

S = TypeVar("S", bound=Section)


def read_spec(kind: type[S], path: Path, subject: str) -> S:
    """A specification from a file; no value is converted to another type.

    Args:
        kind: the model of it.
        path: a YAML file.
        subject: names the specification in messages, such as ``table table9``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not YAML, an unknown key (the nearest is named), or a wrong value; one line.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        # As JSON, where a list may stand for a tuple and nothing else is taken for another type.
        return kind.model_validate_json(json.dumps(content, default=str), strict=True)
    except IsADirectoryError:
        raise ValueError(f"{subject}: a folder; a YAML file is wanted") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{subject}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise ValueError(f"{subject}: {first_problem(error, kind)}") from error

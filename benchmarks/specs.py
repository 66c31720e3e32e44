"""Specifications of tables in YAML files, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from priors.training.plain_yaml import read_yaml_file
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
        content = read_yaml_file(path)
        # As JSON, where a list may stand for a tuple and nothing else is taken for another type.
        return kind.model_validate_json(json.dumps(content, default=str), strict=True)
    except IsADirectoryError:
        raise ValueError(f"{subject}: a folder; a YAML file is wanted") from None
    except ValidationError as error:
        raise ValueError(f"{subject}: {first_problem(error, kind)}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{subject}: {' '.join(str(error).split())}") from error

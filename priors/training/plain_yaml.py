"""YAML that somebody else may have written: plain values, bounded before anything is made of them.

A few lines of YAML can stand for more nodes than there is memory for, by aliases of lists of aliases (the "billion
laughs"), and nest deeper than any program follows. Both are counted in the parsed text first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST = 1 << 20
"""Characters of a file of settings."""

_MOST_NODES = 100_000
_DEEPEST = 50


def read_yaml(text: str) -> Any:
    """The plain values of a YAML text; aliases are followed as long as they stay few.

    Raises:
        ValueError: not YAML, or too large, too deep or too often repeated to be settings; one line.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} characters of YAML, where {LARGEST} are the most")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _weight(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError("not YAML of settings: nested too deeply") from None
    except (yaml.YAMLError, OverflowError, ValueError, TypeError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:300]}") from error


def read_yaml_file(path: Path) -> Any:
    """The plain values of a YAML file; its size is looked at before it is read.

    Raises:
        ValueError: as :func:`read_yaml`.
        OSError: it cannot be read.
    """
    if path.is_file() and path.stat().st_size > 4 * LARGEST:
        raise ValueError(f"{path.stat().st_size} bytes, which are too many for a file of settings")
    return read_yaml(path.read_text(encoding="utf-8"))


def _weight(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many nodes a node stands for, with every alias written out."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} levels deep, or an alias of itself")
    if id(node) not in known:
        known[id(node)] = 1 + sum(_weight(each, known, depth + 1) for each in _inner(node))
    if known[id(node)] > _MOST_NODES:
        raise ValueError(f"its aliases stand for more than {_MOST_NODES} values")
    return known[id(node)]


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return []

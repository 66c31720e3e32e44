"""Read what ``torch.save`` wrote without running anything that is in it.

A pickle can name any function and have it called. Here torch's restricted unpickler reads it: it knows tensors and
plain containers. The few classes beside them that released checkpoints name become empty stand-ins of this module.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.serialization import safe_globals


class ConfigNode:
    """Stands in for a node of an omegaconf configuration: a table, a list or a value; :func:`plain` reads it."""


class Arguments:
    """Stands in for ``argparse.Namespace``; ``vars`` gives the options."""


class _Named:
    """Stands in for what checkpoints name and nobody reads."""


def _plain_dict(*arguments: Any) -> dict[Any, Any]:
    """A ``defaultdict`` as a dictionary: what its missing keys would be plays no part in reading."""
    return {}


_NODES = ("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode", "PathNode", "StringNode")

_ALLOWED: dict[str, Any] = {
    "omegaconf.dictconfig.DictConfig": ConfigNode,
    "omegaconf.listconfig.ListConfig": ConfigNode,
    **{f"omegaconf.nodes.{name}": ConfigNode for name in _NODES},
    "omegaconf.base.ContainerMetadata": _Named,
    "omegaconf.base.Metadata": _Named,
    "typing.Any": _Named,
    "argparse.Namespace": Arguments,
    "collections.defaultdict": _plain_dict,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.int": int,
}

_RENAMED = {"commands": "subprocess"}
"""Modules of Python 2, as pickles of protocol 2 name them."""

_DEEPEST = 32
"""Levels of a configuration; more are an attack or a mistake."""


def read_pickled(path: Path | str) -> Any:
    """The content of a file that ``torch.save`` wrote, on the CPU; tensors are mapped from it where it is an archive.

    Raises:
        ValueError: there is no such file; it is damaged, or no such file; or it names something that weights have no
            use for and that could be code.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: {'a folder, where a checkpoint is wanted' if path.is_dir() else 'no such file'}")
    archive = _is_archive(path)
    if archive:
        _check_archive(path)
    allowed = cast(list[Callable[..., Any] | tuple[Callable[..., Any], str]], [(v, k) for k, v in _ALLOWED.items()])
    try:
        with warnings.catch_warnings(), safe_globals(allowed):
            warnings.simplefilter("ignore")  # torch's advice about pickles is for programmers
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {_refusal(path, str(error))}") from error
    except Exception as error:  # damaged bytes fail inside torch's reader in as many ways as there are opcodes
        raise ValueError(f"{path}: damaged, or no checkpoint") from error


def plain(node: Any, depth: int = 0) -> Any:
    """A configuration as dictionaries, lists and values.

    Raises:
        ValueError: it is no configuration, or nested without end.
    """
    if depth > _DEEPEST:
        raise ValueError("its configuration is nested too deeply")
    if isinstance(node, ConfigNode):
        held = vars(node)
        if "_content" not in held and "_val" not in held:
            raise ValueError("its configuration is damaged")
        node = held.get("_content", held.get("_val"))
    if isinstance(node, dict):
        return {str(key): plain(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value, depth + 1) for value in node]
    return node


def plain_tensors(held: Any, path: Path | str, where: str) -> dict[str, Tensor]:
    """Copies of the tensors of a state dict, floating-point ones in float32.

    Args:
        held: what should be a state dict.
        path: the path of the file, for messages.
        where: place of it in the file, for messages.

    Raises:
        ValueError: it is no dictionary of dense tensors in memory, each with a name.
    """
    if not isinstance(held, dict) or not held:
        raise ValueError(f"{path}: no tensors under {where} in it")
    for name, tensor in held.items():
        if not isinstance(name, str) or not _is_plain(tensor):
            raise ValueError(f"{path}: {name} is no plain tensor")
    return {name: tensor.detach().to(_precision(tensor), copy=True) for name, tensor in held.items()}


def _is_plain(value: Any) -> bool:
    """Whether it is a dense tensor in memory, with a number of its own for each element.

    A file of a few bytes can hold a tensor that repeats one number so often that a copy would fill the memory.
    """
    if type(value) not in (Tensor, nn.Parameter) or value.device.type != "cpu" or value.layout != torch.strided:
        return False
    special = value.is_nested or value.is_quantized
    return not special and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _precision(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_archive(path: Path) -> None:
    """torch does not compare the checksums of what it reads."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if compressed or sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError("compressed or overlapping entries")  # torch writes neither; they could fill a disk
            broken = archive.testzip()
            pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
    except Exception as error:  # a damaged directory fails in many ways, checksums of compressed entries in zlib
        raise ValueError(f"{path}: damaged or incomplete") from error
    if broken is not None:
        raise ValueError(f"{path}: damaged: the checksum of {broken} in it is wrong")
    if len(pickles) != 1:
        raise ValueError(f"{path}: a zip archive, but no checkpoint")


def _refusal(path: Path, message: str) -> str:
    """Why the unpickler stopped."""
    found = re.search(r"GLOBAL (\S+)", message)
    names = [found[1]] if found else [name for name in _newer_globals(path) if _suspicious(name)]
    if names and names[0].strip("."):
        module, _, attribute = names[0].rpartition(".")
        full = f"{_RENAMED.get(module, module) or 'builtins'}.{attribute}"
        return f"refused, nothing was run: it names {full}, which weights have no use for"
    if "Unsupported operand" in message:
        return "refused, nothing was run: damaged, no checkpoint, or written with a pickle protocol other than 2"
    return "refused, nothing was run: damaged, or no checkpoint"


def _suspicious(name: str) -> bool:
    return name not in _ALLOWED and name != "collections.OrderedDict" and not name.startswith("torch.")


def _newer_globals(path: Path) -> list[str]:
    """Globals named by an opcode of pickle protocol 4, which torch does not read at all; nothing is loaded."""
    pickles, names, strings = _pickles(path), [], [""]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while True:  # old files hold several pickles, one after another
                memo = []
                for opcode, argument, _ in pickletools.genops(pickles):
                    if opcode.name == "STACK_GLOBAL":
                        names.append(".".join(strings[-2:]))
                    elif opcode.name == "MEMOIZE":
                        memo.append(strings[-1])
                    elif opcode.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
                        strings.append(memo[argument] if argument < len(memo) else "")
                    elif isinstance(argument, str):
                        strings.append(argument)
    except ValueError:  # the end, or the end of what can be read
        return names


def _pickles(path: Path) -> io.BytesIO:
    if not _is_archive(path):
        return io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))

"""FBPConvNet as its authors trained it, in MatConvNet: the layers' weights in a MATLAB file (``net-epoch-151.mat``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.weights.matlab_size import check_inflated
from priors.weights.networks import fill, unfilled

_EPSILON = 1e-4
"""What MatConvNet adds to a variance before it takes the square root that it keeps."""

_NORM_LAYER = "bnorm"
_UP_LAYER = "convt"
_TYPES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: _UP_LAYER,
    nn.BatchNorm2d: _NORM_LAYER,
}


def load_matconvnet(path: Path | str) -> FBPConvNet:
    """The network in a MATLAB file, on the CPU; its normalisation takes the batch's statistics, as the authors' does.

    Args:
        path: the MATLAB file, with a variable ``net`` whose ``layers`` are in the order of computation.

    Raises:
        ValueError: the file is missing, damaged or of another layout.
    """
    layers = _read_layers(Path(path))
    first = np.shape(_weights(layers[0], path)[0])
    levels = 1 + sum(layer["type"] == _UP_LAYER for layer in layers)
    width = first[-1] if first else 0
    network = unfilled(
        lambda: FBPConvNet(FBPConvNetConfig(width=width, levels=levels, legacy=True, matconvnet=True)), path
    )
    fill(network, _state(network, layers, path), path)
    return network


def _read_layers(path: Path) -> list[dict[str, Any]]:
    """The layers that have weights."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    check_inflated(path)
    try:
        content = scipy.io.loadmat(path, variable_names=["net"], simplify_cells=True)
    except NotImplementedError as error:
        raise ValueError(f"{path}: saved in MATLAB's format 7.3; save it again with -v7") from error
    except Exception as error:  # damaged bytes fail inside scipy's reader in as many ways as it has types
        raise ValueError(f"{path}: damaged, or no MATLAB file") from error
    net = content.get("net")
    layers = net.get("layers") if isinstance(net, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and "type" in layer for layer in layers):
        raise ValueError(f"{path}: no MatConvNet network 'net' with 'layers' in it")
    found = [layer for layer in layers if layer["type"] in _TYPES.values()]
    if not found:
        raise ValueError(f"{path}: no layer with weights in it")
    return found


def _state(network: FBPConvNet, layers: list[dict[str, Any]], path: Path | str) -> dict[str, Tensor]:
    """The network's state dict from the file's layers, matched in the order of computation."""
    modules = [(name, module) for name, module in network.named_modules() if _type_of(module)]
    types = [layer["type"] for layer in layers]
    if types != [_type_of(module) for _, module in modules]:
        raise ValueError(f"{path}: its layers {' '.join(types)[:200]} are not those of an FBPConvNet")
    state: dict[str, Tensor] = {}
    for (name, module), layer in zip(modules, layers, strict=True):
        values = _norm(layer, path) if layer["type"] == _NORM_LAYER else _convolution(module, layer, path)
        state |= {f"{name}.{key}": tensor for key, tensor in values.items()}
    return state


def _type_of(module: nn.Module) -> str | None:
    return next((name for kind, name in _TYPES.items() if isinstance(module, kind)), None)


def _convolution(module: nn.Module, layer: dict[str, Any], path: Path | str) -> dict[str, Tensor]:
    """Filters lie as rows, columns, then the two channel axes, the reverse of here; MATLAB drops axes of length 1."""
    filters, bias = _weights(layer, path)[:2]
    wanted = module.get_parameter("weight").shape
    there = (wanted[2], wanted[3], wanted[1], wanted[0])
    if [n for n in there if n > 1] != [n for n in filters.shape if n > 1]:
        raise ValueError(f"{path}: filters of {filters.shape}, where {there} are wanted")
    return {"weight": _tensor(filters.reshape(there).transpose(3, 2, 0, 1)), "bias": _tensor(bias.reshape(-1))}


def _norm(layer: dict[str, Any], path: Path | str) -> dict[str, Tensor]:
    """Moments are mean and standard deviation, the small number that keeps it from zero already in it."""
    gain, offset, *moments = _weights(layer, path)
    if len(moments) != 1 or moments[0].shape != (gain.size, 2):
        raise ValueError(f"{path}: a normalisation without its moments of {gain.size} channels")
    mean, deviation = moments[0].astype(np.float64).T
    return {
        "weight": _tensor(gain),
        "bias": _tensor(offset),
        "running_mean": _tensor(mean),
        "running_var": _tensor(np.maximum(deviation**2 - _EPSILON, 0)),
        "num_batches_tracked": torch.tensor(0),
    }


def _weights(layer: dict[str, Any], path: Path | str) -> list[NDArray[Any]]:
    cells = np.asarray(layer.get("weights"))
    weights = [np.asarray(array) for array in cells.flat] if cells.dtype == object else []
    if len(weights) < 2 or any(array.dtype.kind != "f" for array in weights):
        raise ValueError(f"{path}: a layer {layer['type']} without filters and offsets")
    return weights


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

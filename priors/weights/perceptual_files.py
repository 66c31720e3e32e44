"""Read trained perceptual networks from the files in which their authors publish them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from priors.networks.ct_perceptual import CTPerceptual
from priors.networks.medicalnet import MedicalNetPerceptual
from priors.networks.perceptual import LPIPS, STAGES, TriPlanePerceptual
from priors.networks.squeezenet import SqueezeNet
from priors.weights.restricted import read_pickled

KNOWN = (
    "perceptual weights are lpips.safetensors, torchvision's vgg16 file together with LPIPS' vgg.pth, torchvision's "
    "squeezenet1_1 and LPIPS' squeeze.pth in one file, MedicalNet's resnet_10_23dataset.pth, or ct-resnet152"
)

Perceptual = TriPlanePerceptual | MedicalNetPerceptual | CTPerceptual
"""A distance of volumes, and by ``of_slices`` of slices."""

_FIRST_STAGE = ("conv1.", "bn1.", "layer1.")
_COUNT = ".num_batches_tracked"
"""Of batches that a norm has seen: it has no effect, and not every file has it."""


def load_perceptual(path: Path | str, heads: Path | str | None = None, *, fraction: float | None = 0.2) -> Perceptual:
    """A trained perceptual loss of volumes.

    Args:
        path: LPIPS as one file (keys ``net.slice1.0.weight``, …, ``lin0.model.1.weight``, …); or VGG16 as torchvision
            publishes it (``features.0.weight``, …), with ``heads``; SqueezeNet 1.1 as torchvision publishes it, with
            LPIPS' heads for it in the same file; MedicalNet's ResNet-10; or the 3D ResNet-152 for CT, of which the
            first stage is enough. ``.safetensors``, or what ``torch.save`` writes.
        heads: LPIPS' ``vgg.pth`` (version 0.1: ``lin0.model.1.weight``, …); for VGG16 only.
        fraction: share of the slices that ``TriPlanePerceptual`` compares; without effect for networks in 3D.

    Raises:
        ValueError: a file is missing, unreadable, would run code, or holds something else.
    """
    path = Path(path)
    tensors = _read(path)
    if "features.3.squeeze.weight" in tensors and heads is None:
        return TriPlanePerceptual(_lpips_from_squeezenet(tensors, path), fraction)
    if "features.0.weight" in tensors:
        if heads is None:
            raise ValueError(f"{path}: VGG16 alone; give LPIPS' heads (vgg.pth) as well")
        return TriPlanePerceptual(_lpips_from_vgg16(tensors, path, Path(heads)), fraction)
    if heads is not None:
        raise ValueError(f"{path}: LPIPS' heads go with torchvision's vgg16 file, and this is none")
    if "net.slice1.0.weight" in tensors:
        lpips = LPIPS()
        _fill(lpips, tensors, path)
        return TriPlanePerceptual(lpips, fraction)
    if "layer1.0.conv3.weight" in tensors and heads is None:
        stage = CTPerceptual()
        counts = {name: count for name, count in stage.network.state_dict().items() if name.endswith(_COUNT)}
        _fill(stage.network, counts | {n: tensors[n] for n in tensors if n.startswith(_FIRST_STAGE)}, path)
        return stage
    if "layer4.0.conv1.weight" in tensors:
        encoder = {name: tensor for name, tensor in tensors.items() if not name.startswith("conv_seg.")}
        perceptual = MedicalNetPerceptual()
        _fill(perceptual.network, encoder, path)
        return perceptual
    raise ValueError(f"{path}: no perceptual network that is known here; {KNOWN}")


def _lpips_from_vgg16(tensors: Mapping[str, Tensor], path: Path, heads: Path) -> LPIPS:
    lpips = LPIPS()
    stages = {str(position): stage for stage, (_, positions) in STAGES.items() for position in positions}
    renamed = {}
    for name, tensor in tensors.items():
        part, _, layer = name.partition(".")
        if part == "features":  # the rest is the classifier, which is not needed
            renamed[f"{stages.get(layer.split('.')[0], 'features')}.{layer}"] = tensor
    _fill(lpips.net, renamed, path)
    children = {name: child for name, child in lpips.named_children() if name.startswith("lin")}
    _fill(nn.ModuleDict(children), _read(heads), heads)
    return lpips


def _lpips_from_squeezenet(tensors: Mapping[str, Tensor], path: Path) -> LPIPS:
    lpips = LPIPS(SqueezeNet())
    scaling = {f"scaling_layer.{name}": tensor for name, tensor in lpips.scaling_layer.state_dict().items()}
    _fill(lpips, scaling | {re.sub("^features", "net", name): tensor for name, tensor in tensors.items()}, path)
    return lpips


def _read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, without the wrapping and the prefix that data-parallel training adds."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {KNOWN}")
    content: object
    if path.suffix == ".safetensors":
        try:
            content = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged, or no file of weights") from error
    else:
        content = read_pickled(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no tensors by name; {KNOWN}")
    return {str(name).removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Exactly these tensors into the network; half precision is widened."""
    try:
        network.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"{path}: not the tensors of the network: {first[:200]}") from error

"""Segmentations that new volumes are generated for, and the heads that are shown them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets.identity import file_sha256
from priors.diffusion.anatomy import Size
from priors.diffusion.prior import LatentPrior, VoxelSize
from priors.generators.latent import LatentGenerator
from priors.networks.controlnet import ControlNet
from priors.weights.card import read_card
from priors.weights.networks import load_controlnet
from priors.weights.store import find_entries
from recon.acquisition.network_scale import network_axes
from recon.diffusion.controlnet_head import prior_of
from recon.diffusion.mask_hint import classes_of, hint_of, with_body
from recon.errors import InputError, input_errors
from recon.io.label_map import read_label_map
from recon.learned.mask_task import MaskTask, is_mask_task, mask_task_from_dict
from recon.scan.body_mask import body_mask
from recon.scan.label_map import LabelMap
from recon.scan.padding import centre, pad_to_multiple
from recon.scan.volume import Source, Volume, shape_text


@dataclass(frozen=True)
class MaskHead:
    """A head for segmentations with what belongs to it.

    Attributes:
        network: the head's network.
        prior: the latent prior that the head was trained on.
        task: the labels that the head knows.
        sha256: the hash of the head's tensors.
        classes: the classes of anatomy that the head learned, each with the usual voxel size (z, x, y) in mm.
    """

    network: ControlNet
    prior: LatentPrior
    task: MaskTask
    sha256: str
    classes: Mapping[str, VoxelSize]


def load_mask_head(file: str | Path, prior: str | None = None) -> MaskHead:
    """A head for segmentations with its prior, on the CPU.

    Args:
        file: the head's file, or the name of an installed head.
        prior: the name or folder of the head's prior; None for the installed one with its hash.

    Raises:
        InputError: no head, a damaged one or one for scans, or no prior that it was trained on.
    """
    with input_errors("`head`"):
        path = Path(file) if Path(file).is_file() else find_entries(str(file))[0].path
        network, card = load_controlnet(path).eval(), read_card(path)
        if not is_mask_task(network.config.task):
            raise ValueError(
                f"{path}: a head for scans ({network.config.task.get('task')}); one of the task mask is wanted"
            )
        task = mask_task_from_dict(network.config.task)
        classes = {name: (float(z), float(x), float(y)) for name, (z, x, y) in card.extra.get("classes", {}).items()}
    with input_errors("`prior`"):
        return MaskHead(network, prior_of(network, prior), task, card.sha256, classes)


@dataclass(frozen=True)
class MaskCondition:
    """What a volume is generated for.

    Attributes:
        labels: the segmentation, the body's outline among its labels where the head is told that.
        task: the labels that the head knows.
        sha256: the hash of the segmentation's file; empty for one made in memory.
        head_sha256: the hash of the head's tensors.
    """

    labels: LabelMap
    task: MaskTask
    sha256: str = ""
    head_sha256: str = ""

    @property
    def size(self) -> Size:
        """The size (z, x, y) in voxels of the segmentation."""
        z, y, x = self.labels.data.shape
        return z, x, y

    @property
    def spacing(self) -> VoxelSize:
        """The voxel size (z, x, y) in mm of the segmentation."""
        z, y, x = self.labels.spacing
        return z, x, y

    def grown_size(self, prior: LatentPrior) -> Size:
        """The size (z, x, y) in voxels, grown to what a prior takes."""
        multiple = _multiple(prior, self.task)
        z, x, y = (-(-edge // multiple) * multiple for edge in self.size)
        return z, x, y

    def hint(self, prior: LatentPrior) -> Tensor:
        """The hint of the head, (1, hint channels, z, x, y) on the prior's device."""
        classes = network_axes(classes_of(self.labels.data, self.task)).contiguous()
        grown = pad_to_multiple(classes, _multiple(prior, self.task), air=0)
        factor = grown.shape[0] // prior.latent_size(self.grown_size(prior))[0]
        return hint_of(self.task, grown, factor, lambda image: prior.encode(image[None, None])[0])[None].to(
            prior.device
        )

    def cut(self, image: Tensor) -> Tensor:
        """A (Z, X, Y) image of the grown size, cut back to the segmentation's."""
        return centre(image, self.size)

    def facts(self) -> dict[str, object]:
        """What a volume's JSON file says of it."""
        path = self.labels.path
        return {
            "file": str(path) if path else None,
            "sha256": self.sha256 or None,
            "labels": {name: number for number, name in sorted(self.task.named.items())},
            "voxels": {
                name: int((self.labels.data == number).sum()) for number, name in sorted(self.task.named.items())
            },
            "pooling": self.task.pooling,
        }


def read_condition(head: MaskHead, mask: Path, body: Path | None = None) -> MaskCondition:
    """A segmentation's file as what a volume is generated for.

    Args:
        head: the head that is shown it.
        mask: the NIfTI file of the segmentation.
        body: the NIfTI file of a CT image in HU on the same grid, whose outline becomes the body's label; None where
            the segmentation has that label, or the head is not told it.

    Raises:
        InputError: a file that cannot be used, another grid, labels that the head does not know, or no outline of the
            body where the head is told that.
    """
    labels = read_label_map(mask)
    if body is not None:
        labels = with_outline(labels, head.task, body, mask)
    check_labels(labels, head.task, mask)
    bare = labels.source and Source(mask, "nifti", labels.source.affine, labels.source.shape)
    return MaskCondition(replace(labels, source=bare), head.task, file_sha256(mask), head.sha256)


def check_labels(labels: LabelMap, task: MaskTask, mask: Path | str) -> None:
    """Refuse a segmentation that a head cannot be shown.

    Raises:
        InputError: labels that the head does not know, none at all, or no outline of the body where it is told that.
    """
    known = ", ".join(f"{number}={name}" for number, name in sorted(task.named.items()))
    unknown = [number for number in labels.labels if number not in task.named]
    if unknown:
        raise InputError(f"`mask` {mask}: the head does not know the label {unknown[0]}; it knows {known}")
    if not labels.labels:
        raise InputError(f"`mask` {mask}: every voxel is background; the head knows the labels {known}")
    if task.body is not None and task.body not in labels.labels:
        raise InputError(
            f"`mask` {mask}: no voxel has the label {task.body} of the body, which the head is told too; give a CT "
            "image on the same grid as `body`, and its outline is taken"
        )


def with_outline(labels: LabelMap, task: MaskTask, image: Path, mask: Path) -> LabelMap:
    """A segmentation with the outline of the body in a CT image, where it has no label.

    Raises:
        InputError: the head is not told the outline, or an image that cannot be used or lies on another grid.
    """
    from recon.io.nifti.volume import read_volume

    if task.body is None:
        raise InputError("`body`: has no effect with this head, which is not told the body's outline")
    volume = read_volume(image, "CT")
    if not labels.is_on_grid_of(volume):
        raise InputError(
            f"`mask` {mask}: on another grid ({_grid(labels)}) than `body` {image} ({_grid(volume)}); resample it by "
            "nearest neighbour"
        )
    indices = with_body(classes_of(labels.data, task), body_mask(volume.data), task)
    outline = indices == task.numbers.index(task.body)
    return replace(labels, data=torch.where(outline & (labels.data == 0), task.body, labels.data).to(torch.uint8))


def conditioned(head: MaskHead, condition: MaskCondition, controlnet_scale: float = 1.0) -> LatentGenerator:
    """The head's prior as a generator of volumes for a segmentation, on the prior's device.

    Raises:
        InputError: the prior is not the one that the head was trained on.
    """
    network = head.network.to(head.prior.device)
    with input_errors("`head`"):
        attached = head.prior.attach(network, condition.hint(head.prior), controlnet_scale)
    return LatentGenerator(head.prior, heads=(attached,))


def _multiple(prior: LatentPrior, task: MaskTask) -> int:
    """The number of voxels that edges are multiples of; hints of grey values are encoded."""
    return math.lcm(prior.size_multiple, prior.encoding_multiple if task.pooling == "paper" else 1)


def _grid(found: LabelMap | Volume) -> str:
    spacing = " x ".join(f"{step:.4g}" for step in found.spacing)
    return (
        f"{shape_text(found.data.shape)} voxels of {spacing} mm (z, y, x), its corner at {found.affine[:3, 3].round(1)}"
    )

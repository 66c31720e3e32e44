"""nnU-Net's raw data: one data set with all real and synthetic volumes, and the held-out cases beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.downstream.folds import Division
from benchmarks.downstream.segmentation_cases import CLASSES, read_real, read_synthetic, synthetic_file
from datasets.whole_file import whole_file
from recon.io.atomic import output_file
from recon.io.label_map import write_label_map
from recon.io.nifti.volume import write_volume
from recon.scan.label_map import LabelMap
from recon.scan.volume import Volume

NUMBER = 912
NAME = f"Dataset{NUMBER}_Fig12"
"""The data set's name; it lies in folders of its own, where no other has its number."""

_ENDING = ".nii.gz"


@dataclass(frozen=True)
class RawData:
    """The folders of the data set, as nnU-Net lays them out.

    Attributes:
        folder: the folder of the data set.
    """

    folder: Path

    def image(self, name: str) -> Path:
        """The file of a volume that trains; 0000 is its only channel."""
        return self.folder / "imagesTr" / f"{name}_0000{_ENDING}"

    def labels(self, name: str) -> Path:
        """The file of the segmentation of a volume that trains."""
        return self.folder / "labelsTr" / f"{name}{_ENDING}"

    @property
    def test_images(self) -> Path:
        """The folder of the volumes that are tested."""
        return self.folder / "imagesTs"

    def test_image(self, name: str) -> Path:
        """The file of a volume that is tested."""
        return self.test_images / f"{name}_0000{_ENDING}"

    def test_labels(self, name: str) -> Path:
        """The file of its true segmentation, which nnU-Net does not look at."""
        return self.folder / "labelsTs" / f"{name}{_ENDING}"


def write_raw(raw: RawData, division: Division, synthetic: Path | None, announce: Callable[[str], None]) -> None:
    """Write what is missing; ``dataset.json`` comes last, and says that all is there.

    Args:
        raw: the data set's folders, which belong to these data alone.
        division: who trains and who is tested.
        synthetic: the folder of synthetic volumes; None writes real ones alone.
        announce: called with lines for people.

    Raises:
        InputError: a volume or segmentation that cannot be used.
    """
    listed = raw.folder / "dataset.json"
    if listed.is_file():
        return
    announce(f"writing {len(division.training)} cases for training and {len(division.test)} for testing")
    for member in division.training:
        _write(raw.image(member.real), raw.labels(member.real), partial(read_real, member.case))
        if synthetic:
            file = synthetic_file(synthetic, member.case)
            _write(
                raw.image(member.synthetic),
                raw.labels(member.synthetic),
                partial(read_synthetic, file, member.case),
            )
    for name, case in division.named_test.items():
        _write(raw.test_image(name), raw.test_labels(name), partial(read_real, case))
    count = len(division.training) * (2 if synthetic else 1)
    with whole_file(listed) as temporary:
        temporary.write_text(json.dumps(dataset_json(count), indent=1) + "\n", encoding="utf-8")


def dataset_json(count: int) -> dict[str, object]:
    """What nnU-Net is told of the data: CT, so that grey values are normalised by those of the whole data set."""
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **CLASSES},
        "numTraining": count,
        "file_ending": _ENDING,
    }


def _write(image: Path, labels: Path, read: Callable[[], tuple[Volume, LabelMap]]) -> None:
    if image.is_file() and labels.is_file():
        return
    volume, segmentation = read()
    bare = Volume(volume.data, volume.affine, "CT")  # one grid, and no header of the source's, in both files
    with output_file(image, overwrite=True) as temporary:
        write_volume(temporary, bare, np.int16 if _is_whole(volume.data) else np.float32)
    with output_file(labels, overwrite=True) as temporary:
        write_label_map(temporary, LabelMap(segmentation.data, volume.affine))


def _is_whole(data: torch.Tensor) -> bool:
    """Whether int16 holds all values as they are."""
    low, high = (float(each) for each in torch.aminmax(data))
    return np.iinfo(np.int16).min <= low and high <= np.iinfo(np.int16).max and bool((data == data.round()).all())

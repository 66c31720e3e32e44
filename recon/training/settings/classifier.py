"""Settings of classifiers of volumes."""

from __future__ import annotations

from pydantic import model_validator

from priors.training.section import Section, setting
from recon.training.settings.samples import SliceAugmentation


class ClassifierTask(Section):
    """Whole volumes on one grid, as often of one class as of another."""

    size: tuple[int, int, int] = setting(
        (64, 128, 128), "(z, x, y) size to which every volume is brought whole", "voxels"
    )
    window: tuple[float, float] = setting(
        (-1350.0, 150.0), "lowest and highest value of CT that are told apart; MR is taken as it is", "HU"
    )
    augmentation: SliceAugmentation = SliceAugmentation()

    @model_validator(mode="after")
    def _is_possible(self) -> ClassifierTask:
        if min(self.size) < 1:
            raise ValueError(f"size {list(self.size)}: each must be 1 or more")
        if not self.window[0] < self.window[1]:
            raise ValueError(f"window {list(self.window)}: the lower value comes first")
        return self

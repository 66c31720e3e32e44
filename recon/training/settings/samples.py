"""What several networks' samples have in common: augmentation, and simulated scans."""

from __future__ import annotations

from dataclasses import replace

from priors.training.section import Section, setting
from recon.training.excerpts import Excerpts
from recon.training.patches import Augmentation


class SliceAugmentation(Section):
    """Random changes of slices and of stacks of slices; see :class:`recon.training.patches.Augmentation`."""

    flip: float = setting(0.5, "probability of a mirror image, left to right", ge=0, le=1)
    scale: float = setting(0.0, "largest relative change of size", ge=0, lt=0.5)
    rotation: float = setting(0.0, "largest rotation about the z axis", "radians", ge=0)
    noise: float = setting(0.0, "largest standard deviation of added noise", "network range", ge=0)
    shift: float = setting(0.0, "largest shift of all intensities", "network range", ge=0, lt=0.5)

    def build(self) -> Augmentation:
        """As the samples' value."""
        return Augmentation(self.flip, self.scale, self.rotation, self.noise, shift=self.shift)


class CubeAugmentation(SliceAugmentation):
    """Random changes of cubes, whose spacing along z may change too."""

    stretch: float = setting(0.0, "largest relative change of the spacing along z", ge=0, lt=0.9)

    def build(self) -> Augmentation:
        """As the samples' value."""
        return replace(super().build(), stretch=self.stretch)


class Scans(Section):
    """Simulated scans of the training volumes, see :class:`recon.training.excerpts.Excerpts`."""

    variants: int = setting(1, "simulated scans of each volume", ge=1)
    slices: int | None = setting(
        None, "thickness of the part that is scanned; null scans whole volumes", "slices", ge=1
    )
    coarse: float = setting(0.0, "share of training scans of which pixels are averaged two by two", ge=0, le=1)
    planes: float = setting(
        0.0, "share of training scans of coronal or sagittal slices (MR volumes of nearly cubic voxels)", ge=0, le=1
    )
    contrast: float = setting(
        0.0, "share of training scans whose grey values go through a drawn curve (MR)", ge=0, le=1
    )
    grain: float = setting(0.0, "share of training scans whose magnitudes are made noisier (MR)", ge=0, le=1)

    @property
    def excerpts(self) -> Excerpts:
        """The parts of training volumes that are scanned."""
        return Excerpts(self.slices, self.coarse, self.planes, self.contrast, self.grain)

    @property
    def held_out(self) -> Excerpts:
        """The parts of validation volumes that are scanned."""
        return Excerpts(self.slices)


class Shown(Section):
    """The images that a network is shown of a scan."""

    conditions: tuple[str, ...] | None = setting(
        None, "methods whose images the network is shown; null is filtered backprojection or the zero-filled image"
    )

"""A short training for nnU-Net, which finds the class in the folder that ``nnUNet_extTrainer`` names.

This file is copied into such a folder and imported there by nnU-Net; the suite itself never imports it.
"""

from __future__ import annotations

import os
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """nnU-Net's own training with fewer epochs and iterations, so that a CPU ends it.

    After the training nothing is segmented for nnU-Net's own figures, since the suite scores the held-out cases itself;
    and those are segmented once, not once for each of eight mirror images.
    """

    def initialize(self) -> None:
        """Set the lengths before the learning rates are planned by them."""
        self.num_epochs = int(os.environ["SHORT_TRAINER_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["SHORT_TRAINER_ITERATIONS"])
        self.num_val_iterations_per_epoch = 1
        super().initialize()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802 (nnU-Net's name)
        """Mirror while training alone."""
        found = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return found

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Leave it out."""

"""A short training for nnU-Net, which finds the class in the folder that ``nnUNet_extTrainer`` names.

This file is copied into such a folder and imported there by nnU-Net; the suite itself never imports it.
"""

from __future__ import annotations

import os

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """nnU-Net's own training with fewer epochs and iterations, so that a CPU ends it."""

    def initialize(self) -> None:
        """Set the lengths before the learning rates are planned by them."""
        self.num_epochs = int(os.environ["SHORT_TRAINER_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["SHORT_TRAINER_ITERATIONS"])
        self.num_val_iterations_per_epoch = 1
        super().initialize()

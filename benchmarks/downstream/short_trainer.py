"""A short training for nnU-Net, which finds the class in the folder that ``nnUNet_extTrainer`` names.

This file is copied into such a folder and imported there by nnU-Net; the suite itself never imports it.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

_MOST_PATCHES = {2: 8, 3: 2}
"""Largest batch, by the dimensions of a patch; 2 is the smallest that nnU-Net plans."""


class ShortTrainer(nnUNetTrainer):
    """nnU-Net's own training with fewer epochs and iterations, in small batches, so that a CPU ends it.

    A network learns more from many small batches than from few large ones of as many patches. After the training
    nothing is segmented for nnU-Net's own figures, since the suite scores the held-out cases itself; and those are
    segmented once, not once for each mirror image.
    """

    def initialize(self) -> None:
        """Set the lengths before the learning rates are planned by them."""
        if threads := os.environ.get("OMP_NUM_THREADS"):  # nnU-Net takes all cores, whatever else they do
            torch.set_num_threads(int(threads))
        self.num_epochs = int(os.environ["SHORT_TRAINER_EPOCHS"])
        self.num_iterations_per_epoch = int(os.environ["SHORT_TRAINER_ITERATIONS"])
        self.num_val_iterations_per_epoch = 1
        configuration = self.configuration_manager.configuration
        most = _MOST_PATCHES[len(configuration["patch_size"])]
        configuration["batch_size"] = min(configuration["batch_size"], most)
        super().initialize()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802 (nnU-Net's name)
        """Mirror while training alone."""
        found = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return found

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """In bfloat16 on processors that multiply in it."""
        capable: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not before torch 2.10
        fast = self.device.type == "cpu" and bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            return super().train_step(batch)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Leave it out."""

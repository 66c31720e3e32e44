"""Learning to reconstruct by unrolled iterations, on scans that are simulated at every step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.unrolled import LearnedPrimalDual, MoDL
from priors.networks.varnet import VarNet
from priors.training.batches import Sample, derived_seed
from priors.training.learner import Learner, Losses
from priors.training.loop import Validated
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.acquisition.network_scale import MRScale, mr_scale, network_scale, patient_axes
from recon.learned.unrolled_image import full_precision, modl_image, primal_dual_image
from recon.learned.varnet_image import varnet_image
from recon.methods.conditions import condition
from recon.scan.measurement import Measurement
from recon.scan.units import ATTENUATION_UNIT, hu_to_attenuation
from recon.scan.volume import Modality, Volume
from recon.solvers.slabs import in_slabs, zero_filled
from recon.training.prepared import Prepared
from recon.training.stacks import ProjectorCache
from recon.training.validation import Validation, evaluate_network, mean_figures, side_by_side

Loss = Literal["l1", "l2"]


class UnrolledLearner(Learner):
    """Samples ``stack`` and ``spacing``, see :class:`recon.training.stacks.StackSource`.

    Args:
        net: the unrolled network to train.
        config: the configuration of the network, as plain values.
        loss: mean absolute error or mean square.
    """

    modality: ClassVar[Modality]

    def __init__(self, net: nn.Module, config: dict[str, Any], loss: Loss):
        super().__init__()
        self.net, self._config, self._loss = net, config, loss

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        losses = []
        for stack, spacing, seed in zip(batch["stack"], batch["spacing"], batch["seed"], strict=True):
            output, target = self._pair(self._volume(stack, spacing), int(seed), stack.device)
            losses.append((functional.l1_loss if self._loss == "l1" else functional.mse_loss)(output, target))
        return {"total": torch.stack(losses).mean()}

    def _volume(self, stack: Tensor, spacing: Tensor) -> Volume:
        """(slices, X, Y) of a sample as a volume in patient space."""
        dz, dx, dy = spacing.tolist()
        data = patient_axes(stack.detach().cpu()).contiguous()
        return Volume(data, np.diag([dx, dy, dz, 1.0]), self.modality)

    def model_error(self, sample: Sample, seed: int) -> float | None:
        """The relative model error of a simulated scan of a sample; None where it has none or it is not known."""
        return None

    @abstractmethod
    def _pair(self, volume: Volume, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Output and target of one simulated scan, in units where the network range has the width 1."""

    @abstractmethod
    def reconstruct(self, net: nn.Module, volume: Volume, seed: int, slices: int) -> tuple[Tensor, Tensor, Tensor]:
        """First image, reconstruction and ground truth of a simulated scan, (Z, X, Y), network range, on the CPU."""

    def card(self) -> dict[str, Any]:
        return {"config": self._config, "extra": {}}


class PrimalDualLearner(UnrolledLearner):
    """Learned primal-dual on simulated CT.

    Args:
        net, config, loss: the arguments of :class:`UnrolledLearner`.
        acquisition: the scans that are simulated.
        start: name of the method whose image the iterations start from.
    """

    kind = "primal-dual"
    modality = "CT"

    def __init__(
        self, net: LearnedPrimalDual, config: dict[str, Any], loss: Loss, acquisition: CTAcquisition, start: str
    ):
        super().__init__(net, config, loss)
        self._acquisition, self._start, self._projectors = acquisition, start, ProjectorCache()

    def _measure(self, volume: Volume, seed: int, device: torch.device) -> tuple[Measurement, Tensor]:
        """A scan, and the image it starts from."""
        with torch.no_grad(), full_precision(device):
            measurement = self._acquisition.simulate(volume, seed, device, self._projectors.projector)
            start = condition("CT", self._start, measurement).mean
        return measurement, start

    def model_error(self, sample: Sample, seed: int) -> float | None:
        if self._acquisition.simulation == "ideal":
            return None
        volume = self._volume(sample["stack"], sample["spacing"])
        return self._acquisition.simulate(volume, seed, "cpu", self._projectors.projector).protocol.model_error

    def _pair(self, volume: Volume, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        assert isinstance(self.net, LearnedPrimalDual)
        output = primal_dual_image(self.net, *self._measure(volume, seed, device))
        return output / ATTENUATION_UNIT, hu_to_attenuation(volume.data.to(device)) / ATTENUATION_UNIT

    @torch.no_grad()
    def reconstruct(self, net: nn.Module, volume: Volume, seed: int, slices: int) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(net, LearnedPrimalDual)
        measurement, start = self._measure(volume, seed, next(net.parameters()).device)
        parts = [primal_dual_image(net, part, start[z]) for z, part in in_slabs(measurement, slices)]
        scale = network_scale(measurement)
        before, after = (scale.to_network(image).cpu() for image in (start, torch.cat(parts)))
        return before, after, scale.truth(volume)


class MoDLLearner(UnrolledLearner):
    """MoDL on simulated k-space of one or several coils; arguments as for :class:`PrimalDualLearner`."""

    kind = "modl"
    modality = "MR"

    def __init__(self, net: MoDL, config: dict[str, Any], loss: Loss, acquisition: MRAcquisition, start: str):
        super().__init__(net, config, loss)
        self._acquisition, self._start = acquisition, start

    def _measure(self, volume: Volume, seed: int, device: torch.device) -> tuple[Measurement, Tensor, MRScale, Tensor]:
        """A scan, the image it starts from, its scale, and the complex image that it should become."""
        with torch.no_grad(), full_precision(device):
            measurement, image = self._acquisition.simulate_with_image(volume, seed, device)
            start = condition("MR", self._start, measurement).mean
            return measurement, start, mr_scale(measurement), image

    def _pair(self, volume: Volume, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        assert isinstance(self.net, MoDL)
        measurement, start, scale, image = self._measure(volume, seed, device)
        output = modl_image(self.net, measurement, start, scale.magnitude) / scale.magnitude
        return torch.view_as_real(output), torch.view_as_real(image / scale.magnitude)

    @torch.no_grad()
    def reconstruct(self, net: nn.Module, volume: Volume, seed: int, slices: int) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(net, MoDL)
        measurement, start, scale, _ = self._measure(volume, seed, next(net.parameters()).device)
        parts = [modl_image(net, part, start[z], scale.magnitude) for z, part in in_slabs(measurement, slices)]
        before, after = (scale.to_network(image).cpu() for image in (start, torch.cat(parts)))
        return before, after, scale.truth(volume)


class VarNetLearner(UnrolledLearner):
    """The variational network on simulated k-space; what it starts from is the k-space itself.

    Args:
        net, config, loss: the arguments of :class:`UnrolledLearner`.
        acquisition: the scans that are simulated.
    """

    kind = "varnet"
    modality = "MR"

    def __init__(self, net: VarNet, config: dict[str, Any], loss: Loss, acquisition: MRAcquisition):
        super().__init__(net, config, loss)
        self._acquisition = acquisition

    def _pair(self, volume: Volume, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
        assert isinstance(self.net, VarNet)
        with torch.no_grad(), full_precision(device):
            measurement, image = self._acquisition.simulate_with_image(volume, seed, device)
            scale = mr_scale(measurement).magnitude
        with full_precision(device):  # Fourier transforms of most devices know no half precision
            output = varnet_image(self.net, measurement, scale) / scale
        return torch.view_as_real(output), torch.view_as_real(image / scale)

    @torch.no_grad()
    def reconstruct(self, net: nn.Module, volume: Volume, seed: int, slices: int) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(net, VarNet)
        measurement = self._acquisition.simulate(volume, seed, next(net.parameters()).device)
        scale = mr_scale(measurement)
        parts = [varnet_image(net, part, scale.magnitude) for _, part in in_slabs(measurement, slices)]
        before, after = (scale.to_network(image).cpu() for image in (zero_filled(measurement), torch.cat(parts)))
        return before, after, scale.truth(volume)


def unrolled_validation(learner: UnrolledLearner, volumes: Sequence[Prepared], slices: int) -> Validation | None:
    """PSNR and SSIM of whole volumes from simulated scans, in the metrics of the benchmarks."""
    if not volumes:
        return None

    def validate(network: nn.Module) -> Validated:
        figures, picture = [], np.zeros((1, 1))
        for prepared in volumes:
            seed = derived_seed(prepared.case.id, "scan", 0)
            before, after, truth = learner.reconstruct(network, prepared.volume(), seed, slices)
            figures.append(evaluate_network(truth, after, prepared.modality))
            middle = len(truth) // 2
            picture = side_by_side(before[middle], after[middle], truth[middle], frame=prepared.frame)
        return Validated(mean_figures(figures), {"reconstruction": picture})

    return validate

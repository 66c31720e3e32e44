"""An ADM network as the sampling loops want it: images in, noise out, a few at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_unet import ADMUNet


class EpsilonModel:
    """Estimates noise without gradients.

    Args:
        net: the noise estimator, in eval mode on its device.
        diffusion: the schedule that it was trained with.
        batch: most images that the network is given at once.
        precision: the precision of convolutions and matrix products; None is that of the parameters.

    Raises:
        ValueError: no image at once.
    """

    def __init__(
        self, net: ADMUNet, diffusion: GaussianDiffusion, batch: int = 8, precision: torch.dtype | None = None
    ) -> None:
        if batch < 1:
            raise ValueError(f"a batch of {batch} images; at least 1 is needed")
        self.net, self.diffusion, self._batch, self._precision = net, diffusion, batch, precision

    def eps(self, x: Tensor, t: int | Tensor, condition: Tensor | None = None) -> Tensor:
        """The noise in images.

        Args:
            x: (B, C, H, W) noisy images.
            t: their step in the training's count, one for all or (B,).
            condition: (B, conditions, H, W), or None for a prior without.

        Returns:
            (B, C, H, W).

        Raises:
            ValueError: as :meth:`priors.networks.adm_unet.ADMUNet.estimate`.
        """
        return torch.cat([noise for noise, _ in self._estimates(x, t, condition)])

    def variance_fraction(self, x: Tensor, t: int | Tensor, condition: Tensor | None = None) -> Tensor:
        """The learned variance's place between its bounds, -1 to 1, (B, C, H, W); arguments as for :meth:`eps`.

        Raises:
            ValueError: as there, or the network has learned no variance.
        """
        fractions = [fraction for _, fraction in self._estimates(x, t, condition) if fraction is not None]
        if not fractions:
            raise ValueError("the network has learned no variance")
        return torch.cat(fractions)

    @torch.no_grad()
    def _estimates(self, x: Tensor, t: int | Tensor, condition: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
        steps = torch.as_tensor(t, device=x.device).expand(len(x)).split(self._batch)
        conditions = [None] * len(steps) if condition is None else condition.split(self._batch)
        parts = zip(x.split(self._batch), steps, conditions, strict=True)
        with torch.autocast(x.device.type, self._precision, enabled=self._precision is not None):
            found = [self.net.estimate(images, times, given) for images, times, given in parts]
        return [(noise.to(x.dtype), fraction) for noise, fraction in found]

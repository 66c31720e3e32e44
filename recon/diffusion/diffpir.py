"""DiffPIR: denoise, an exact proximal step on the data, noise again.

Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration" (2023), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from recon.diffusion.dds import AlphaBar, Estimate, Noise, OnStep

Proximal = Callable[[Tensor, float], Tensor]
"""(x0, rho) to argmin ‖Ax − y‖² + rho ‖x − x0‖²."""


def sample(
    estimate: Estimate,
    x: Tensor,
    alpha_bar: AlphaBar,
    times: Sequence[int],
    proximal: Proximal,
    lam_sigma2: float,
    zeta: float,
    noise: Noise,
    on_step: OnStep | None = None,
) -> Tensor:
    """DiffPIR.

    Args:
        estimate: the noise estimator.
        x: (B, C, H, W) noise to start from.
        alpha_bar: the schedule's cumulative product of signal shares.
        times: descending steps.
        proximal: the data-consistency step; rho = ``lam_sigma2`` / sigma_t², with sigma_t² = (1 − abar) / abar.
        lam_sigma2: lambda times the variance of the data's noise.
        zeta: share of the noise's variance that is fresh at each step.
        noise: the source of noise, as for :func:`recon.diffusion.dds.sample`.
        on_step: progress.

    Returns:
        The last estimate after its data-consistency step.
    """
    for done, (t, before) in enumerate(zip(times, [*times[1:], -1], strict=True), start=1):
        now, then = alpha_bar(t), alpha_bar(before)
        x0 = (x - math.sqrt(1 - now) * estimate(x, t)) / math.sqrt(now)
        x0 = proximal(x0, lam_sigma2 * now / max(1 - now, 1e-12))
        if before < 0:
            x = x0
        else:
            eps = (x - math.sqrt(now) * x0) / math.sqrt(1 - now)
            mixed = math.sqrt(1 - zeta) * eps + math.sqrt(zeta) * noise(x)
            x = math.sqrt(then) * x0 + math.sqrt(1 - then) * mixed
        if on_step:
            on_step(done, len(times))
    return x

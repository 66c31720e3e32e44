# %% [markdown]
# # MR with several coils
#
# An undersampled scan with eight receive coils: what the operators are, how coil sensitivities come about, and three ways
# to reconstruct.

# %%
import numpy as np
import torch

import recon
from datasets.sets.phantom import PhantomSet, voxels

# %% [markdown]
# ## A head of a phantom as an MR magnitude
#
# The phantom is a random anatomy in HU; its tissues get grey values as if they were of a T1-weighted scan.

# %%
case = PhantomSet(count=1, seed=2, size=(8, 64, 64), spacing=(5.0, 3.6, 3.6), anatomy="head").cases()[0]
hu, _ = voxels(case)
grey = np.interp(hu, [-1000, -150, -80, 0, 60, 300, 1000], [0, 0, 900, 250, 700, 200, 50])
head = recon.as_volume(grey, "MR", spacing=(5.0, 3.6, 3.6))
head

# %% [markdown]
# ## The scan
#
# Poisson-disc sampling at four times acceleration, eight coils. The head is scanned as a continuous object with a smooth
# phase, finer than the grid, with noise: the operator that reconstructs did not make the data.

# %%
scan = recon.measure_mr(head, mask="poisson", accel=4, calib=16, mask_seed=1, coils=8, seed=1)
print(*scan.measurement.protocol.sentences, sep="\n")
scan.measurement

# %% [markdown]
# The operator maps an image (z, y, x) to data (z, coils, y, x) and knows its exact adjoint.

# %%
a, y = scan.measurement.operator, scan.measurement.y
x = torch.randn(a.domain, dtype=a.dtype)
left = torch.vdot(a(x).flatten(), y.flatten())
right = torch.vdot(x.flatten(), a.H(y).flatten())
print(a.domain, "to", a.range, "| adjoint exact to", f"{float((left - right).abs() / left.abs()):.1e}")

# %% [markdown]
# ## Three ways

# %%
outcomes = {
    name: recon.reconstruct(scan.measurement, scan.grid, name, truth=scan.truth)
    for name in ("zero-filled", "cg-sense", "l1-wavelet")
}
for name, each in outcomes.items():
    print(f"{name:12} PSNR {each.metrics['psnr']:.1f} dB, SSIM {each.metrics['ssim']:.3f}, {each.seconds:.1f} s")

# %%
outcomes["l1-wavelet"].plot(index=4)

# %% [markdown]
# ## The data can be asked too
#
# The residual over the noise says whether an image explains the data: about 1 is as it should be.

# %%
for name, each in outcomes.items():
    residual = torch.linalg.vector_norm(a(each.answer.mean.to(a.dtype)) - y) / (y != 0).sum().sqrt()
    print(f"{name:12} residual over sigma {float(residual / scan.measurement.noise_level):.2f}")

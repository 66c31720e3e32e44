# %% [markdown]
# # A sinogram from a lab scanner
#
# A lab scanner writes counts, readings without an object (flats) and without a beam (darks), some cells are dead, and the
# axis of rotation does not fall on the middle of the detector. This notebook makes such files of a known object, and
# turns them into an image.

# %%
from pathlib import Path

import numpy as np

import recon

rng = np.random.default_rng(1)
views, cells, pitch = 60, 80, 1.25  # pitch in mm, at the detector
source_isocentre, source_detector = 200.0, 300.0  # mm
shift = 1.7  # mm: where the axis of rotation falls, from the middle of the detector

# %% [markdown]
# ## The object: a rod of plastic with two holes and a wire
#
# Each is a disc with centre, radius (mm) and attenuation (1/mm) on top of what is around it. The length of every ray in a
# disc is known, so that no operator of the suite makes these data.

# %%
discs = [(0, 0, 24, 0.02), (8, 6, 5, -0.02), (-9, 2, 3, -0.02), (2, -12, 2.5, 0.08)]
beta = np.radians(np.arange(views) * 360 / views)
position = (np.arange(cells) - (cells - 1) / 2) * pitch - shift
source = source_isocentre * np.stack(
    [np.sin(beta), -np.cos(beta)], -1
)  # at the bottom at angle 0, then counter-clockwise
axis = np.stack([np.cos(beta), np.sin(beta)], -1)
middle = source * (1 - source_detector / source_isocentre)
ray = middle[:, None] + position[None, :, None] * axis[:, None] - source[:, None]
ray /= np.linalg.norm(ray, axis=-1, keepdims=True)

line = np.zeros((views, cells))
for x, y, radius, mu in discs:
    to_disc = np.array([x, y]) - source[:, None]
    distance = to_disc[..., 0] * ray[..., 1] - to_disc[..., 1] * ray[..., 0]
    line += mu * 2 * np.sqrt(np.clip(radius**2 - distance**2, 0, None))

# %% [markdown]
# ## What the detector writes

# %%
gain = 1 + 0.03 * rng.standard_normal(cells)  # of each cell
gain[50] = 0  # a dead one
flats = rng.poisson(2e4 * gain, (10, cells)) + 100.0
darks = 100 + rng.standard_normal((10, cells))
counts = rng.poisson(2e4 * gain * np.exp(-line)) + 100.0
np.save("counts.npy", counts)
np.save("flats.npy", flats)
np.save("darks.npy", darks)
np.savetxt("angles.txt", np.degrees(beta))
geometry = """type: fan
source_isocentre_mm: 200
source_detector_mm: 300
pitch_mm: 1.25
"""
_ = Path("scanner.yaml").write_text(geometry)

# %% [markdown]
# ## Import
#
# On the command line this is
#
# ```
# recon import counts.npy --flat flats.npy --dark darks.npy --angles angles.txt --geometry scanner.yaml --centre auto -o scan.h5
# ```

# %%
request = recon.ImportRequest(
    (Path("counts.npy"),),
    geometry="scanner.yaml",
    flat="flats.npy",
    dark="darks.npy",
    angles="angles.txt",
    centre="auto",
)
sinogram = recon.import_projections(request)
sinogram

# %% [markdown]
# The notices below the picture say what was found: the axis near 1.7 mm, the dead cell, and the photons that the flats
# tell, by which the data are weighted from here on.
#
# ## Reconstruct

# %%
scan = recon.measure_ct(sinogram)
fbp = recon.reconstruct(scan.measurement, scan.grid, "fbp", unit="1/cm")
tv = recon.reconstruct(scan.measurement, scan.grid, "tv", unit="1/cm")
tv

# %% [markdown]
# Attenuation is in 1/cm here. The rod has 0.2, the holes 0 and the wire 1.0.

# %%
size = tv.result.spacing[1]
image = tv.result.data[0].numpy()
rows, columns = image.shape


def value(x: float, y: float) -> float:
    """The value at a place in mm."""
    return float(image[round((rows - 1) / 2 + y / size), round((columns - 1) / 2 + x / size)])


found = {"rod": value(-5, 14), "large hole": value(8, 6), "small hole": value(-9, 2), "wire": value(2, -12)}
{name: round(each, 3) for name, each in found.items()}

# %%
tv.plot()

# %%
recon.save("rod", [fbp, tv])
sorted(path.name for path in Path("rod").iterdir())

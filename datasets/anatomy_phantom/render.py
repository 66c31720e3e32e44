"""From a seed to a scan: an anatomy, its texture, the noise of a scanner."""

from __future__ import annotations

import numpy as np

from datasets.anatomy_phantom.abdomen import paint_abdomen
from datasets.anatomy_phantom.body import Body, paint_body, paint_table
from datasets.anatomy_phantom.canvas import Canvas, smooth_noise
from datasets.anatomy_phantom.chest import paint_chest
from datasets.anatomy_phantom.constitution import UNTOLD, Constitution
from datasets.anatomy_phantom.head import paint_head
from datasets.anatomy_phantom.limbs import paint_limbs
from datasets.anatomy_phantom.opacities import paint_opacities
from datasets.anatomy_phantom.skeleton import paint_pelvis, paint_ribs, paint_spine

TRUNKS = ("torso", "chest", "abdomen")
"""Of a chest the lungs are seen, of an abdomen the kidneys, of a torso any part."""

ANATOMIES = (*TRUNKS, "head", "limbs")
LOWEST, HIGHEST = -1024, 3071
"""HU of a scanner with 12 bits."""

_CENTRES = {
    "torso": (-330.0, 170.0),
    "chest": (70.0, 120.0),
    "abdomen": (-140.0, -80.0),
    "head": (-80.0, 10.0),
    "limbs": (-200.0, 200.0),
}
_BEND = dict.fromkeys(TRUNKS, 5.0) | {"head": 1.5, "limbs": 3.0}


def render(
    anatomy: str,
    seed: int,
    index: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    opacities: bool = False,
    constitution: Constitution = UNTOLD,
) -> np.ndarray:
    """One anatomy as (z, y, x) int16 HU; x to the Right, y to the Anterior, z to the Superior.

    The same arguments give the same voxels everywhere. The anatomy itself does not depend on the grid, but for a
    trunk that would be wider than it: that is made to fit.

    Args:
        anatomy: one of ``ANATOMIES``; which part of it is seen is drawn.
        seed, index: the seed of a set, and the index of the case in it.
        shape: (z, y, x) voxels.
        spacing: (z, y, x) mm.
        opacities: whether there are opacities in the lungs of a chest; everything else is as without them.
        constitution: what age and sex do to a trunk.
    """
    canvas, rng, noise = _painted(anatomy, seed, index, shape, spacing, opacities, constitution)
    return _scan(canvas, rng, noise)


def render_labels(
    anatomy: str,
    seed: int,
    index: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    constitution: Constitution = UNTOLD,
) -> np.ndarray:
    """The label map of what :func:`render` gives for the same arguments, (z, y, x) uint8.

    The labels are those of :data:`datasets.anatomy_phantom.abdomen.LABELS`; heads and limbs have none.
    """
    return _painted(anatomy, seed, index, shape, spacing, constitution=constitution)[0].labels


def _painted(
    anatomy: str,
    seed: int,
    index: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    opacities: bool = False,
    constitution: Constitution = UNTOLD,
) -> tuple[Canvas, np.random.Generator, np.random.Generator]:
    """The anatomy before it is scanned, and the generators of what is drawn and of noise."""
    drawn, noisy = np.random.SeedSequence([seed, index]).spawn(2)
    rng, noise = np.random.Generator(np.random.PCG64(drawn)), np.random.Generator(np.random.PCG64(noisy))
    centre = float(rng.uniform(*_CENTRES[anatomy]))
    dz, dy, dx = (step / constitution.size for step in spacing)  # a body of half the size on twice as coarse a grid
    canvas = Canvas(shape, (dz, dy, dx), rng, bend=_BEND[anatomy], offset=(centre, 0.0, 0.0))
    if anatomy in TRUNKS:
        body = _paint_torso(canvas, rng, noise, constitution)
        if opacities:
            paint_opacities(body, np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 3]))))
    elif anatomy == "head":
        paint_head(canvas, rng, noise)
    else:
        paint_limbs(canvas, rng)
    return canvas, rng, noise


def _paint_torso(
    canvas: Canvas, rng: np.random.Generator, noise: np.random.Generator, constitution: Constitution
) -> Body:
    widest = 0.46 * canvas.spacing[2] * canvas.hu.shape[2]
    half_width = min(rng.uniform(*constitution.widths), widest)
    body = paint_body(canvas, rng, half_width=half_width, constitution=constitution)
    if rng.uniform() < 0.6:
        paint_table(body)
    paint_chest(body, noise)
    paint_abdomen(body)
    paint_pelvis(body)
    paint_ribs(body)
    paint_spine(body)
    return body


def _scan(canvas: Canvas, rng: np.random.Generator, noise: np.random.Generator) -> np.ndarray:
    """Texture where there is tissue, correlated noise everywhere, whole numbers."""
    shape, spacing = canvas.hu.shape, canvas.spacing
    tissue = np.clip((canvas.hu + 300) / 200, 0, 1)
    canvas.hu += rng.uniform(3, 9) * tissue * smooth_noise(shape, _voxels(2.5, spacing), noise)
    canvas.hu += rng.uniform(2, 6) * tissue * smooth_noise(shape, _voxels(12.0, spacing), noise)
    canvas.hu += rng.uniform(4, 16) * smooth_noise(shape, (0.0, 0.6, 0.6), noise)
    return np.rint(np.clip(canvas.hu, LOWEST, HIGHEST)).astype(np.int16)


def _voxels(length: float, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
    return length / spacing[0], length / spacing[1], length / spacing[2]

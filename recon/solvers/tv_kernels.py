"""The steps of :mod:`recon.solvers.tv` on a CPU, as compiled loops that read and write each volume once.

Arguments that both take: ``ahead`` (z, y, x), 2 x⁺ − x; ``field`` (3, z, y, x), the dual variable of the gradient;
``weights`` (3,), the weights of the axes z, y, x; ``relaxation``, the factor of over-relaxation; ``first``, ``end``,
the slices that are taken. All are of one type.
"""

from __future__ import annotations

import numpy as np

from physics.compiled import compiled


@compiled
def primal_step(x, ahead, field, step, weights, relaxation, sums, first, end):  # type: ignore[no-untyped-def]
    """Turn ``ahead``, Aᵀ of the data's dual variable, into 2 x⁺ − x and relax x; see ``tv_steps.primal_step``.

    Args:
        x: (z, y, x) the image.
        ahead, field, weights, relaxation, first, end: arguments of both loops, see the head of this file.
        step: (z, y, x) or (1, y, x).
        sums: (z, 2) is given Σ (x⁺ − x)² and Σ x² of each slice, float64.
    """
    _, rows, columns = x.shape
    wz, wy, wx = weights[0], weights[1], weights[2]
    zero, two = x.dtype.type(0), x.dtype.type(2)
    nothing = np.zeros(columns, x.dtype)
    for k in range(first, end):
        change, square = 0.0, 0.0
        for j in range(rows):
            old, new, size = x[k, j], ahead[k, j], step[k if len(step) > 1 else 0, j]
            fz, fy, fx = field[0, k, j], field[1, k, j], field[2, k, j]
            below = field[0, k - 1, j] if k > 0 else nothing
            before = field[1, k, j - 1] if j > 0 else nothing
            for i in range(columns):
                new[i] -= wz * (fz[i] - below[i]) + wy * (fy[i] - before[i]) + wx * fx[i]
            for i in range(1, columns):
                new[i] += wx * fx[i - 1]
            for i in range(columns):
                new[i] = max(old[i] - size[i] * new[i], zero) - old[i]
            for i in range(columns):
                change += new[i] * new[i]
                square += old[i] * old[i]
            for i in range(columns):
                moved, start = new[i], old[i]
                new[i] = start + two * moved
                old[i] = start + relaxation * moved
        sums[k, 0], sums[k, 1] = change, square


@compiled
def field_step(field, ahead, step, radius, weights, relaxation, first, end):  # type: ignore[no-untyped-def]
    """Relaxed dual step of the gradient's norm; see ``tv_steps.field_step``."""
    depth, rows, columns = ahead.shape
    one = ahead.dtype.type(1)
    wz, wy, wx = step * weights[0], step * weights[1], step * weights[2]
    kept, inverse = one - relaxation, one / radius
    last = columns - 1
    for k in range(first, end):
        for j in range(rows):
            fz, fy, fx = field[0, k, j], field[1, k, j], field[2, k, j]
            here = ahead[k, j]
            above = ahead[k + 1, j] if k + 1 < depth else here
            after = ahead[k, j + 1] if j + 1 < rows else here
            for i in range(last):
                z = fz[i] + wz * (above[i] - here[i])
                y = fy[i] + wy * (after[i] - here[i])
                x = fx[i] + wx * (here[i + 1] - here[i])
                shrink = relaxation / max(np.sqrt(z * z + y * y + x * x) * inverse, one)
                fz[i] = kept * fz[i] + shrink * z
                fy[i] = kept * fy[i] + shrink * y
                fx[i] = kept * fx[i] + shrink * x
            z = fz[last] + wz * (above[last] - here[last])
            y = fy[last] + wy * (after[last] - here[last])
            shrink = relaxation / max(np.sqrt(z * z + y * y) * inverse, one)
            fz[last] = kept * fz[last] + shrink * z
            fy[last] = kept * fy[last] + shrink * y

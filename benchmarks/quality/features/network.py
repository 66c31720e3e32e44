"""What compares volumes by features: one protocol for trained networks and plain statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

Volumes = Tensor | Sequence[Tensor]
"""(n, Z, X, Y) in [-1, 1]: a tensor, or a sequence that reads each (Z, X, Y) when it is asked for."""

VoxelSize = tuple[float, float, float]
"""(z, x, y) in millimetres."""


class FeatureNetwork(Protocol):
    """A function from a volume to a fixed number of features.

    Attributes:
        name: the name of the features, which stands beside every figure made with them.
        dims: the number of features.
        sha256: the hash of the network's tensors or file; "" for features without a network.
    """

    @property
    def name(self) -> str: ...

    @property
    def dims(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def features(self, volumes: Tensor, spacing: VoxelSize) -> np.ndarray:
        """The features of volumes.

        Args:
            volumes: (n, Z, X, Y) in [-1, 1]; X runs to the right, Y to the anterior, Z to the superior.
            spacing: the voxel size.

        Returns:
            (n, dims) float64.
        """
        ...


def extract(
    volumes: Volumes,
    spacing: VoxelSize,
    features: FeatureNetwork,
    *,
    on_volume: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The features of many volumes, taken one at a time: (n, dims) float64.

    Args:
        volumes: the volumes in [-1, 1].
        spacing: their voxel size.
        features: the network.
        on_volume: is told how many of how many volumes are done.

    Raises:
        ValueError: a volume with NaN or infinity.
    """
    found = np.empty((len(volumes), features.dims))
    for number in range(len(volumes)):
        volume = volumes[number]
        if not volume.isfinite().all():
            raise ValueError(f"volume {number + 1} of {len(volumes)} has NaN or infinity in it: it has no features")
        found[number] = features.features(volume[None], spacing)[0]
        if on_volume is not None:
            on_volume(number + 1, len(volumes))
    return found

"""The encoders of HA-GAN, which are trained beside the generator: slabs to features, and features to a latent."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from priors.networks.hagan.config import HAGANConfig, group_norm


class HAGANEncoder(nn.Module):
    """A slab to its features, the reverse of the generator at full resolution.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.conv1, self.bn1 = _halving(1, w), group_norm(w)
        self.conv2, self.bn2 = nn.Conv3d(w, w, kernel_size=3, padding=1), group_norm(w)
        self.conv3, self.bn3 = _halving(w, config.features), group_norm(config.features)

    def forward(self, slab: Tensor) -> Tensor:
        """(B, 1, Z, X, Y) to (B, F, Z / 4, X / 4, Y / 4)."""
        hidden = functional.relu(self.bn1(self.conv1(slab)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        return functional.relu(self.bn3(self.conv3(hidden)))


class HAGANSubEncoder(nn.Module):
    """The features of a whole volume to a latent vector.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.features
        self._halving = range(1 + config.left_out, 5)
        for number in self._halving:
            outputs = config.width * 2 ** (number - 1)
            self.add_module(f"conv{number}", _halving(channels, outputs))
            self.add_module(f"bn{number}", group_norm(outputs))
            channels = outputs
        self.conv5 = nn.Conv3d(channels, config.latent, kernel_size=4)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F, z, x, y) to (B, L)."""
        hidden = features
        for number in self._halving:
            convolution, norm = self.get_submodule(f"conv{number}"), self.get_submodule(f"bn{number}")
            hidden = functional.relu(norm(convolution(hidden)))
        latent: Tensor = self.conv5(hidden)
        return latent.flatten(1)


def _halving(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, kernel_size=4, stride=2, padding=1)

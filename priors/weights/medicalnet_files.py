"""MedicalNet's ResNet-50 from the user's own file: the features of HA-GAN's evaluation, and so of the paper's tables.

No package carries the file and its host asks for a browser, so nothing here fetches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from priors.networks.resnet3d import ResNet3D, ResNet3DConfig
from priors.weights.importing import file_sha256
from priors.weights.networks import fill, unfilled
from priors.weights.restricted import plain_tensors, read_pickled

PINS = {
    "5b6189cafbee2f5604a7279b62bc163365aa6a86a377e1dc260a14275cacbd84": "resnet_50.pth",
    "ff48a62219073fb977fd3f4ddfb8dc1367f0ec156c8d6f6c37e205bd683a246e": "resnet_50_23dataset.pth",
}
"""SHA-256 of the two published files. HA-GAN takes the first; the second is another network, which WDM takes."""


@dataclass(frozen=True)
class MedicalNet:
    """MedicalNet's ResNet-50 with the name of its file.

    Attributes:
        network: the network in evaluation mode.
        sha256: the hash of the file.
        title: the name of the published file, or that its hash is of neither.
    """

    network: ResNet3D
    sha256: str
    title: str


def load_medicalnet(path: Path) -> MedicalNet:
    """MedicalNet's ResNet-50 from ``resnet_50.pth`` or ``resnet_50_23dataset.pth``, on the CPU; no code in it is run.

    Raises:
        ValueError: no such file, one that would run code, or tensors of another network.
    """
    content = read_pickled(path)
    held = content.get("state_dict", content) if isinstance(content, dict) else content
    tensors = {name.removeprefix("module."): each for name, each in plain_tensors(held, path, "state_dict").items()}
    network = unfilled(lambda: ResNet3D(ResNet3DConfig()), path)
    try:
        fill(network, {name: each for name, each in tensors.items() if not name.startswith("conv_seg.")}, path)
    except ValueError as error:
        raise ValueError(f"{path}: not MedicalNet's ResNet-50; its file is resnet_50.pth") from error
    sha256 = file_sha256(path)
    return MedicalNet(network.eval(), sha256, PINS.get(sha256, f"a file of another hash, {sha256[:12]}"))

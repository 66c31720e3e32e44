"""Read the checkpoints of the official 3D MedDiffusion release; nothing in them is run.

The autoencoders were saved by Lightning: ``state_dict`` beside the training's configuration, from which the network is
built. The noise estimators lie in ``model`` and, averaged over the training, in ``ema``, beside the script's arguments
``args``; these leave some sizes out, which are taken from the tensors or are as released.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.perceptual import LPIPS
from priors.weights.networks import fill
from priors.weights.restricted import Arguments, plain, plain_tensors, read_pickled

PERCEPTUAL = "perceptual_loss.perceptual_model."
"""Prefix of the perceptual network inside autoencoder checkpoints."""

_ARGUMENTS = {
    "volume_channels": "channels",
    "model_dim": "dim",
    "dim_mults": "dim_mults",
    "use_attn": "use_sparse_linear_attn",
    "patch_size": "patch_size",
    "num_dit": "num_mid_DiT",
    "num_classes": "cond_classes",
    "vq_size": "vq_size",
}
"""Arguments of the training script, and the network's names for them."""

_HEAD_WIDTH = 32
"""Channels of a head of the U-Net's attention."""

_RELEASED = {"resnet_groups": 24, "DiT_num_heads": 8}

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """An official checkpoint, read but not yet made a network.

    Attributes:
        path: the path of the checkpoint; errors name it.
        kind: the kind of network.
        content: the checkpoint's content as it was saved.
    """

    path: Path
    kind: Literal["autoencoder", "biflownet"]
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, path: Path | str) -> Checkpoint:
        """Read a file of either layout.

        Raises:
            ValueError: missing, damaged, of another layout, or it names what could be code.
        """
        return cls.of(path, read_pickled(path))

    @classmethod
    def of(cls, path: Path | str, content: Any) -> Checkpoint:
        """Take what was read from a file; ``ValueError`` if it is of another layout."""
        keys = set(content) if isinstance(content, dict) else set()
        if "state_dict" in keys:
            return cls(Path(path), "autoencoder", content)
        if keys & {"ema", "model"}:
            return cls(Path(path), "biflownet", content)
        raise ValueError(f"{path}: not an official checkpoint: those hold 'state_dict', or 'model' and 'ema'")

    def expect(self, kind: str) -> Checkpoint:
        """Itself; ValueError if it is of another kind."""
        if self.kind != kind:
            raise ValueError(f"{self.path}: a checkpoint of the kind {self.kind}, where {kind} is wanted")
        return self

    def autoencoder(self) -> PatchVolumeAutoencoder:
        """See :func:`load_autoencoder`."""
        config = self._configuration()
        network = self._build(lambda: PatchVolumeAutoencoder.from_official_config(config))
        tensors = self._tensors("state_dict")
        fill(network, {name: t for name, t in tensors.items() if not name.startswith(PERCEPTUAL)}, self.path)
        return network

    def perceptual(self) -> LPIPS | None:
        """See :func:`load_perceptual`."""
        tensors = self._tensors("state_dict")
        inside = {name.removeprefix(PERCEPTUAL): t for name, t in tensors.items() if name.startswith(PERCEPTUAL)}
        if "lin0.model.1.weight" not in inside:
            return None
        network = self._build(LPIPS)
        fill(network, inside, self.path)
        return network

    def biflownet(self, ema: bool = True, settings: Mapping[str, int] | None = None) -> BiFlowNet:
        """See :func:`load_biflownet`."""
        tensors = self._tensors("ema" if ema else "model")
        arguments = self.arguments()
        missing = set(_ARGUMENTS) - set(arguments)
        if missing:
            raise ValueError(f"{self.path}: its 'args' lack {', '.join(sorted(missing))}")
        known = {name: arguments[theirs] for theirs, name in _ARGUMENTS.items()}
        config = known | self._unstated(known["dim"], tensors, dict(settings or {}))
        network = self._build(lambda: BiFlowNet.from_official_config(config))
        fill(network, tensors, self.path)
        return network

    def arguments(self) -> dict[str, Any]:
        """Arguments of the script that trained a noise estimator."""
        arguments = self.content.get("args")
        if not isinstance(arguments, Arguments):
            raise ValueError(f"{self.path}: no 'args' of the training script in it")
        return vars(arguments)

    def _configuration(self) -> Mapping[str, Any]:
        parameters = self.content.get("hyper_parameters")
        if not isinstance(parameters, dict) or "cfg" not in parameters:
            raise ValueError(f"{self.path}: no configuration 'hyper_parameters.cfg' in it")
        try:
            config = plain(parameters["cfg"])
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        return config if isinstance(config, dict) else {}

    def _unstated(self, width: Any, tensors: Mapping[str, Tensor], settings: dict[str, int]) -> dict[str, int]:
        """Sizes that ``args`` do not state: the heads of the U-Net's attention show, the others are as released."""
        name = "mid_spatial_attn.fn.fn.to_qkv.weight"
        if name not in tensors:
            raise ValueError(f"{self.path}: no tensor {name} in it")
        if type(width) is not int or width < 1:
            raise ValueError(f"{self.path}: its model_dim is {width!r}; it must be a whole number, 1 or more")
        found = {"attn_heads": sum(tensors[name].shape[:1]) // (3 * _HEAD_WIDTH)}
        for setting, released in _RELEASED.items():
            found[setting] = math.gcd(released, width)
            if found[setting] != released and setting not in settings:
                warnings.warn(
                    f"{self.path}: {setting} is not stated and {released}, as released, does not divide the width "
                    f"{width}: {found[setting]} is taken; if the network had another, state {setting}",
                    stacklevel=4,
                )
        return found | settings

    def _tensors(self, key: str) -> dict[str, Tensor]:
        """Copies of the tensors under a key, floating-point ones in float32."""
        return plain_tensors(self.content.get(key), self.path, f"'{key}'")

    def _build(self, build: Callable[[], Network]) -> Network:
        try:
            with torch.device("meta"):  # no time is lost drawing weights that are replaced
                return build()
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"{self.path}: {' '.join(str(error).split())[:300]}") from error


def load_autoencoder(path: Path | str) -> PatchVolumeAutoencoder:
    """The autoencoder in an official checkpoint, on the CPU, with its discriminator and without perceptual network.

    Args:
        path: such as ``PatchVolume_8x_s2.ckpt``.

    Raises:
        ValueError: the file is missing, damaged, or no autoencoder; its tensors do not fit its configuration; or it
            names what could be code (the line says what).
    """
    return Checkpoint.read(path).expect("autoencoder").autoencoder()


def load_perceptual(path: Path | str) -> LPIPS | None:
    """The trained LPIPS network inside an official autoencoder checkpoint; None where there is none.

    Raises:
        ValueError: as :func:`load_autoencoder`.
    """
    return Checkpoint.read(path).expect("autoencoder").perceptual()


def load_biflownet(path: Path | str, ema: bool = True, settings: Mapping[str, int] | None = None) -> BiFlowNet:
    """The noise estimator in an official checkpoint, on the CPU.

    Args:
        path: such as ``BiFlowNet_0453500.pt``.
        ema: the weights averaged over the training, which the release samples with, or the last ones.
        settings: sizes that the checkpoint does not state, where they are not as released: ``attn_heads``,
            ``resnet_groups``, ``DiT_num_heads``.

    Raises:
        ValueError: as :func:`load_autoencoder`.
    """
    return Checkpoint.read(path).expect("biflownet").biflownet(ema, settings)


def training_steps(name: str) -> int | None:
    """Steps of training that a file name such as ``BiFlowNet_0453500.pt`` tells."""
    found = re.search(r"_(\d{7})\.pt$", name)
    return int(found[1]) if found else None

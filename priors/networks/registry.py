"""Every kind of network of the suite, once: its configuration, its class, and what it is for.

Classes are named and imported when they are asked for, so that the list itself costs nothing and a kind pays for its
own imports alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

Place = Literal["prior", "head"]


@dataclass(frozen=True)
class Kind:
    """One kind of network.

    Attributes:
        network: module and class of the network, or the function that chooses among several, as ``module:Class``.
        config: module and class of its configuration; "" for a network without one.
        use: what the network does, for a model card.
        on_slices: whether it works on axial slices; the others work on volumes or latents.
        place: the place of its file in the store: in a prior's folder, or among that prior's heads.
        told: values of a weights file's card, beside the configuration, that the class is made with.
        prior: the module and function that load the latent prior in the folder of a noise estimator of latents, as
            ``module:function``; "" for every other kind.
        generator: the module and function that load the generator of volumes in the folder of such a file, as
            ``module:function``; "" for a kind that makes no volumes, and for latent priors, which all generate alike.
    """

    network: str
    config: str
    use: str
    on_slices: bool = False
    place: Place = "prior"
    told: tuple[str, ...] = ()
    prior: str = ""
    generator: str = ""

    def network_class(self) -> type[nn.Module]:
        """The network's class."""
        found: type[nn.Module] = _named(self.network)
        return found

    def config_class(self) -> Any:
        """The configuration's class, a frozen dataclass with ``to_dict`` and ``from_dict``; None without one."""
        return _named(self.config) if self.config else None

    def prior_loader(self) -> Any:
        """The function from a folder to the latent prior in it; None where a kind estimates no noise of latents."""
        return _named(self.prior) if self.prior else None

    def generator_loader(self) -> Any:
        """The function from a folder to the generator in it; None where a kind has none of its own."""
        return _named(self.generator) if self.generator else None

    def build(self, config: Mapping[str, Any], extra: Mapping[str, Any]) -> nn.Module:
        """A network without its weights.

        Args:
            config: the configuration of a weights file, as plain values.
            extra: the other values of its card.

        Raises:
            ValueError: a configuration that no network of the kind can have.
        """
        kind = self.config_class()
        arguments = [] if kind is None else [kind.from_dict(config)]
        return self.network_class()(*arguments, *(str(extra.get(name, "")) for name in self.told))


_ADM = ("priors.networks.adm_unet:ADMUNet", "priors.networks.adm_config:ADMConfig")
_UNET = ("priors.networks.unet2d:UNet2D", "priors.networks.unet2d:UNetConfig")

KINDS: dict[str, Kind] = {
    "autoencoder": Kind(
        "priors.networks.autoencoder:PatchVolumeAutoencoder",
        "priors.networks.autoencoder_config:AutoencoderConfig",
        "compresses volumes to latents and decodes them, for the latent diffusion prior beside it",
    ),
    "biflownet": Kind(
        "priors.networks.biflownet:BiFlowNet",
        "priors.networks.biflownet_config:BiFlowNetConfig",
        "estimates the noise in latents; with the autoencoder beside it a prior of volumes",
        prior="priors.diffusion.patch_volume:load_patch_volume",
    ),
    "controlnet": Kind(
        "priors.networks.controlnet:ControlNet",
        "priors.networks.controlnet:ControlNetConfig",
        "steers a latent diffusion prior by images of a scan; works on the base that it was trained on alone",
        place="head",
        told=("base_sha256",),
    ),
    "implicit-decoder": Kind(
        "priors.networks.implicit_decoder:ImplicitDecoder",
        "priors.networks.implicit_decoder:ImplicitDecoderConfig",
        "decodes latents of the autoencoder that it was trained on to volumes of any voxel size",
        told=("autoencoder_sha256",),
    ),
    "maisi-autoencoder": Kind(
        "priors.networks.maisi.autoencoder:MaisiAutoencoder",
        "priors.networks.maisi.config:MaisiAutoencoderConfig",
        "compresses volumes to latents and decodes them, for MAISI's U-Net beside it",
    ),
    "maisi": Kind(
        "priors.networks.maisi.unet:MaisiUNet",
        "priors.networks.maisi.config:MaisiUNetConfig",
        "estimates the noise, or the velocity of a rectified flow, in latents; with MAISI's autoencoder beside it a "
        "prior of volumes",
        prior="priors.diffusion.maisi:load_maisi",
        generator="priors.generators.maisi:load_maisi_generator",
    ),
    "maisi-controlnet": Kind(
        "priors.networks.maisi.controlnet:MaisiControlNet",
        "priors.networks.maisi.config:MaisiControlNetConfig",
        "steers MAISI by label maps, or by images of a scan; works on the U-Net that it was trained on alone",
        place="head",
        told=("base_sha256",),
    ),
    "refiner": Kind(
        *_UNET,
        "improves a base image by means of a head's sample, slice by slice; belongs to that head alone",
        on_slices=True,
        place="head",
    ),
    "fbpconv": Kind(
        "priors.networks.fbpconvnet:FBPConvNet",
        "priors.networks.fbpconvnet:FBPConvNetConfig",
        "improves axial slices of a first reconstruction, for the task below (fbpconv)",
        on_slices=True,
    ),
    "unet": Kind(*_UNET, "improves axial slices of a first reconstruction, for the task below (unet)", on_slices=True),
    "dolce": Kind(
        *_ADM,
        "estimates the noise in axial slices shown a first reconstruction, for the task below (dolce)",
        on_slices=True,
    ),
    "adm": Kind(
        *_ADM,
        "estimates the noise in axial slices; a prior for any measurement (dds, diffpir, ddnm)",
        on_slices=True,
    ),
    "primal-dual": Kind(
        "priors.networks.unrolled:LearnedPrimalDual",
        "priors.networks.unrolled:PrimalDualConfig",
        "reconstructs axial slices from a measurement, for the task below (primal-dual)",
        on_slices=True,
    ),
    "modl": Kind(
        "priors.networks.unrolled:MoDL",
        "priors.networks.unrolled:MoDLConfig",
        "reconstructs axial slices from a measurement, for the task below (modl)",
        on_slices=True,
    ),
    "varnet": Kind(
        "priors.networks.varnet:VarNet",
        "priors.networks.varnet:VarNetConfig",
        "reconstructs axial slices from k-space of one or several coils, for the task below (varnet)",
        on_slices=True,
    ),
    "resnet3d": Kind(
        "priors.networks.resnet3d:ResNet3D",
        "priors.networks.resnet3d:ResNet3DConfig",
        "gives features of volumes, by which generated ones are compared with real ones",
    ),
    "classifier": Kind(
        "priors.networks.classifier:VolumeClassifier",
        "priors.networks.classifier:ClassifierConfig",
        "tells classes of volumes apart; the classes are named in its card",
    ),
    "efficientnet-lite0": Kind(
        "priors.networks.efficientnet_lite0:EfficientNetLite0",
        "",
        "gives features of slices, by which generated volumes are compared with real ones",
    ),
    "medicaldiffusion-vqgan": Kind(
        "priors.networks.medicaldiffusion.vqgan:VQGAN",
        "priors.networks.medicaldiffusion.config:VQGANConfig",
        "compresses volumes to latents and decodes them, for Medical Diffusion's noise estimator",
    ),
    "medicaldiffusion": Kind(
        "priors.networks.medicaldiffusion.unet:FactorisedUNet",
        "priors.networks.medicaldiffusion.config:FactorisedUNetConfig",
        "estimates the noise in latents of Medical Diffusion's VQ-GAN; with that beside it a generator of volumes",
        generator="priors.generators.medicaldiffusion:load_medicaldiffusion",
    ),
    "medsyn": Kind(
        "priors.networks.medsyn.low:MedSynLow",
        "priors.networks.medsyn.config:MedSynConfig",
        "estimates small clean volumes in noisy ones; alone or with medsyn-sr a generator of volumes (MedSyn)",
        generator="priors.generators.medsyn:load_medsyn",
    ),
    "medsyn-sr": Kind(
        "priors.networks.medsyn.finer:MedSynSR",
        "priors.networks.medsyn.config:MedSynSRConfig",
        "estimates clean volumes on a finer grid than that of the small volumes which they are made from (MedSyn)",
        generator="priors.generators.medsyn:load_medsyn",
    ),
    "wdm": Kind(
        "priors.networks.wdm.make:make_wdm",
        "priors.networks.wdm.config:WDMConfig",
        "estimates the clean wavelet coefficients of volumes in noisy ones; a generator of volumes (WDM)",
        generator="priors.generators.wdm:load_wdm",
    ),
    "hagan": Kind(
        "priors.networks.hagan.generator:HAGANGenerator",
        "priors.networks.hagan.config:HAGANConfig",
        "makes volumes of latent vectors in one pass; a generator of volumes (HA-GAN)",
        generator="priors.generators.hagan:load_hagan",
    ),
    "lpips": Kind(
        "priors.networks.perceptual:LPIPS", "", "compares images by features of a trained network, in a training's loss"
    ),
}
"""By the name that a weights file's card has."""


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

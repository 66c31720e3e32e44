"""How each kind of network is trained, once: what it learns, what it builds upon, and who builds it.

The kinds themselves are those of :mod:`priors.networks.registry`. Classes and functions are named here and imported
when they are asked for, so that the command line can list the trainings without any of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from recon.errors import InputError

if TYPE_CHECKING:
    from priors.training.section import Section
    from recon.training.workshop import Ingredients, Workshop

TaskName = Literal["svct", "mri", "mask"]
Extra = Literal["base", "class", "classes", "stage", "head", "condition", "reference"]

TASKS: tuple[TaskName, ...] = get_args(TaskName)
SCAN_TASKS: tuple[TaskName, ...] = ("svct", "mri")
"""The tasks that are measurements; ``mask`` is none: such a head is shown a segmentation."""

MODALITIES: dict[TaskName, Literal["CT", "MR"]] = {"svct": "CT", "mri": "MR", "mask": "CT"}


@dataclass(frozen=True)
class TrainingKind:
    """How one kind of network is trained.

    Attributes:
        summary: what is trained, in one line.
        example: what a training is told beside data and output, parameters in backticks.
        builder: module and function from a recipe and data to a learner, as ``module:function``.
        settings: module and class of the recipe's task section, as ``module:Class``.
        tasks: the measurements that it can learn to undo, and ``mask``; none for a network that is trained for no task.
        takes: what it is told beside data, recipe and task.
        derived: settings of the network that follow from something else than the recipe.
        file: the name of its weights file; "" for the kind's own.
        scans_each_step: whether scans are simulated anew at every step, and not once before the first one.
        needs_classes: whether it must be told the names of its classes.
        beside: the weights files of the base that are copied beside the trained one, so that the folder generates.
        retrains: the kind of a network of the base that is trained further, with the settings that it has; "" for a new
            network, whose settings are the recipe's.
    """

    summary: str
    example: str
    builder: str
    settings: str
    tasks: tuple[TaskName, ...] = ()
    takes: frozenset[Extra] = frozenset()
    derived: tuple[str, ...] = ()
    file: str = ""
    scans_each_step: bool = False
    needs_classes: bool = False
    beside: tuple[str, ...] = ()
    retrains: str = ""

    def build(self, given: Ingredients) -> Workshop:
        """A learner with its samples and its validation."""
        function: Callable[[Ingredients], Workshop] = _named(self.builder)
        return function(given)

    def settings_class(self) -> type[Section]:
        """The model of the recipe's task section."""
        found: type[Section] = _named(self.settings)
        return found


_VOLUMES = "recon.training.settings.volumes"
_SLICES = "recon.training.settings.slices"
_GENERATORS = "recon.training.generators"
_MAISI = "recon.training.settings.maisi"

TRAININGS: dict[str, TrainingKind] = {
    "autoencoder": TrainingKind(
        "The Patch-Volume autoencoder, which compresses volumes to latents; stage 2 is its joint decoder.",
        "",
        "recon.training.build_autoencoder:build_autoencoder",
        f"{_VOLUMES}:AutoencoderTask",
        takes=frozenset({"stage"}),
    ),
    "biflownet": TrainingKind(
        "BiFlowNet, the noise estimator of the latent diffusion prior; it needs a trained autoencoder.",
        "`base` runs/autoencoder",
        "recon.training.build_latent:build_biflownet",
        f"{_VOLUMES}:BiFlowNetTask",
        takes=frozenset({"base", "class", "classes"}),
        derived=("patient",),
        beside=("autoencoder.safetensors",),
    ),
    "distilled": TrainingKind(
        "A BiFlowNet of 1 to 4 sampling steps, which learns to make them as a trained one makes its many.",
        "`base` runs/prior",
        "recon.training.build_distilled:build_distilled",
        "recon.training.settings.distilled:DistilledTask",
        takes=frozenset({"base", "class", "classes"}),
        file="biflownet.safetensors",
        beside=("autoencoder.safetensors",),
        retrains="biflownet",
    ),
    "controlnet": TrainingKind(
        "A ControlNet head, which steers a trained prior by the images of one kind of scan, or by segmentations.",
        "`task` svct `geometry` my_scanner.yaml `base` runs/prior",
        "recon.training.build_latent:build_controlnet",
        f"{_VOLUMES}:ControlNetTask",
        TASKS,
        frozenset({"base", "class", "condition", "reference"}),
        ("base", "hint_channels", "task"),
        "head.safetensors",
    ),
    "implicit-decoder": TrainingKind(
        "An implicit decoder, which decodes latents at any voxel size; it needs a trained autoencoder.",
        "`base` runs/autoencoder",
        "recon.training.build_implicit:build_implicit_decoder",
        "recon.training.settings.implicit:ImplicitTask",
        takes=frozenset({"base"}),
        derived=("channels", "finest", "coarsest"),
    ),
    "maisi-autoencoder": TrainingKind(
        "MAISI's autoencoder, which compresses volumes to latents; it needs the package monai.",
        "",
        f"{_GENERATORS}.maisi:build_maisi_autoencoder",
        f"{_MAISI}:MaisiAutoencoderTask",
    ),
    "maisi": TrainingKind(
        "MAISI's U-Net, a generator of volumes of either generation; it needs a trained MAISI autoencoder.",
        "`base` runs/maisi-autoencoder",
        f"{_GENERATORS}.maisi:build_maisi",
        f"{_MAISI}:MaisiTask",
        takes=frozenset({"base", "class"}),
        derived=("channels",),
        beside=("maisi-autoencoder.safetensors",),
    ),
    "maisi-controlnet": TrainingKind(
        "A ControlNet on MAISI, which steers it by the images of one kind of scan.",
        "`task` svct `geometry` my_scanner.yaml `base` runs/maisi",
        f"{_GENERATORS}.maisi_head:build_maisi_controlnet",
        f"{_MAISI}:MaisiControlNetTask",
        TASKS,
        frozenset({"base", "class", "condition", "reference"}),
        ("base", "hint_channels", "hint_widths", "task"),
        "head.safetensors",
    ),
    "refiner": TrainingKind(
        "A refiner, which improves the base image by means of a head's samples.",
        "`head` runs/head/head.safetensors",
        "recon.training.build_refiner:build_refiner",
        f"{_SLICES}:RefinerTask",
        takes=frozenset({"base", "class", "head"}),
    ),
    "fbpconv": TrainingKind(
        "FBPConvNet, which improves the slices of one method's image.",
        "`task` svct `views` 40",
        "recon.training.build_slices:build_fbpconv",
        f"{_SLICES}:SliceTask",
        SCAN_TASKS,
        frozenset({"condition"}),
    ),
    "unet": TrainingKind(
        "fastMRI's U-Net, which improves the slices of one method's image or of several.",
        "`task` mri `mask` poisson `accel` 8",
        "recon.training.build_slices:build_unet",
        f"{_SLICES}:SliceTask",
        SCAN_TASKS,
        frozenset({"condition"}),
    ),
    "dolce": TrainingKind(
        "DOLCE, a diffusion model of slices that is shown an image of the scan.",
        "`task` svct `geometry` limited90",
        "recon.training.build_slices:build_dolce",
        f"{_SLICES}:DolceTask",
        SCAN_TASKS,
        frozenset({"condition"}),
    ),
    "adm": TrainingKind(
        "ADM, a diffusion prior of slices for dds, diffpir and ddnm; it is trained for no task.",
        "",
        "recon.training.build_slices:build_adm",
        f"{_SLICES}:ADMTask",
    ),
    "primal-dual": TrainingKind(
        "Learned primal-dual, unrolled iterations with the projector inside, for CT.",
        "`task` svct `views` 40",
        "recon.training.build_unrolled:build_primal_dual",
        f"{_SLICES}:UnrolledTask",
        ("svct",),
        frozenset({"condition"}),
        scans_each_step=True,
    ),
    "modl": TrainingKind(
        "MoDL, a learned denoiser and exact data-consistency steps in turn, for MR.",
        "`task` mri `mask` poisson `accel` 8",
        "recon.training.build_unrolled:build_modl",
        f"{_SLICES}:UnrolledTask",
        ("mri",),
        frozenset({"condition"}),
        scans_each_step=True,
    ),
    "varnet": TrainingKind(
        "The end-to-end variational network, cascades in k-space with learned coil sensitivities, for MR.",
        "`task` mri `mask` poisson `accel` 8 `coils` 1-8",
        "recon.training.build_unrolled:build_varnet",
        f"{_SLICES}:UnrolledTask",
        ("mri",),
        scans_each_step=True,
    ),
    "classifier": TrainingKind(
        "A 3D ResNet, which tells classes of volumes apart.",
        "`classes` abnormal,normal `dataset` mosmed",
        "recon.training.build_classifier:build_classifier",
        "recon.training.settings.classifier:ClassifierTask",
        takes=frozenset({"class", "classes"}),
        derived=("classes",),
        needs_classes=True,
    ),
    "medicaldiffusion-vqgan": TrainingKind(
        "The VQ-GAN of Medical Diffusion, which compresses volumes to latents.",
        "",
        f"{_GENERATORS}.medicaldiffusion:build_vqgan",
        "recon.training.settings.medicaldiffusion:VQGANTask",
        takes=frozenset({"class"}),
    ),
    "medicaldiffusion": TrainingKind(
        "Medical Diffusion's noise estimator; it needs a trained VQ-GAN, and with it generates volumes.",
        "`base` runs/medicaldiffusion-vqgan",
        f"{_GENERATORS}.medicaldiffusion:build_medicaldiffusion",
        "recon.training.settings.medicaldiffusion:MedicalDiffusionTask",
        takes=frozenset({"base", "class"}),
        derived=("channels",),
        beside=("medicaldiffusion-vqgan.safetensors",),
    ),
    "medsyn": TrainingKind(
        "MedSyn's model of small volumes, which generates them.",
        "",
        f"{_GENERATORS}.medsyn:build_medsyn",
        "recon.training.settings.medsyn:MedSynTask",
        takes=frozenset({"class"}),
        derived=("text_classes",),
    ),
    "medsyn-sr": TrainingKind(
        "MedSyn's model of the finer grid; it needs a trained model of small volumes, and with it generates volumes.",
        "`base` runs/medsyn",
        f"{_GENERATORS}.medsyn:build_medsyn_sr",
        "recon.training.settings.medsyn:MedSynSRTask",
        takes=frozenset({"base", "class"}),
        derived=("ratio",),
        beside=("medsyn.safetensors",),
    ),
    "wdm": TrainingKind(
        "WDM, a diffusion model of wavelet coefficients, which generates volumes.",
        "",
        f"{_GENERATORS}.wdm:build_wdm",
        "recon.training.settings.wdm:WDMTask",
        takes=frozenset({"class"}),
    ),
    "hagan": TrainingKind(
        "HA-GAN, a generative adversarial network, which makes a volume in one pass.",
        "",
        f"{_GENERATORS}.hagan:build_hagan",
        "recon.training.settings.hagan:HAGANTask",
        takes=frozenset({"class"}),
        derived=("size", "classes"),
    ),
}
"""By the kind of network, in the order in which they are listed."""


def find_training(network: str) -> TrainingKind:
    """How a kind of network is trained.

    Raises:
        InputError: no such kind, or one that is not trained here.
    """
    if network not in TRAININGS:
        from priors.training.section import nearest

        raise InputError(f"`network` {network}: no network that can be trained{nearest(network, TRAININGS)}")
    return TRAININGS[network]


def takers(extra: Extra) -> list[str]:
    """The networks that take something beside data, recipe and task."""
    return [name for name, kind in TRAININGS.items() if extra in kind.takes]


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

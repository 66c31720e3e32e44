"""Options that the methods with a ControlNet head share."""

from __future__ import annotations

from typing import Literal

from recon.options import Options, setting


class HeadOptions(Options):
    """The head, its prior, and how samples are drawn."""

    weights: str = setting(
        "", "weights file (.safetensors) of a ControlNet head; empty: an installed head for this kind of scan"
    )
    prior: str = setting(
        "", "prior that the head was trained on, a name or a folder; empty: the installed prior with the right hash"
    )
    steps: int = setting(20, "number of steps of the sampler over the whole diffusion", ge=1)
    sampler: Literal["ddim", "ddpm", "dpm++"] = setting("ddim", "sampler of the reverse diffusion")
    samples: int = setting(
        1, "number of volumes that are sampled and averaged; several also give a standard deviation", ge=1
    )
    controlnet_scale: float = setting(1.0, "ControlNet scale, the factor on all that the head adds; 1: as in training")
    anatomy: int = setting(
        -1, "index of the anatomy among the classes of recon generate, from 0; -1: chosen by the modality", ge=-1
    )
    allow_other: bool = setting(
        False, "whether to use the head for a geometry, mask or prior that it was not trained for"
    )

"""Sizes of a BiFlowNet, and their reading from the official release's names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from priors.networks.settings import MOST_BLOCKS

FUSED_LEVELS = 2
"""Levels of full resolution, at either end of the U-Net, that take the DiT's features."""

INTRA_PATCH = ("dit", "unet", "none")
"""What the intra-patch flow may be."""

Prediction = Literal["noise", "velocity"]
"""What the output may be: the noise as published, or the velocity of Salimans and Ho (2022)."""

_LATER: dict[str, Any] = {"prediction": "noise", "patient": False}
"""Settings that older weights do not name, with what they have."""

_OFFICIAL_NAMES = {
    "dim": "width",
    "dim_mults": "multipliers",
    "use_sparse_linear_attn": "attention",
    "channels": "channels",
    "cond_classes": "classes",
    "patch_size": "token_patch",
    "num_mid_DiT": "middle_dit",
    "attn_heads": "attention_heads",
    "resnet_groups": "norm_groups",
    "DiT_num_heads": "dit_heads",
    "mlp_ratio": "mlp_ratio",
    "init_kernel_size": "init_kernel",
}
_OFFICIAL_FIXED: dict[str, tuple[Any, ...]] = {
    "vq_size": (64,),
    "sub_volume_size": (8, [8, 8, 8], (8, 8, 8)),
    "learn_sigma": (False,),
    "res_condition": (True,),
}


@dataclass(frozen=True)
class BiFlowNetConfig:
    """Sizes of a BiFlowNet; the defaults are the released network for latents of 8x compression.

    Attributes:
        width: channels at full resolution and of the tokens; a multiple of 6 and of ``norm_groups`` and ``dit_heads``.
        multipliers: the multipliers of ``width``, one for each level of the U-Net. The first two are 1 (full
            resolution, joined with the DiT); after that no two neighbours are equal.
        attention: whether the blocks of each level have attention.
        channels: the channels of the latent.
        classes: the number of classes of the class embedding.
        token_patch: edge of a DiT token in latent voxels: 1 for latents of 8x, 2 of 4x compression.
        sub_volume: edge of a DiT cube in latent voxels.
        middle_dit: DiT blocks between the two halves.
        attention_heads: the heads of the U-Net's attention.
        norm_groups: the groups of the group norms.
        dit_heads: the heads of the DiT's attention.
        mlp_ratio: widening inside the DiT's perceptrons.
        init_kernel: the kernel size of the first convolution; odd.
        intra_patch: what sees the cubes: ``dit`` as published; ``unet``, residual convolutions in its place, or
            ``none``, for the paper's ablation (Table VII).
        prediction: what the output is: ``noise`` as published, or ``velocity``, sqrt(abar) noise - sqrt(1 - abar) z_0,
            whose errors are not multiplied in the image where there is much noise.
        patient: whether the network is told age and sex; see :mod:`priors.networks.patient_embedding`.

    Raises:
        ValueError: sizes that do not fit together.
    """

    width: int = 72
    multipliers: tuple[int, ...] = (1, 1, 2, 4, 8)
    attention: tuple[bool, ...] = (False, False, False, True, True)
    channels: int = 8
    classes: int = 7
    token_patch: int = 1
    sub_volume: int = 8
    middle_dit: int = 1
    attention_heads: int = 8
    norm_groups: int = 24
    dit_heads: int = 8
    mlp_ratio: int = 4
    init_kernel: int = 3
    intra_patch: str = "dit"
    prediction: Prediction = "noise"
    patient: bool = False

    def __post_init__(self) -> None:
        self._check_positive()
        self._check_levels()
        divisors = {"the position embedding's waves": 6, "norm_groups": self.norm_groups, "dit_heads": self.dit_heads}
        for name, divisor in divisors.items():
            if self.width % divisor:
                raise ValueError(f"width {self.width} is not a multiple of {name}, {divisor}")
        if self.sub_volume % self.token_patch:
            raise ValueError(f"cubes of {self.sub_volume} do not divide into tokens of {self.token_patch}")
        if self.intra_patch not in INTRA_PATCH:
            raise ValueError(f"intra_patch is {self.intra_patch!r}; one of {', '.join(INTRA_PATCH)}")
        if self.prediction not in get_args(Prediction):
            raise ValueError(f"prediction is {self.prediction!r}; one of {', '.join(get_args(Prediction))}")
        if self.init_kernel % 2 == 0:
            raise ValueError(f"the first convolution's kernel is odd, not {self.init_kernel}")

    def _check_positive(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is int and value < 1:
                raise ValueError(f"{field.name} is {value}; it must be 1 or more")
        if self.middle_dit > MOST_BLOCKS:
            raise ValueError(f"middle_dit is {self.middle_dit}; it must be at most {MOST_BLOCKS}")

    def _check_levels(self) -> None:
        changes = all(a != b and b > 0 for a, b in itertools.pairwise(self.multipliers[FUSED_LEVELS - 1 :]))
        if self.multipliers[:FUSED_LEVELS] != (1,) * FUSED_LEVELS or not changes:
            raise ValueError(f"multipliers {self.multipliers}; they start with 1, 1 and then change at every level")
        if len(self.attention) != len(self.multipliers):
            raise ValueError(f"attention for {len(self.attention)} levels, but there are {len(self.multipliers)}")

    @property
    def condition_width(self) -> int:
        """Width of the vector that conditions every block: time and class, then latent size."""
        return 8 * self.width

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Channels in and out of each level of the encoder."""
        widths = [self.width] + [self.width * multiplier for multiplier in self.multipliers]
        return list(itertools.pairwise(widths))

    def halves(self, level: int) -> bool:
        """Whether an encoder level ends with half the resolution: all but the first and the last."""
        return FUSED_LEVELS - 1 <= level < len(self.multipliers) - 1

    @property
    def size_multiple(self) -> int:
        """Every axis of a latent must be a multiple of this."""
        halvings = sum(self.halves(level) for level in range(len(self.multipliers)))
        return math.lcm(self.sub_volume, 2**halvings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the reverse of :meth:`from_dict`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BiFlowNetConfig:
        """From :meth:`to_dict`.

        Raises:
            ValueError: a setting that is unknown, missing, of the wrong type, or that does not fit.
        """
        values = {**_LATER, **values}
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"BiFlowNet settings unknown or missing: {', '.join(sorted(set(values) ^ names))}")
        words = {"intra_patch", "prediction"}
        for name in sorted(words):
            if type(values[name]) is not str:
                raise ValueError(f"BiFlowNet setting {name} is {values[name]!r}; it must be a word")
        if type(values["patient"]) is not bool:
            raise ValueError(f"BiFlowNet setting patient is {values['patient']!r}; it must be true or false")
        for name in names - {"multipliers", "attention", "patient"} - words:
            if type(values[name]) is not int:
                raise ValueError(f"BiFlowNet setting {name} is {values[name]!r}; it must be a whole number")
        multipliers, attention = values["multipliers"], values["attention"]
        if not _list_of(int, multipliers) or not _list_of(bool, attention):
            raise ValueError("BiFlowNet settings multipliers and attention are lists of whole numbers and of booleans")
        return cls(**{**values, "multipliers": tuple(multipliers), "attention": tuple(attention)})

    @classmethod
    def from_official(cls, values: Mapping[str, Any]) -> BiFlowNetConfig:
        """From the official release's names of the settings; absent ones are as released.

        Raises:
            ValueError: an unknown setting, or a value that the official network cannot work with.
        """
        unknown = set(values) - set(_OFFICIAL_NAMES) - set(_OFFICIAL_FIXED)
        if unknown:
            raise ValueError(f"unknown BiFlowNet settings: {', '.join(sorted(unknown))}")
        for name, allowed in _OFFICIAL_FIXED.items():
            if name in values and values[name] not in allowed:
                raise ValueError(f"BiFlowNet setting {name} is {values[name]!r}; only {allowed[0]!r} works")
        known = {ours: values[official] for official, ours in _OFFICIAL_NAMES.items() if official in values}
        if "multipliers" in known:
            known["multipliers"] = list(known["multipliers"])
        if "attention" in known:
            known["attention"] = [bool(flag) for flag in known["attention"]]
        return cls.from_dict({**cls().to_dict(), **known})


def _list_of(kind: type, values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(type(value) is kind for value in values)

"""Sizes of a Patch-Volume autoencoder, and their reading from the official release's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from priors.networks.autoencoder_blocks import level_widths
from priors.networks.discriminator import DiscriminatorConfig

_OFFICIAL_NAMES = {
    "width": ("model", "n_hiddens"),
    "latent_channels": ("model", "embedding_dim"),
    "codes": ("model", "n_codes"),
    "downsample": ("model", "downsample"),
    "norm_groups": ("model", "num_groups"),
    "image_channels": ("dataset", "image_channels"),
    "patch": ("dataset", "patch_size"),
}


_FACTORS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Size of a ``PatchVolumeAutoencoder``; the defaults are those of the released 4x network.

    Attributes:
        width: channels at the finest resolution; they double with each of the coarser ones but the last.
        latent_channels: channels of a latent, and of a code.
        codes: the number of codes in the codebook.
        downsample: the factor by which each axis shrinks; one power of two for all three.
        norm_groups: the groups of the group norms.
        image_channels: the channels of the volumes.
        patch: edge in voxels of the cubes that are encoded on their own.
        discriminator: its size; None builds none.
        patch_middle: the decoder computes its middle in each patch on its own, and only what is finer in whole volumes.

    Raises:
        ValueError: values that no network can have.
    """

    width: int = 48
    latent_channels: int = 8
    codes: int = 8192
    downsample: tuple[int, int, int] = (4, 4, 4)
    norm_groups: int = 24
    image_channels: int = 1
    patch: int = 64
    discriminator: DiscriminatorConfig | None = None
    patch_middle: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "latent_channels", "codes", "norm_groups", "image_channels", "patch"):
            _check_count("autoencoder", name, getattr(self, name))
        if type(self.patch_middle) is not bool:
            raise ValueError(f"autoencoder setting patch_middle is {self.patch_middle!r}; it must be true or false")
        self._check_downsample()
        if self.width % self.norm_groups:
            raise ValueError(f"width {self.width} does not divide into {self.norm_groups} groups of channels")
        if self.patch % self.compression:
            raise ValueError(f"patches of {self.patch} voxels do not divide by the compression {self.compression}")

    def _check_downsample(self) -> None:
        for factor in self.downsample:
            _check_count("autoencoder", "downsample", factor)
        if self.downsample not in [(factor, factor, factor) for factor in _FACTORS]:
            raise ValueError(
                f"downsample {list(self.downsample)}; three times the same power of two, such as [4, 4, 4], is needed"
            )

    @property
    def compression(self) -> int:
        """Voxels of the image along one latent voxel."""
        return self.downsample[0]

    @property
    def middle_edge(self) -> int | None:
        """Latent voxels along the cubes in which the decoder's middle is computed; None is the whole latent."""
        return self.patch // self.compression if self.patch_middle else None

    @property
    def widths(self) -> list[int]:
        """Channels at each resolution, finest first."""
        return level_widths(self.width, self.compression.bit_length() - 1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return asdict(self) | {"downsample": list(self.downsample)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderConfig:
        """The reverse of :meth:`to_dict`; files from before ``patch_middle`` have none.

        Raises:
            ValueError: a key is missing or unknown, or a value is wrong.
        """
        values = {"patch_middle": False} | dict(values)
        _check_keys("autoencoder", values, {field.name for field in fields(cls)})
        downsample, discriminator = values["downsample"], values["discriminator"]
        if not isinstance(downsample, Sequence):
            raise ValueError(f"autoencoder setting downsample is {downsample!r}; it must be a list such as [4, 4, 4]")
        if discriminator is not None:
            discriminator = _discriminator(discriminator)
        return cls(**{**values, "downsample": tuple(downsample), "discriminator": discriminator})

    @classmethod
    def from_official(cls, config: Mapping[str, Any]) -> AutoencoderConfig:
        """From the sections ``model`` and ``dataset`` of the released training code, with the discriminator.

        Settings of the training (losses, optimiser, codebook restarts) are not looked at.

        Raises:
            ValueError: a setting is missing, or asks for a network that there is no code for.
        """
        values = {ours: _official(config, section, name) for ours, (section, name) in _OFFICIAL_NAMES.items()}
        norm = _official(config, "model", "norm_type")
        if norm != "group":
            raise ValueError(f"official configuration: norm_type {norm!r}; only 'group' is known")
        discriminator = {
            "channels": _official(config, "model", "disc_channels"),
            "layers": _official(config, "model", "disc_layers"),
        }
        return cls.from_dict({**values, "discriminator": discriminator})


def _check_keys(what: str, values: Mapping[str, Any], known: set[str]) -> None:
    if set(values) != known:
        raise ValueError(f"{what} settings unknown or missing: {', '.join(sorted(set(values) ^ known))}")


def _check_count(what: str, name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{what} setting {name} is {value!r}; it must be a whole number, 1 or more")


def _discriminator(values: Any) -> DiscriminatorConfig:
    if not isinstance(values, Mapping):
        raise ValueError(f"autoencoder setting discriminator is {values!r}; it must be its settings, or null")
    _check_keys("discriminator", values, {field.name for field in fields(DiscriminatorConfig)})
    for name, value in values.items():
        _check_count("discriminator", name, value)
    return DiscriminatorConfig(**values)


def _official(config: Mapping[str, Any], section: str, name: str) -> Any:
    try:
        return cast(Mapping[str, Any], config[section])[name]
    except (KeyError, TypeError) as error:
        raise ValueError(f"official configuration: no {section}.{name}") from error

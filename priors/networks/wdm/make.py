"""Either network of WDM by its configuration."""

from __future__ import annotations

from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.unet import WDMUNet
from priors.networks.wdm.wavunet import WDMWavUNet

WDMNetwork = WDMUNet | WDMWavUNet


def make_wdm(config: WDMConfig) -> WDMNetwork:
    """The network of the form that the configuration names, with new weights."""
    return WDMWavUNet(config) if config.form == "wavunet" else WDMUNet(config)

"""Released MAISI checkpoints: each layout is read strictly, and nothing in it is run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiControlNetConfig, MaisiUNetConfig
from priors.weights import store
from priors.weights.importing import import_file
from priors.weights.official_maisi import LICENCE, autoencoder_config, controlnet_config, unet_config

NEEDS_MONAI = "MAISI's networks come with monai"
DDPM = MaisiUNetConfig(widths=(32, 32, 64), attention=(False, False, True), blocks=1)
RFLOW = MaisiUNetConfig(
    process="rflow",
    widths=(32, 64),
    attention=(False, True),
    regions=False,
    classes=128,
    residual_sampling=True,
    attention_linear=True,
)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no shipped priors."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "store"


def state(kind: str, config: Any) -> dict[str, torch.Tensor]:
    pytest.importorskip("monai", reason=NEEDS_MONAI)
    from maisi_networks import network

    return dict(network(kind, config).state_dict())


@pytest.mark.parametrize(("name", "config"), [("ddpm", DDPM), ("rflow", RFLOW)])
def test_a_unet_and_its_controlnet_are_imported(name: str, config: MaisiUNetConfig, user: Path, tmp_path: Path) -> None:
    saved = {"unet_state_dict": state("maisi", config), "scale_factor": torch.tensor(1.25), "epoch": 7, "loss": 0.1}
    torch.save(saved, tmp_path / f"diff_unet_3d_{name}-ct.pt")
    ((path, card),) = import_file(tmp_path / f"diff_unet_3d_{name}-ct.pt").items()
    assert path == user / f"maisi-{name}-ct" / "maisi.safetensors"
    assert card.config == config.to_dict()
    assert card.licence == LICENCE
    assert card.extra["scale_factor"] == 1.25
    head = MaisiControlNetConfig(config)
    torch.save({"controlnet_state_dict": state("maisi-controlnet", head)}, tmp_path / f"controlnet_3d_{name}-ct.pt")
    ((path, own),) = import_file(tmp_path / f"controlnet_3d_{name}-ct.pt").items()
    assert path == user / f"maisi-{name}-ct" / "heads" / "maisi-controlnet.safetensors"
    assert own.config == head.to_dict()
    assert own.extra["base_sha256"] == card.sha256


def test_the_autoencoder_is_imported_and_completes_the_prior(user: Path, tmp_path: Path) -> None:
    config = MaisiAutoencoderConfig(widths=(32, 32, 64), blocks=(1, 2, 1))
    torch.save(state("maisi-autoencoder", config), tmp_path / "autoencoder_v1.pt")
    ((path, card),) = import_file(tmp_path / "autoencoder_v1.pt", "mine").items()
    assert (path.name, card.config) == ("maisi-autoencoder.safetensors", config.to_dict())
    torch.save({"unet_state_dict": state("maisi", RFLOW), "scale_factor": 1.0}, tmp_path / "own.pt")
    import_file(tmp_path / "own.pt", "mine")

    from priors.diffusion.load import load_prior

    assert load_prior(user / "mine").channels == 4


def test_what_is_no_such_network_is_refused_in_one_line(user: Path, tmp_path: Path) -> None:
    path = tmp_path / "diff_unet_3d_ddpm-ct.pt"
    tensors = state("maisi", DDPM)
    torch.save({"unet_state_dict": tensors}, path)
    with pytest.raises(ValueError, match="no scale of the latents: 'scale_factor' is NoneType"):
        import_file(path)
    torch.save({"unet_state_dict": {"a": torch.zeros(2)}, "scale_factor": 1.0}, path)
    with pytest.raises(ValueError, match="its tensors are no MAISI network's"):
        import_file(path)
    del tensors["out.0.weight"]
    torch.save({"unet_state_dict": tensors, "scale_factor": 1.0}, path)
    with pytest.raises(ValueError, match="its tensors do not fit its configuration") as told:
        import_file(path)
    assert "\n" not in str(told.value)


class Harmful:
    """Would run a command where pickles are loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch harm",)


def test_a_file_that_would_run_code_is_refused(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "diff_unet_3d_ddpm-ct.pt"
    torch.save({"unet_state_dict": Harmful()}, path, pickle_module=pickle)
    with pytest.raises(ValueError, match="refused, nothing was run"):
        import_file(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "read", "config"),
    [
        ("autoencoder", autoencoder_config, MaisiAutoencoderConfig()),
        ("unet_ddpm", unet_config, MaisiUNetConfig()),
        ("unet_rflow", unet_config, MaisiUNetConfig.rflow()),
        ("controlnet_ddpm", controlnet_config, MaisiControlNetConfig()),
        ("controlnet_rflow", controlnet_config, MaisiControlNetConfig(MaisiUNetConfig.rflow())),
    ],
)
def test_the_released_sizes_follow_from_the_official_lists(name: str, read: Any, config: Any, shared: Path) -> None:
    keys = json.loads((shared / "specs" / "generation" / f"keys_maisi_{name}.json").read_text())["keys"]
    assert read({key: torch.empty(shape, device="meta") for key, (shape, _) in keys.items()}) == config

"""Checkpoints of Medical Diffusion and MedSyn as ``torch.save`` writes them: read strictly, refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow
from priors.weights import store
from priors.weights.importing import import_file
from priors.weights.networks import load_network
from priors.weights.official_medicaldiffusion_medsyn import is_factorised

VQ = VQGANConfig(width=16, latent_channels=4, codes=16, downsample=2, judge_channels=4, judge_layers=2)
UNET = FactorisedUNetConfig(width=8, multipliers=(1, 2), channels=4, heads=2, head_width=8, norm_groups=8)
LOW = MedSynConfig(width=8, multipliers=(1, 2), heads=2, init_kernel=3, text_tokens=3, text_width=6)
SR = MedSynSRConfig(width=8, multipliers=(1, 2), heads=2, init_kernel=3)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no shipped priors."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "store"


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


def saved(tmp_path: Path, content: Any) -> Path:
    torch.save(content, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def same(path: Path, kind: str, network: nn.Module) -> None:
    """A weights file holds exactly this network."""
    found = load_network(path, kind)
    assert found.config == network.config
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_a_vqgan_of_lightning_is_read_without_its_perceptual_network(user: Path, tmp_path: Path) -> None:
    network = VQGAN(VQ)
    state = network.state_dict() | {"perceptual_model.lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}
    path = saved(tmp_path, {"state_dict": state, "global_step": 7, "hyper_parameters": {}})
    written = import_file(path, "md")
    assert [each.name for each in written] == ["medicaldiffusion-vqgan.safetensors"]
    same(user / "md" / "medicaldiffusion-vqgan.safetensors", "medicaldiffusion-vqgan", network)


def test_a_stated_number_of_groups_is_taken(user: Path, tmp_path: Path) -> None:
    network = VQGAN(VQGANConfig(**{**VQ.to_dict(), "norm_groups": 16}))
    config = {"model": {"num_groups": 16, "norm_type": "group"}}
    import_file(saved(tmp_path, {"state_dict": network.state_dict(), "hyper_parameters": {"cfg": config}}), "md")
    same(user / "md" / "medicaldiffusion-vqgan.safetensors", "medicaldiffusion-vqgan", network)


def test_the_average_of_a_noise_estimator_is_read_with_the_vqgan_beside_it(user: Path, tmp_path: Path) -> None:
    network, vqgan = FactorisedUNet(UNET), VQGAN(VQ)
    state = prefixed("denoise_fn.", network) | prefixed("vqgan.", vqgan) | {"betas": torch.zeros(250)}
    raw = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    written = import_file(saved(tmp_path, {"step": 3, "model": raw, "ema": state, "scaler": {}}), "md")
    cards = {path.name: card for path, card in written.items()}
    assert cards.keys() == {"medicaldiffusion.safetensors", "medicaldiffusion-vqgan.safetensors"}
    assert cards["medicaldiffusion.safetensors"].extra["timesteps"] == 250
    assert "not stated" not in cards["medicaldiffusion.safetensors"].source
    same(user / "md" / "medicaldiffusion.safetensors", "medicaldiffusion", network)
    same(user / "md" / "medicaldiffusion-vqgan.safetensors", "medicaldiffusion-vqgan", vqgan)


@pytest.mark.parametrize("prefix", ["", "denoise_fn.", "module.", "module.denoise_fn."])
@pytest.mark.parametrize("key", ["ema", "model", None])
def test_both_networks_of_medsyn_are_read_wherever_they_lie(
    user: Path, tmp_path: Path, prefix: str, key: str | None
) -> None:
    for kind, network in (("medsyn", MedSynLow(LOW)), ("medsyn-sr", MedSynSR(SR))):
        state = prefixed(prefix, network)
        import_file(saved(tmp_path, state if key is None else {key: state}), "ms", overwrite=True)
        same(user / "ms" / f"{kind}.safetensors", kind, network)


def refused(user: Path, tmp_path: Path, content: Any) -> str:
    with pytest.raises(ValueError, match=r"checkpoint\.pt: ") as caught:
        import_file(saved(tmp_path, content), "ms")
    assert not user.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_refused_in_one_line(user: Path, tmp_path: Path) -> None:
    state = MedSynLow(LOW).state_dict()
    missing = {name: tensor for name, tensor in state.items() if name != "mid_block2.mlp.1.bias"}
    assert "mid_block2.mlp.1.bias" in refused(user, tmp_path, {"ema": missing})
    assert "surplus" in refused(user, tmp_path, {"ema": state | {"surplus": torch.zeros(1)}})
    shape = state | {"time_mlp.1.bias": torch.zeros(5)}
    assert "time_mlp.1.bias" in refused(user, tmp_path, {"ema": shape})
    headless = {name: tensor for name, tensor in state.items() if name != "init_conv.weight"}
    assert "no tensor init_conv.weight" in refused(user, tmp_path, {"ema": headless})
    flat = state | {"init_conv.weight": torch.zeros(3)}
    assert "shapes that no network here has" in refused(user, tmp_path, {"ema": flat})


def test_copies_of_one_parameter_that_differ_are_refused(user: Path, tmp_path: Path) -> None:
    name = "mid_spatial_attn3.fn.fn.fn.to_out.weight"
    state = MedSynLow(LOW).state_dict()
    said = refused(user, tmp_path, {"ema": state | {name: state[name] + 1}})
    assert f"{name} and mid_spatial_attn1.fn.fn.fn.to_out.weight are one parameter" in said


class Harmful:
    """A pickle that would call a function."""

    def __reduce__(self) -> Any:
        return print, ("called",)


def test_code_is_refused_and_not_run(user: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(user, tmp_path, {"ema": MedSynLow(LOW).state_dict(), "extra": Harmful()})
    assert "refused, nothing was run" in said
    assert capsys.readouterr().out == ""


def test_other_checkpoints_are_left_to_others() -> None:
    assert not is_factorised({"state_dict": {"conv.weight": torch.zeros(1)}})
    assert not is_factorised({"ema": {"init_conv.weight": torch.zeros(1)}, "args": 1})
    assert not is_factorised([1])

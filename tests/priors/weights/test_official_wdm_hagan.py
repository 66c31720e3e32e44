"""Released files of WDM and HA-GAN become priors; anything else is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from priors.generators.load import load_generator
from priors.networks.fingerprint import tensors_sha256
from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.discriminator import HAGANDiscriminator
from priors.networks.hagan.encoders import HAGANEncoder, HAGANSubEncoder
from priors.networks.hagan.generator import HAGANGenerator
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.make import make_wdm
from priors.weights.importing import import_file
from priors.weights.networks import load_network
from priors.weights.official_wdm_hagan import is_wdm_or_hagan

HAGAN = HAGANConfig(32, width=4, latent=6)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    return tmp_path / "store"


def wdm(form: Any = "unet", multipliers: tuple[int, ...] = (1, 2)) -> nn.Module:
    return make_wdm(WDMConfig(form, width=32, multipliers=multipliers))


def hagan_file(path: Path, network: nn.Module, prefix: str = "module.") -> Path:
    """As the official training saves a network."""
    optimizer = torch.optim.Adam(network.parameters())
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    torch.save({"model": state, "optimizer": optimizer.state_dict()}, path)
    return path


@pytest.mark.parametrize(("form", "multipliers"), [("unet", (1, 2)), ("wavunet", (1, 2)), ("unet", (1, 1, 1, 2, 2))])
def test_wdm(store: Path, tmp_path: Path, form: Any, multipliers: tuple[int, ...]) -> None:
    network = wdm(form, multipliers)
    torch.save(network.state_dict(), tmp_path / "net.pt")
    ((path, card),) = import_file(tmp_path / "net.pt", "wdm-brats").items()
    assert path == store / "wdm-brats" / "wdm.safetensors"
    assert WDMConfig.from_dict(card.config) == network.config
    assert card.source == "imported from net.pt, in the layout of WDM"
    loaded = load_network(path, "wdm")
    assert tensors_sha256(loaded.state_dict()) == tensors_sha256(network.state_dict())
    assert (card.extra["timesteps"], card.extra["axes"]) == (1000, "xyz")
    assert card.extra.get("size") == ([128] * 3 if len(multipliers) == 5 else None)
    assert load_generator(path.parent).method == "WDM"


def test_hagan(store: Path, tmp_path: Path) -> None:
    network = HAGANGenerator(HAGAN)
    path = hagan_file(tmp_path / "G_iter80000.pth", network)
    ((written, card),) = import_file(path, "hagan-lung", settings={"size": 32}).items()
    assert written == store / "hagan-lung" / "hagan.safetensors"
    assert HAGANConfig.from_dict(card.config) == HAGAN
    assert tensors_sha256(load_network(written, "hagan").state_dict()) == tensors_sha256(network.state_dict())
    assert load_generator(written.parent).method == "HA-GAN"
    ((_, card),) = import_file(path, "large").items()
    assert (card.config["size"], card.extra["size"]) == (256, [256] * 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (HAGANDiscriminator(HAGAN), r"HA-GAN's discriminator \(D_iter…\); only its generator"),
        (HAGANEncoder(HAGAN), r"HA-GAN's encoder of slabs"),
        (HAGANSubEncoder(HAGAN), r"HA-GAN's encoder of volumes"),
    ],
)
def test_other_networks_of_hagan_make_no_volumes(tmp_path: Path, network: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        import_file(hagan_file(tmp_path / "net.pth", network), "x")
    assert "\n" not in str(caught.value)


def changed(state: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    """A state dict in which something is wrong."""
    first = "tp_conv3.weight" if "module.tp_conv3.weight" in state or "tp_conv3.weight" in state else "out.2.weight"
    name = next(each for each in state if each.endswith(first))
    if what == "missing":
        return {each: tensor for each, tensor in state.items() if each != name}
    if what == "more":
        return state | {f"{name}.more": torch.zeros(2)}
    return state | {name: torch.zeros(2, 2)}


@pytest.mark.parametrize("what", ["missing", "more", "shape"])
def test_other_tensors_are_refused(tmp_path: Path, what: str) -> None:
    torch.save(changed(dict(wdm().state_dict()), what), tmp_path / "wdm.pt")
    generator = {f"module.{name}": tensor for name, tensor in HAGANGenerator(HAGAN).state_dict().items()}
    torch.save({"model": changed(generator, what), "optimizer": {}}, tmp_path / "hagan.pth")
    for name in ("wdm.pt", "hagan.pth"):
        with pytest.raises(ValueError, match="do not fit its configuration") as caught:
            import_file(tmp_path / name, "x")
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_files_that_only_look_like_them(tmp_path: Path) -> None:
    first = {"input_blocks.0.0.weight": torch.zeros(32, 3, 3, 3, 3)}
    generator = HAGANGenerator(HAGAN).state_dict()
    unprefixed = {"module.tp_conv1.weight": torch.zeros(1)} | dict(generator)
    cases: dict[str, tuple[Any, dict[str, int], str]] = {
        "bands": (first, {}, "3 input channels; WDM's has 8"),
        "alone": ({"input_blocks.0.0.weight": torch.zeros(32, 8, 3, 3, 3)}, {}, "not those of WDM"),
        "names": ({"model": unprefixed}, {}, "names without 'module.'"),
        "few": ({"model": {"module.tp_conv1.weight": torch.zeros(1)}}, {}, "not those of HA-GAN's generator"),
        "set": (dict(wdm().state_dict()), {"size": 128}, "`settings` size: none is taken"),
        "other": ({"model": {f"module.{k}": v for k, v in generator.items()}}, {"edge": 1}, "edge: only size"),
    }
    for name, (content, settings, message) in cases.items():
        torch.save(content, tmp_path / f"{name}.pt")
        with pytest.raises(ValueError, match=message) as caught:
            import_file(tmp_path / f"{name}.pt", "x", settings=settings)
        assert "\n" not in str(caught.value)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    torch.save({"model": {"module.tp_conv1.weight": Harm()}, "optimizer": {}}, tmp_path / "G_iter1.pth")
    with pytest.raises(ValueError, match="refused, nothing was run"):
        import_file(tmp_path / "G_iter1.pth", "x")
    assert not (tmp_path / "run").exists()


def test_what_is_recognised() -> None:
    assert is_wdm_or_hagan(dict(wdm().state_dict()))
    assert not is_wdm_or_hagan({"input_blocks.0.0.weight": torch.zeros(4, 1, 3, 3)})
    assert not is_wdm_or_hagan({"model": {"init_conv.weight": torch.zeros(1)}, "ema": {}})
    assert not is_wdm_or_hagan({"model": None})
    assert not is_wdm_or_hagan([1])

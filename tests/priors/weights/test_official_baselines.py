"""Released weights of the methods to compare with: each layout loads strictly and computes what its source does."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.networks.fingerprint import tensors_sha256
from priors.networks.registry import KINDS
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.networks.unrolled import LearnedPrimalDual, MoDL, MoDLConfig, PrimalDualConfig
from priors.networks.varnet import VarNet, VarNetConfig
from priors.weights import official_baselines, store
from priors.weights.card import Card, save_weights
from priors.weights.importing import BASELINES, file_sha256, import_file, originals
from priors.weights.networks import load_network, verify
from priors.weights.official_baselines import RELEASED_ADM, ReleasedADM, is_baseline, load_baseline

SMALL: dict[str, Any] = {"width": 32, "multipliers": (1, 1), "attention": (2,), "head_width": 16}
EPSILON = 1e-4


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no shipped priors."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "store"


@pytest.fixture
def small_adm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released ADM networks, but tiny."""
    for channels, known in RELEASED_ADM.items():
        config = ADMConfig(channels=known.config.channels, in_channels=channels, **SMALL)
        tiny = ReleasedADM(known.kind, config, known.source, known.licence, known.extra)
        monkeypatch.setitem(official_baselines.RELEASED_ADM, channels, tiny)


def fbpconvnet(**changes: Any) -> FBPConvNet:
    """A network with statistics that are not those of a fresh one."""
    torch.manual_seed(0)
    network = FBPConvNet(FBPConvNetConfig(**({"width": 4, "levels": 3} | changes))).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                assert values is not None
                nn.init.normal_(values, std=0.2)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.2)
    return network


def matlab_layers(network: FBPConvNet) -> list[dict[str, Any]]:
    """As MatConvNet keeps them, with layers between that have no weights."""
    layers: list[dict[str, Any]] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            moments = torch.stack([module.running_mean, (module.running_var + EPSILON).sqrt()], dim=1)
            layers.append({"type": "bnorm", "weights": cell(module.weight, module.bias, moments)})
            layers.append({"type": "relu"})
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.bias is not None
            kind = "conv" if isinstance(module, nn.Conv2d) else "convt"
            layers.append({"type": kind, "weights": cell(module.weight.permute(2, 3, 1, 0), module.bias)})
    return layers


def cell(*tensors: Tensor) -> np.ndarray[Any, Any]:
    cells = np.empty(len(tensors), dtype=object)
    for place, tensor in enumerate(tensors):
        cells[place] = tensor.detach().numpy().astype(np.float32)
    return cells


def save_matlab(path: Path, layers: list[dict[str, Any]]) -> Path:
    cells = np.empty(len(layers), dtype=object)
    cells[:] = layers
    scipy.io.savemat(path, {"net": {"layers": cells}, "info": {"train": 1.0}})
    return path


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_dds_and_dolce(tmp_path: Path, small_adm: None, channels: int) -> None:
    known = RELEASED_ADM[channels]
    torch.manual_seed(channels)
    state = OrderedDict(ADMUNet(known.config).state_dict())
    torch.save(state, tmp_path / "net.pt")
    loaded = load_baseline(tmp_path / "net.pt")
    assert loaded.kind == ("dolce" if channels == 3 else "adm")
    assert (loaded.extra["timesteps"], loaded.extra["conditions"]) == ((2000, 1) if channels == 3 else (1000, 0))
    assert tensors_sha256(loaded.network.state_dict()) == tensors_sha256(state)


def test_what_the_released_adm_networks_are() -> None:
    assert {channels: known.config for channels, known in RELEASED_ADM.items()} == {
        1: ADMConfig.dds_ct(),
        2: ADMConfig.dds_mri(),
        3: ADMConfig.dolce(),
    }
    assert all(known.config.in_channels == channels for channels, known in RELEASED_ADM.items())


def test_an_adm_network_of_other_sizes_is_refused(tmp_path: Path) -> None:
    for in_channels, message in ((1, "do not fit its configuration"), (4, "4 input channels; DDS's have 1 or 2")):
        torch.save(ADMUNet(ADMConfig(in_channels=in_channels, **SMALL)).state_dict(), tmp_path / "net.pt")
        with pytest.raises(ValueError, match=message) as caught:
            load_baseline(tmp_path / "net.pt")
        assert "\n" not in str(caught.value)


def test_fastmris_unet(shared: Path, tmp_path: Path) -> None:
    known = load_file(shared / "fixtures" / "baselines" / "fastmri_unet_tiny.safetensors")
    state = {name.removeprefix("w."): tensor for name, tensor in known.items() if name.startswith("w.")}
    torch.save(state, tmp_path / "knee.pt")
    loaded = load_baseline(tmp_path / "knee.pt")
    config: Any = loaded.network.config
    assert loaded.kind == "unet"
    assert (config.chans, config.pool_layers, config.in_channels, config.out_channels) == (8, 3, 1, 1)
    image = known["in.even"]
    with torch.no_grad():
        mean, deviation = image.mean((2, 3), keepdim=True), image.std((2, 3), keepdim=True)
        expected = load_fastmri(state)(((image - mean) / deviation).clamp(-6, 6)) * deviation + mean
        torch.testing.assert_close(loaded.network.eval()(image), expected, rtol=0, atol=5e-5)


def load_fastmri(state: dict[str, Tensor]) -> nn.Module:
    """fastMRI's own network."""
    from fastmri.models.unet import Unet

    network = Unet(1, 1, chans=8, num_pool_layers=3)
    network.load_state_dict(state)
    return network.eval()


def test_the_port_of_fbpconvnet(tmp_path: Path) -> None:
    network = fbpconvnet()
    optimiser = torch.optim.SGD(network.parameters(), 1e-2, momentum=0.99)
    network(torch.ones(1, 1, 8, 8)).sum().backward()
    optimiser.step()
    content = {"epoch": 100, "state_dict": network.state_dict(), "optimizer": optimiser.state_dict()}
    torch.save(content, tmp_path / "epoch-100.pkl")
    loaded = load_baseline(tmp_path / "epoch-100.pkl")
    assert loaded.kind == "fbpconv"
    assert isinstance(loaded.network, FBPConvNet)
    assert loaded.network.config == network.config
    image = torch.randn(2, 1, 8, 12)
    assert torch.equal(loaded.network.eval()(image), network(image))


@pytest.mark.parametrize("levels", [2, 3])
def test_fbpconvnet_of_matconvnet(tmp_path: Path, levels: int) -> None:
    network = fbpconvnet(levels=levels, matconvnet=True)
    loaded = load_baseline(save_matlab(tmp_path / "net-epoch-151.mat", matlab_layers(network)))
    assert isinstance(loaded.network, FBPConvNet)
    assert loaded.network.config == FBPConvNetConfig(width=4, levels=levels, legacy=True, matconvnet=True)
    image = torch.randn(1, 1, 8, 12)
    with torch.no_grad():
        expected = network(image)
        kept = loaded.network.eval()
        kept.use_batch_statistics(False)
        torch.testing.assert_close(kept(image), expected, rtol=0, atol=1e-5)
        kept.use_batch_statistics(True)
        network.use_batch_statistics(True)
        torch.testing.assert_close(kept(image), network(image), rtol=0, atol=1e-5)


def test_a_deviation_smaller_than_what_was_added_to_it(tmp_path: Path) -> None:
    layers = matlab_layers(fbpconvnet(matconvnet=True))
    layers[1]["weights"][2][:, 1] = 1e-3
    loaded = load_baseline(save_matlab(tmp_path / "net.mat", layers))
    assert not loaded.network.state_dict()["block_1_1.1.running_var"].any()


def break_matlab(what: str, layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if what == "order":
        return layers[1:] + layers[:1]
    if what == "moments":
        layers[1]["weights"] = layers[1]["weights"][:2]
    if what == "filters":
        layers[3]["weights"][0] = layers[3]["weights"][0][:, :2]
    if what == "bias":
        layers[3]["weights"][1] = layers[3]["weights"][1][:-1]
    if what == "offsets":
        layers[0]["weights"] = layers[0]["weights"][:1]
    if what == "types":
        return [layer | {"type": "relu"} for layer in layers]
    return layers


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("order", "not those of an FBPConvNet"),
        ("moments", "without its moments"),
        ("filters", r"filters of \(3, 2, 4, 4\), where \(3, 3, 4, 4\) are wanted"),
        ("bias", "do not fit its configuration"),
        ("offsets", "without filters and offsets"),
        ("types", "no layer with weights"),
    ],
)
def test_other_networks_of_matconvnet(tmp_path: Path, what: str, message: str) -> None:
    layers = break_matlab(what, matlab_layers(fbpconvnet(matconvnet=True)))
    with pytest.raises(ValueError, match=message):
        load_baseline(save_matlab(tmp_path / "net.mat", layers))


@pytest.mark.parametrize("size", [0, 3, 200, 1000])
def test_damaged_matlab_files(tmp_path: Path, size: int) -> None:
    path = save_matlab(tmp_path / "net.mat", matlab_layers(fbpconvnet()))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"net.mat: (damaged|no MatConvNet)"):
        load_baseline(path)


def test_matlab_files_with_something_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        load_baseline(tmp_path / "net.mat")
    scipy.io.savemat(tmp_path / "net.mat", {"net": 3.0})
    with pytest.raises(ValueError, match="no MatConvNet network 'net'"):
        load_baseline(tmp_path / "net.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "net.mat").write_bytes(header + bytes(100))
    with pytest.raises(ValueError, match=r"format 7\.3; save it again with -v7"):
        load_baseline(tmp_path / "net.mat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(2)}, "none of the released networks"),
        ([1, 2], "none of the released networks"),
        ({"state_dict": 3}, "none of the released networks"),
        ({"time_embed.0.weight": torch.zeros(2, 2)}, "no tensor input_blocks.0.0.weight"),
        ({"block_1_1.0.weight": torch.zeros(4)}, "it is no convolution's"),
        ({"block_1_1.0.weight": 3}, "no plain tensor"),
        ({"block_1_1.0.weight": torch.zeros(0, 1, 3, 3)}, "width is 0"),
    ],
)
def test_other_files(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=message) as caught:
        load_baseline(tmp_path / "net.pt")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    torch.save({"block_1_1.0.weight": Harm()}, tmp_path / "epoch-1.pkl")
    with pytest.raises(ValueError, match="refused, nothing was run"):
        load_baseline(tmp_path / "epoch-1.pkl")
    (tmp_path / "net.mat").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="damaged, or no MATLAB file"):
        load_baseline(tmp_path / "net.mat")
    assert not (tmp_path / "run").exists()


def test_they_become_priors(user: Path, tmp_path: Path, small_adm: None) -> None:
    networks: dict[str, nn.Module] = {
        "AAPM256_1M.pt": ADMUNet(RELEASED_ADM[1].config),
        "model512_ckc.pt": ADMUNet(RELEASED_ADM[3].config),
    }
    for name, network in networks.items():
        torch.save(network.state_dict(), tmp_path / name)
        ((path, card),) = import_file(tmp_path / name).items()
        assert path == user / BASELINES[name].prior / f"{BASELINES[name].kind}.safetensors"
        assert verify(path) == card
        assert card.extra["original_sha256"] == file_sha256(tmp_path / name) == originals()[name]
        assert card.extra["schedule"] == "linear"
        loaded = load_network(path, card.kind)
        assert tensors_sha256(loaded.state_dict()) == tensors_sha256(network.state_dict())
    with pytest.raises(ValueError, match="exists already"):
        import_file(tmp_path / "model512_ckc.pt")
    path = save_matlab(tmp_path / "mine.mat", matlab_layers(fbpconvnet(matconvnet=True)))
    with pytest.raises(ValueError, match="name its prior with `prior`"):
        import_file(path)
    ((written, card),) = import_file(path, "own").items()
    assert written == user / "own" / "fbpconv.safetensors"
    assert (card.licence, card.source.startswith("imported from mine.mat, in the layout of")) == ("not known", True)
    assert load_network(written, "fbpconv").config.matconvnet


SLICE_NETWORKS = [kind for kind, facts in KINDS.items() if facts.on_slices and facts.place == "prior"]


@pytest.mark.parametrize("kind", SLICE_NETWORKS)
def test_every_kind_comes_back_from_a_weights_file(user: Path, tmp_path: Path, kind: str) -> None:
    networks: dict[str, Any] = {
        "fbpconv": fbpconvnet,
        "unet": lambda: UNet2D(UNetConfig(chans=4, pool_layers=2)),
        "adm": lambda: ADMUNet(ADMConfig(**SMALL)),
        "dolce": lambda: ADMUNet(ADMConfig(in_channels=3, **SMALL)),
        "primal-dual": lambda: LearnedPrimalDual(PrimalDualConfig(iterations=2, width=4)),
        "modl": lambda: MoDL(MoDLConfig(iterations=2, width=4, depth=2)),
        "varnet": lambda: VarNet(VarNetConfig(2, 4, 2, 2, 2)),
    }
    network = networks[kind]()
    save_weights(tmp_path / "net.safetensors", network.state_dict(), Card(kind, network.config.to_dict()))
    ((path, card),) = import_file(tmp_path / "net.safetensors", "own").items()
    assert path == user / "own" / f"{kind}.safetensors"
    loaded = load_network(path, kind)
    assert type(loaded) is type(network)
    assert loaded.config == network.config
    assert tensors_sha256(loaded.state_dict()) == card.sha256


def test_every_released_file_has_its_place() -> None:
    assert {released.kind for released in BASELINES.values()} <= set(SLICE_NETWORKS)
    assert len(set(BASELINES.values())) == len(BASELINES)


def test_what_is_recognised(tmp_path: Path) -> None:
    assert is_baseline(fbpconvnet().state_dict())
    assert is_baseline({"state_dict": fbpconvnet().state_dict(), "epoch": 3})
    assert not is_baseline({"state_dict": {"encoder.conv.weight": 1}, "hyper_parameters": {}})
    assert not is_baseline({"ema": {}, "args": None})
    assert not is_baseline(None)

"""The store of weights: where priors are found, how files come into it, and that nothing in it is lost."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from priors.diffusion.load import load_prior
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.controlnet import ControlNet
from priors.networks.fingerprint import tensors_sha256
from priors.networks.perceptual import LPIPS
from priors.weights import store
from priors.weights.card import Card, read_card, save_weights
from priors.weights.importing import RELEASED, file_sha256, import_file, originals
from priors.weights.networks import load_biflownet, load_lpips, verify
from priors.weights.store import entries, facts, find_entries, find_prior, prior_folder, prior_names, user_folder

ARGUMENTS = {
    "volume_channels": 2,
    "model_dim": 24,
    "dim_mults": [1, 1],
    "use_attn": [0, 0],
    "patch_size": 2,
    "num_dit": 1,
    "num_classes": 2,
    "vq_size": 64,
    "timesteps": 500,
    "loss_type": "l1",
}
CONFIGURATION = {
    "model": {
        "n_hiddens": 4,
        "embedding_dim": 2,
        "n_codes": 8,
        "downsample": [4, 4, 4],
        "num_groups": 2,
        "norm_type": "group",
        "disc_channels": 2,
        "disc_layers": 1,
    },
    "dataset": {"image_channels": 1, "patch_size": 8},
}


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no shipped priors."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small networks under the official names, in the official layout."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    official = {"dim": 24, "dim_mults": [1, 1], "use_sparse_linear_attn": [0, 0], "channels": 2, "cond_classes": 2}
    network = BiFlowNet.from_official_config(official | {"patch_size": 2})
    content = {"ema": dict(network.state_dict()), "args": argparse.Namespace(**ARGUMENTS)}
    torch.save(content, folder / "BiFlowNet_0453500.pt")
    state = PatchVolumeAutoencoder.from_official_config(CONFIGURATION, perceptual=True).state_dict()
    torch.save({"state_dict": state, "hyper_parameters": {"cfg": CONFIGURATION}}, folder / "PatchVolume_8x_s2.ckpt")
    return folder


def new_prior(folder: Path) -> Path:
    """A prior's folder, without weights to speak of."""
    network = PatchVolumeAutoencoder(AutoencoderConfig(width=2, latent_channels=1, codes=2, norm_groups=1, patch=4))
    for name in ("autoencoder", "biflownet"):
        card = Card("autoencoder", network.config.to_dict(), "drawn", "CC0")
        save_weights(folder / f"{name}.safetensors", network.state_dict(), card)
    return folder


def names(folder: Path) -> set[str]:
    """All files below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_where_the_users_weights_are(user: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert user_folder() == user
    monkeypatch.delenv("RECON_WEIGHTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert user_folder() == tmp_path / ".local" / "share" / "recon" / "weights"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "recon" / "weights"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # which the standard says to ignore
    assert user_folder() == tmp_path / ".local" / "share" / "recon" / "weights"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert user_folder() == tmp_path / "Library" / "Application Support" / "recon" / "weights"


def test_a_prior_is_found_by_name_or_folder(user: Path, tmp_path: Path) -> None:
    own, shipped = new_prior(user / "own"), new_prior(tmp_path / "shipped" / "starter")
    elsewhere = new_prior(tmp_path / "elsewhere" / "mine")
    assert prior_names() == ["own", "starter"]
    assert find_prior("own") == own
    assert find_prior("starter") == shipped
    assert find_prior("elsewhere/mine") == Path("elsewhere/mine")
    assert find_prior(elsewhere) == elsewhere
    (tmp_path / "own").mkdir()  # a folder here of that name does not get in the way
    assert find_prior("own") == own
    assert find_prior("./own") == Path("own")


@pytest.mark.parametrize("name", ["starter", "", "elsewhere/none", "..", "a/../own"])
def test_a_prior_that_is_not_there(user: Path, name: str) -> None:
    with pytest.raises(ValueError, match="there are: none yet") as caught:
        find_prior(name if name != ".." else "...")
    assert "recon weights import" in str(caught.value)
    new_prior(user / "own")
    with pytest.raises(ValueError, match="there are: own"):
        find_prior("other")


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", ".hidden", "a b", "-x"])
def test_names_that_no_folder_should_have(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a prior"):
        prior_folder(name)


def test_shipped_priors_cannot_be_changed(tmp_path: Path, checkpoints: Path) -> None:
    new_prior(tmp_path / "shipped" / "starter")
    with pytest.raises(ValueError, match="comes with the package"):
        import_file(checkpoints / "BiFlowNet_0453500.pt", "starter")


def test_entries_and_what_they_are(user: Path, tmp_path: Path) -> None:
    assert entries() == []
    new_prior(tmp_path / "shipped" / "starter")
    own = new_prior(user / "own")
    (own / "heads").mkdir()
    shutil.copy(own / "biflownet.safetensors", own / "heads" / "views.safetensors")
    (own / ".x.safetensors.partial").touch()
    (own / ".x.safetensors").touch()
    assert [(entry.name, entry.shipped) for entry in entries()] == [
        ("own/autoencoder", False),
        ("own/biflownet", False),
        ("own/heads/views", False),
        ("starter/autoencoder", True),
        ("starter/biflownet", True),
    ]
    assert [entry.name for entry in find_entries("own/heads")] == ["own/heads/views"]
    assert len(find_entries("own")) == 3
    with pytest.raises(ValueError, match=r"no prior of the name 'ow'; there are: own, starter"):
        find_entries("ow")
    found = facts(own / "autoencoder.safetensors")
    assert found.card == read_card(own / "autoencoder.safetensors")
    network = PatchVolumeAutoencoder(AutoencoderConfig.from_dict(found.card.config))
    assert found.numbers == sum(tensor.numel() for tensor in network.state_dict().values())
    assert found.size == (own / "autoencoder.safetensors").stat().st_size


def test_official_checkpoints_become_a_prior(user: Path, checkpoints: Path) -> None:
    estimator, autoencoder = checkpoints / "BiFlowNet_0453500.pt", checkpoints / "PatchVolume_8x_s2.ckpt"
    folder = user / "official-8x"
    assert list(import_file(estimator)) == [folder / "biflownet.safetensors"]
    written = import_file(autoencoder)
    assert {path.name: card.kind for path, card in written.items()} == {
        "autoencoder.safetensors": "autoencoder",
        "lpips.safetensors": "lpips",
    }
    prior = load_prior(folder)
    assert (prior.name, prior.diffusion.timesteps) == ("official-8x", 500)
    content = torch.load(estimator, weights_only=False)  # our own file of a minute ago
    assert tensors_sha256(prior.biflownet.state_dict()) == tensors_sha256(content["ema"])
    state = torch.load(autoencoder, weights_only=True)["state_dict"]
    inside = {name.split("perceptual_model.")[1]: t for name, t in state.items() if "perceptual_model." in name}
    assert tensors_sha256(load_lpips(folder / "lpips.safetensors").state_dict()) == tensors_sha256(inside)
    for path in names(folder):
        card = verify(folder / path)
        original = estimator if card.kind == "biflownet" else autoencoder
        assert card.extra["original_sha256"] == file_sha256(original) == originals()[original.name]
        assert original.name in card.source
        assert card.licence == "not stated by the authors"
    assert read_card(folder / "biflownet.safetensors").extra["training_steps"] == 453_500
    assert names(user) == {f"official-8x/{name}.safetensors" for name in ("autoencoder", "biflownet", "lpips")} | {
        "originals.json"
    }


def test_every_official_file_has_its_place() -> None:
    assert {(released.prior, released.kind) for released in RELEASED.values()} == {
        (prior, kind) for prior in ("official-8x", "official-4x") for kind in ("autoencoder", "biflownet")
    }


def test_nothing_is_replaced_unasked(user: Path, checkpoints: Path) -> None:
    path = checkpoints / "PatchVolume_8x_s2.ckpt"
    (user / "official-8x").mkdir(parents=True)
    (user / "official-8x" / "lpips.safetensors").write_text("mine")
    with pytest.raises(ValueError, match=r"lpips.safetensors: exists already"):
        import_file(path)
    assert names(user) == {"official-8x/lpips.safetensors"}
    import_file(path, overwrite=True)
    verify(user / "official-8x" / "lpips.safetensors")
    import_file(path, "another")
    assert read_card(user / "another" / "autoencoder.safetensors").extra["original_file"] == path.name


def test_a_file_that_is_not_the_first_of_its_name(user: Path, checkpoints: Path, tmp_path: Path) -> None:
    path = tmp_path / "BiFlowNet_0453500.pt"
    import_file(shutil.copy(checkpoints / path.name, path))
    first = originals()[path.name]
    content = torch.load(path, weights_only=False)
    content["ema"]["init_conv.bias"] += 1
    torch.save(content, path)
    with pytest.raises(ValueError, match=f"not the file that was first imported as {path.name}.*{first}"):
        import_file(path, "another")
    assert prior_names() == ["official-8x"]
    import_file(path, overwrite=True)
    assert originals()[path.name] == file_sha256(path) != first
    loaded = load_biflownet(user / "official-8x" / "biflownet.safetensors")
    assert torch.equal(loaded.init_conv.bias, content["ema"]["init_conv.bias"])


def test_a_checkpoint_of_ones_own(user: Path, checkpoints: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checkpoints / "BiFlowNet_0453500.pt", tmp_path / "trained.pt"))
    with pytest.raises(ValueError, match=r"none of the official files.*`prior`"):
        import_file(path)
    (card,) = import_file(path, "own", settings={"DiT_num_heads": 4}).values()
    assert (card.source, card.licence, card.config["dit_heads"]) == ("imported from trained.pt", "not known", 4)
    assert originals() == {}
    assert names(user) == {"own/biflownet.safetensors"}


def test_files_of_this_suite_are_verified_and_copied(user: Path, tmp_path: Path) -> None:
    config = BiFlowNetConfig(width=12, multipliers=(1, 1), attention=(False, False), norm_groups=4, dit_heads=2)
    base = BiFlowNet(config)
    head = ControlNet.from_base(base, 1)
    networks: dict[str, Any] = {"biflownet": base, "controlnet": head, "lpips": LPIPS()}
    for kind, network in networks.items():
        config_of = network.config.to_dict() if kind != "lpips" else {}
        save_weights(tmp_path / f"{kind}-7.safetensors", network.state_dict(), Card(kind, config_of, "me", "CC0"))
        (path,) = import_file(tmp_path / f"{kind}-7.safetensors", "own")
        assert path.read_bytes() == (tmp_path / f"{kind}-7.safetensors").read_bytes()
    assert names(user) == {f"own/{name}.safetensors" for name in ("biflownet", "lpips", "heads/controlnet-7")}
    damaged = tmp_path / "lpips-7.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="not those it was written with"):
        import_file(damaged, "other")
    assert prior_names() == ["own"]


@pytest.mark.parametrize("content", ["{", "[1, 2]"])
def test_a_damaged_record_of_first_imports(user: Path, content: str) -> None:
    user.mkdir()
    (user / "originals.json").write_text(content)
    with pytest.raises(ValueError, match=r"originals.json: damaged"):
        originals()


def test_a_failed_import_leaves_nothing(
    user: Path, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = LPIPS()
    save_weights(tmp_path / "l.safetensors", network.state_dict(), Card("lpips", {}))

    def interrupted(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_file(tmp_path / "l.safetensors", "own")
    assert names(user) == set()
    (tmp_path / "BiFlowNet_4x.pt").write_bytes(json.dumps([1]).encode())
    with pytest.raises(ValueError, match="no checkpoint"):
        import_file(tmp_path / "BiFlowNet_4x.pt")
    assert names(user) == set()


def test_our_own_weights_are_found_in_their_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the suite is installed from its wheel, no folder ``pretrained`` lies beside the code."""
    monkeypatch.undo()
    monkeypatch.setattr(store, "__file__", str(tmp_path / "site/priors/weights/store.py"))
    assert not store.shipped_folder().exists()
    assert store.how_to_get_shipped().endswith("'pip install meddiffusion-recon-weights' adds them")
    with pytest.raises(ValueError, match="pip install meddiffusion-recon-weights") as caught:
        store.find_prior("starter")
    assert "\n" not in str(caught.value)
    (tmp_path / "site/meddiffusion_recon_weights/starter").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert store.shipped_folder() == tmp_path / "site/meddiffusion_recon_weights"
    assert store.how_to_get_shipped() == ""
    assert store.find_prior("starter") == tmp_path / "site/meddiffusion_recon_weights/starter"

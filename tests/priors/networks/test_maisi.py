"""MAISI's networks: they are the library's, and say so where it is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from priors.networks.maisi.axes import from_maisi, to_maisi
from priors.networks.maisi.conditions import check_told_apart, label_bits, told
from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiControlNetConfig, MaisiUNetConfig

ROOT = Path(__file__).resolve().parents[3]
RECORDED: dict[str, Any] = json.loads((ROOT / "tests/parity/recorded/maisi.json").read_text())
CASES, LAYOUTS = RECORDED["cases"], RECORDED["layouts"]
NEEDS_MONAI = "MAISI's networks come with monai"


def test_configurations_are_read_without_the_library_and_priors_do_not_import_it() -> None:
    code = (
        "import sys; sys.modules['monai'] = None\n"
        "import priors.networks.registry, priors.diffusion.load, priors.generators.load, priors.generators.maisi\n"
        "import priors.weights.importing, recon.training.registry, recon.training.generators.maisi\n"
        "from priors.networks.registry import KINDS\n"
        "config = KINDS['maisi'].config_class()()\n"
        "try: KINDS['maisi'].build(config.to_dict(), {})\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "MAISI's networks are MONAI's, which is not installed: pip install 'meddiffusion-recon[monai]'\n"
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_tensors_are_named_and_shaped_as_in_the_released_files(name: str) -> None:
    pytest.importorskip("monai", reason=NEEDS_MONAI)
    from parity.layouts import digest
    from parity.maisi import NETWORKS

    with torch.device("meta"):
        network = NETWORKS[name]()
    found = digest((key, list(tensor.shape)) for key, tensor in network.state_dict().items())
    assert found | {"parameters": sum(each.numel() for each in network.parameters())} == LAYOUTS[name]


@pytest.mark.parametrize("name", CASES)
def test_a_network_computes_what_it_did_when_it_agreed_with_the_recording(name: str) -> None:
    pytest.importorskip("monai", reason=NEEDS_MONAI)
    from parity import maisi
    from parity.formula import largest_difference, summary

    known, computed = CASES[name], maisi.CASES[name].compute()
    assert json.loads(json.dumps(computed.config)) == known["config"]
    assert computed.weights_sha256 == known["weights_sha256"]
    found = {
        each: largest_difference(summary(value), known["outputs"][each]) for each, value in computed.outputs.items()
    }
    assert max(found.values()) <= known["tolerance"], found
    assert known["official"]["largest_deviation"] <= known["tolerance"]


@pytest.mark.parametrize("name", CASES)
def test_the_official_recording_still_agrees(name: str, shared: Path) -> None:
    pytest.importorskip("monai", reason=NEEDS_MONAI)
    from parity import maisi

    assert maisi.CASES[name].deviation(shared / "fixtures") <= maisi.CASES[name].tolerance


def test_axes_are_turned_there_and_back() -> None:
    image = torch.arange(24.0).reshape(1, 1, 2, 3, 4)
    assert to_maisi(image).shape == (1, 1, 3, 4, 2)
    assert torch.equal(from_maisi(to_maisi(image)), image)
    assert float(to_maisi(image)[0, 0, 2, 1, 1]) == float(image[0, 0, 1, 2, 1])


def test_what_a_network_is_told() -> None:
    spacing = torch.tensor([[5.0, 1.0, 2.0]])
    first = told(MaisiUNetConfig(), ["CTChestAbdomen"], spacing)
    assert first["top_region_index_tensor"].tolist() == [[0, 100, 0, 0]]
    assert first["bottom_region_index_tensor"].tolist() == [[0, 0, 100, 0]]
    assert first["spacing_tensor"].tolist() == [[100, 200, 500]], "theirs is (x, y, z)"
    second = told(MaisiUNetConfig.rflow(), ["MRT2Brain"], spacing)
    assert second.keys() == {"spacing_tensor", "class_labels"}
    assert second["class_labels"].tolist() == [11]


def test_classes_that_cannot_be_told_apart_are_refused() -> None:
    check_told_apart(MaisiUNetConfig(), ["CTChestAbdomen", "CTLegs"])
    check_told_apart(MaisiUNetConfig.rflow(), ["CTLegs", "MRT1Brain"])
    check_told_apart(MaisiUNetConfig(regions=False), ["MRT1Brain"])
    with pytest.raises(ValueError, match=r"MRT1Brain has none; take `network\.regions` false"):
        check_told_apart(MaisiUNetConfig(), ["MRT1Brain"])
    with pytest.raises(ValueError, match="told the same of CTLegs, CTHeadNeck"):
        check_told_apart(MaisiUNetConfig.rflow(), ["CTLegs", "CTHeadNeck"])


def test_label_maps_are_shown_by_their_bits() -> None:
    bits = label_bits(torch.tensor([0, 1, 130, 255]).reshape(1, 1, 4, 1, 1))
    assert bits.shape == (1, 8, 4, 1, 1)
    assert bits[0, :, 2, 0, 0].tolist() == [0, 1, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "config",
    [
        MaisiAutoencoderConfig(),
        MaisiUNetConfig.rflow(),
        MaisiControlNetConfig(MaisiUNetConfig.rflow(), 4, (8,), {"a": 1}),
    ],
)
def test_configurations_survive_json(config: Any) -> None:
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="unknown or missing: depth"):
        type(config).from_dict(config.to_dict() | {"depth": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": (8, 20)}, "each must be a multiple of norm_groups, 32"),
        ({"widths": (32, 32)}, "attention .*: one value for each of the 2 widths"),
        ({"head_width": 100}, "head_width 100 does not divide 256"),
        ({"classes": -1}, "classes -1 must be 0 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaisiUNetConfig(**values)


def test_a_controlnet_takes_what_it_shares_with_its_base_and_changes_nothing_at_first() -> None:
    pytest.importorskip("monai", reason=NEEDS_MONAI)
    from maisi_networks import network, unet_config

    from priors.networks.maisi.controlnet import MaisiControlNet, attach_maisi
    from priors.networks.maisi.estimate import estimate

    base = network("maisi", unet_config("rflow"))
    head = MaisiControlNet.from_base(base, 4, (8,), {"for": "a test"}).eval()
    assert torch.equal(head.conv_in.conv.weight, base.conv_in.conv.weight)
    z, time = torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0, 900.0])
    inputs = told(base.config, ["MRKnee"] * 2, torch.full((2, 3), 2.0))
    attached = attach_maisi(base, head, torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        alone = estimate(base, z, time, inputs)
        torch.testing.assert_close(estimate(base, z, time, inputs, [attached]), alone)
        for parameter in head.parameters():
            parameter.add_(0.05)
        assert not torch.allclose(estimate(base, z, time, inputs, [attached]), alone)
    with pytest.raises(ValueError, match=r"a hint of shape \(1, 3, 4, 8, 8\); \(B, 4, Z, X, Y\) is wanted"):
        attach_maisi(base, head, torch.zeros(1, 3, 4, 8, 8))
    with torch.no_grad():
        base.conv_in.conv.weight.add_(1)
    with pytest.raises(ValueError, match="was made for the U-Net"):
        attach_maisi(base, head, torch.zeros(1, 4, 4, 8, 8))
    with pytest.raises(ValueError, match="a head of another kind of prior"):
        attach_maisi(base, torch.nn.Identity(), torch.zeros(1, 4, 4, 8, 8))

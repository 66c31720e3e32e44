"""Trained perceptual networks are read from their published layouts, nothing else is; MedicalNet's distance."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file

from priors.networks.ct_perceptual import FIRST_STAGE, CTPerceptual
from priors.networks.medicalnet import MedicalNetPerceptual
from priors.networks.perceptual import LPIPS, TriPlanePerceptual
from priors.networks.resnet3d import ResNet3D
from priors.networks.squeezenet import SqueezeNet
from priors.weights.perceptual_files import load_perceptual


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    torch.manual_seed(0)
    return LPIPS()


def volumes(seed: int, *size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(size, generator=generator) * 2 - 1
    return x, x + 0.1 * torch.randn(size, generator=generator)


def vgg16_file(lpips: LPIPS) -> dict[str, torch.Tensor]:
    """The tensors of torchvision's VGG16, whose classifier is shortened here."""
    stages = {f"features.{name.split('.', 1)[1]}": value for name, value in lpips.net.state_dict().items()}
    return stages | {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}


def heads_file(lpips: LPIPS) -> dict[str, torch.Tensor]:
    return {name: value for name, value in lpips.state_dict().items() if name.startswith("lin")}


def assert_same_weights(perceptual, lpips):
    assert isinstance(perceptual, TriPlanePerceptual)
    loaded, expected = perceptual.lpips.state_dict(), lpips.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg16_and_heads_are_joined(tmp_path, lpips, suffix):
    vgg16 = tmp_path / f"vgg16{suffix}"
    write = torch.save if suffix == ".pth" else save_file
    write(vgg16_file(lpips), vgg16)
    torch.save(heads_file(lpips), tmp_path / "vgg.pth", _use_new_zipfile_serialization=False)
    assert_same_weights(load_perceptual(vgg16, tmp_path / "vgg.pth"), lpips)
    with pytest.raises(ValueError, match=r"VGG16 alone; give LPIPS' heads \(vgg\.pth\)"):
        load_perceptual(vgg16)


def test_one_file_of_lpips_is_read_and_widened(tmp_path, lpips):
    half = {name: value.half() for name, value in lpips.state_dict().items()}
    save_file(half, tmp_path / "lpips.safetensors")
    perceptual = load_perceptual(tmp_path / "lpips.safetensors", fraction=None)
    assert perceptual.fraction is None
    assert {value.dtype for value in perceptual.lpips.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(perceptual.lpips.state_dict(), lpips.state_dict(), atol=1e-3, rtol=1e-3)


def test_another_vgg_is_refused(tmp_path, lpips):
    tensors = vgg16_file(lpips) | {"features.16.weight": torch.zeros(256, 256, 3, 3)}  # VGG19 has a convolution there
    torch.save(tensors, tmp_path / "vgg19.pth")
    torch.save(heads_file(lpips), tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg19\.pth: not the tensors of the network: .*features\.16\.weight"):
        load_perceptual(tmp_path / "vgg19.pth", tmp_path / "vgg.pth")


def test_heads_of_another_network_are_refused(tmp_path, lpips):
    torch.save(vgg16_file(lpips), tmp_path / "vgg16.pth")
    heads = heads_file(lpips) | {"lin1.model.1.weight": torch.zeros(1, 192, 1, 1)}  # AlexNet's width
    torch.save(heads, tmp_path / "alex.pth")
    with pytest.raises(ValueError, match=r"alex\.pth: not the tensors.*size mismatch for lin1\.model\.1\.weight"):
        load_perceptual(tmp_path / "vgg16.pth", tmp_path / "alex.pth")


@pytest.fixture(scope="module")
def medicalnet_file(tmp_path_factory):
    """MedicalNet's layout: data-parallel names under ``state_dict``, no counters of the norms, old serialisation."""
    torch.manual_seed(0)
    network = MedicalNetPerceptual().network
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
    state = {
        f"module.{name}": value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path_factory.mktemp("medicalnet") / "resnet_10_23dataset.pth"
    torch.save({"state_dict": state, "epoch": 1}, path, _use_new_zipfile_serialization=False)
    return path, network


def test_medicalnet_is_read_from_its_published_layout(medicalnet_file):
    path, network = medicalnet_file
    perceptual = load_perceptual(path)
    assert isinstance(perceptual, MedicalNetPerceptual)
    for name, value in network.state_dict().items():
        assert torch.equal(perceptual.network.state_dict()[name], value)
    # The size that its authors print for the 3D ResNet-10: 14.36 million parameters.
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 14.36


def test_medicalnet_halves_the_resolution_three_times_and_then_dilates():
    network = MedicalNetPerceptual().network
    layers = [network.conv1, *(layer[0].conv1 for layer in list(network.children())[-4:])]
    assert [layer.stride[0] for layer in layers] == [2, 1, 2, 1, 1]  # and 2 in the pooling
    assert [layer.dilation[0] for layer in layers] == [1, 1, 1, 2, 4]
    features = network(torch.zeros(1, 1, 24, 16, 32))
    assert features.shape == (1, 512, 3, 2, 4)


def test_medicalnet_distance(medicalnet_file):
    perceptual = load_perceptual(medicalnet_file[0]).train()
    x, reconstruction = volumes(6, 2, 1, 24, 16, 32)
    reconstruction.requires_grad_()
    distance = perceptual(x, reconstruction)
    distance.backward()
    assert distance.shape == ()
    assert distance > 0
    assert reconstruction.grad.abs().sum() > 0
    assert not any(module.training for module in perceptual.modules())
    with torch.no_grad():
        assert perceptual(x, x) == 0
        # Each volume is brought to mean 0 and deviation 1, on its own whatever the batch.
        assert perceptual(x, 3 * x + 1) < 1e-6
        alone = torch.stack([perceptual(x[[i]], reconstruction[[i]]) for i in range(2)]).mean()
        torch.testing.assert_close(distance.detach(), alone)


def test_medicalnet_bears_even_patches(medicalnet_file):
    perceptual = load_perceptual(medicalnet_file[0])
    reconstruction = torch.full((1, 1, 16, 16, 16), -1.0, requires_grad=True)
    perceptual(torch.full((1, 1, 16, 16, 16), -1.0), reconstruction).backward()
    assert torch.isfinite(reconstruction.grad).all()


class Malicious:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_file_that_would_run_code_is_refused(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Malicious()}, path)
    with pytest.raises(ValueError, match=r"evil\.pth: refused, nothing was run: it names builtins\.print,") as error:
        load_perceptual(path)
    path.write_bytes(pickle.dumps({"state_dict": Malicious()}, protocol=2))
    with pytest.raises(ValueError, match=r"evil\.pth"):
        load_perceptual(path)
    assert "this must not run" not in capsys.readouterr().out
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_line_that_names_what_is_wanted(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pth: no such file; .*vgg16.*MedicalNet") as error:
        load_perceptual(tmp_path / "none.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["some.pth", "some.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_other_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as error:
        load_perceptual(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(tmp_path, zipped):
    path = tmp_path / "vgg.pth"
    torch.save({"lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"vgg\.pth: "):
            load_perceptual(path)


def test_weights_of_something_else_are_refused(tmp_path, lpips):
    torch.save(heads_file(lpips), tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg\.pth: no perceptual network that is known here"):
        load_perceptual(tmp_path / "vgg.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth: holds no tensors by name"):
        load_perceptual(tmp_path / "list.pth")


def squeezenet_file(lpips: LPIPS) -> dict[str, torch.Tensor]:
    """SqueezeNet as torchvision publishes it and LPIPS' heads for it, in half precision."""
    state = {name: value.half() for name, value in lpips.state_dict().items() if not name.startswith("scaling")}
    return {name.replace("net.", "features.", 1): value for name, value in state.items()}


def test_squeezenet_with_its_heads_is_a_distance_of_slices_and_volumes(tmp_path) -> None:
    torch.manual_seed(1)
    given = LPIPS(SqueezeNet())
    save_file(squeezenet_file(given), tmp_path / "squeeze.safetensors")
    perceptual = load_perceptual(tmp_path / "squeeze.safetensors", fraction=1.0)
    assert isinstance(perceptual, TriPlanePerceptual)
    x, other = volumes(2, 1, 1, 20, 24, 32)
    slices, others = x[0].movedim(1, 0), other[0].movedim(1, 0)
    assert perceptual.of_slices(slices, slices) == 0
    apart = perceptual.of_slices(slices, others)
    torch.testing.assert_close(apart, given(slices, others).mean(), rtol=2e-2, atol=0)
    assert perceptual(x, other) > apart, "the axial slices are one of three orientations"
    with pytest.raises(ValueError, match="slices of 16 x 32 pixels; the perceptual network needs 17 or more"):
        perceptual.of_slices(slices[:, :, :16], others[:, :, :16])


def test_seven_maps_of_squeezenet_have_the_widths_of_the_heads() -> None:
    maps = list(SqueezeNet()(torch.zeros(1, 3, 64, 64)))
    assert tuple(each.shape[1] for each in maps) == SqueezeNet.widths
    assert [each.shape[2] for each in maps] == [31, 15, 7, 3, 3, 3, 3]


def test_the_first_stage_of_the_resnet_for_ct_is_a_distance(tmp_path) -> None:
    torch.manual_seed(3)
    network = ResNet3D(FIRST_STAGE)
    kept = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file(kept | {"layer2.0.conv1.weight": torch.zeros(2, 2)}, tmp_path / "ct.safetensors")
    perceptual = load_perceptual(tmp_path / "ct.safetensors")
    assert isinstance(perceptual, CTPerceptual)
    assert not perceptual.train().network.bn1.training
    x, other = volumes(4, 1, 1, 4, 24, 32)
    other.requires_grad_()
    assert perceptual(x, x) == 0
    distance = perceptual(x, other)
    distance.backward()
    assert 0 < float(distance.detach()) < 8
    assert other.grad is not None
    assert float(other.grad.abs().max()) > 0
    assert perceptual(x + 5, x.clamp_min(1) + 7) == 0, "all is clipped at the window's end"
    one = perceptual.of_slices(x[:, :, 0], other[:, :, 0])
    torch.testing.assert_close(one, perceptual(x[:, :, :1], other[:, :, :1]))


def test_maps_end_with_what_the_mean_features_are_of() -> None:
    network, volume = ResNet3D(FIRST_STAGE).eval(), torch.rand(1, 3, 4, 16, 16)
    stem, stage = network.maps(volume)
    assert (stem.shape[1], stage.shape[1]) == (64, 256)
    torch.testing.assert_close(network(volume), stage.mean((2, 3, 4)))

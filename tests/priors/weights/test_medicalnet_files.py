"""MedicalNet's ResNet-50 from the user's file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from priors.networks.resnet3d import ResNet3D, ResNet3DConfig
from priors.weights import medicalnet_files
from priors.weights.importing import file_sha256
from priors.weights.medicalnet_files import load_medicalnet

TINY = ResNet3DConfig(blocks=(1, 1), strides=(1, 2), dilations=(1, 2), width=2)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network in the layout of the published file, which data-parallel training wrote with its segmentation."""
    monkeypatch.setattr(medicalnet_files, "ResNet3DConfig", lambda: TINY)
    torch.manual_seed(0)
    state = {f"module.{name}": each for name, each in ResNet3D(TINY).state_dict().items()}
    state["module.conv_seg.0.weight"] = torch.zeros(2, 2)
    path = tmp_path / "resnet_50.pth"
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=False)
    return path


def test_the_layout_of_the_published_file_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_medicalnet(file)
    assert not loaded.network.training
    assert loaded.sha256 == file_sha256(file)
    assert loaded.title == f"a file of another hash, {loaded.sha256[:12]}"
    monkeypatch.setitem(medicalnet_files.PINS, loaded.sha256, "resnet_50.pth")
    assert load_medicalnet(file).title == "resnet_50.pth"


def test_another_network_is_refused(file: Path) -> None:
    torch.save({"state_dict": {"module.conv1.weight": torch.zeros(2)}}, file)
    with pytest.raises(ValueError, match=r"resnet_50.pth: not MedicalNet's ResNet-50; its file is resnet_50.pth"):
        load_medicalnet(file)
    torch.save([1, 2], file)
    with pytest.raises(ValueError, match="no tensors under state_dict"):
        load_medicalnet(file)
    with pytest.raises(ValueError, match="no such file"):
        load_medicalnet(file.with_name("absent.pth"))

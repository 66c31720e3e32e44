"""Another latent prior, made here, through the code that works with every prior: sampling, the command, the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from cli_helpers import load, run_recon
from click.testing import CliRunner
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cli import main
from priors.diffusion.anatomy import Anatomy, Grid, Size
from priors.diffusion.latent_sampling import generate, sample_latents
from priors.diffusion.load import load_prior
from priors.diffusion.prior import LatentPrior, NoisedStart, VoxelSize
from priors.diffusion.samplers import SAMPLERS
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.inference import Acceleration
from priors.networks.patient import UNKNOWN, LearnedPatients, Patient
from priors.networks.registry import KINDS, Kind
from priors.networks.sizes import check_size
from priors.weights.card import Card, read_card, save_weights
from priors.weights.networks import load_network, verify

FACTOR = 4
TORSO = Anatomy(0, "CTToyTorso", "CT", (Grid((8, 24, 16), (5, 2, 2)),))


@dataclass(frozen=True)
class ToyConfig:
    """The size of a toy."""

    width: int

    def to_dict(self) -> dict[str, Any]:
        return {"width": self.width}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ToyConfig:
        return cls(**values)


class ToyEstimator(nn.Module):
    """A noise estimator of two convolutions."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(1, config.width, 3, padding=1), nn.SiLU(), nn.Conv3d(config.width, 1, 3, padding=1)
        )

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        return z + 0.1 * self.net(z)


@dataclass(frozen=True)
class ToyPrior:
    """Average pooling for an autoencoder, and a tiny convolution."""

    net: ToyEstimator
    diffusion: GaussianDiffusion
    name: str
    sha256: dict[str, str]
    channels: ClassVar[int] = 1
    latent_limit: ClassVar[None] = None
    anatomies: ClassVar[tuple[Anatomy, ...]] = (TORSO,)
    classes: ClassVar[dict[str, VoxelSize]] = {TORSO.name: (5, 2, 2)}
    size_multiple: ClassVar[int] = FACTOR
    encoding_multiple: ClassVar[int] = FACTOR
    patch: ClassVar[None] = None
    patients: ClassVar[LearnedPatients] = LearnedPatients()
    distilled: ClassVar[None] = None

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ToyPrior:
        self.net.to(device)
        self.diffusion.to(device)
        return self

    def latent_size(self, size: Size) -> Size:
        check_size(size, FACTOR)
        return size[0] // FACTOR, size[1] // FACTOR, size[2] // FACTOR

    def image_size(self, latent: Size) -> Size:
        return latent[0] * FACTOR, latent[1] * FACTOR, latent[2] * FACTOR

    def encode(self, images: Tensor) -> Tensor:
        return functional.avg_pool3d(images.to(self.device), FACTOR)

    def decode(
        self, latents: Tensor, on_progress: Callable[[float], None] | None = None, most_keys: int | None = None
    ) -> Tensor:
        return functional.interpolate(latents, scale_factor=FACTOR)

    def estimator(
        self,
        class_index: int,
        size: Size,
        *,
        batch: int = 1,
        voxel_size: VoxelSize | None = None,
        heads: Sequence[Any] = (),
        patient: Patient = UNKNOWN,
        guidance: float = 1.0,
        acceleration: Acceleration | None = None,
    ) -> Callable[[Tensor, Tensor], Tensor]:
        return self.net

    def attach(
        self, head: nn.Module, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
    ) -> Any:
        raise ValueError("toys take no heads")

    def check_class(self, anatomy: Anatomy) -> None:
        if anatomy != TORSO:
            raise ValueError(f"this prior learned {TORSO.name} alone")

    def default_class(self, modality: str) -> int:
        return 0

    def usual_sizes(self, anatomy: Anatomy) -> list[Size]:
        return [anatomy.grids[0].size]

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        return anatomy.grids[0].spacing

    def average_start(self, anatomy: Anatomy, size: Size) -> NoisedStart | None:
        return None


def load_toy(folder: Path) -> ToyPrior:
    path = folder / "toy.safetensors"
    card = read_card(path)
    return ToyPrior(load_network(path, "toy").eval(), GaussianDiffusion(50), folder.name, {path.name: card.sha256})


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a toy prior, whose kind is entered in the registry."""
    own = Kind(f"{__name__}:ToyEstimator", f"{__name__}:ToyConfig", "a toy", prior=f"{__name__}:load_toy")
    monkeypatch.setitem(KINDS, "toy", own)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    config = ToyConfig(4)
    save_weights(tmp_path / "toy" / "toy.safetensors", ToyEstimator(config).state_dict(), Card("toy", config.to_dict()))
    return tmp_path / "toy"


def test_it_is_found_by_what_its_card_says_and_sampled(toy: Path) -> None:
    prior: LatentPrior = load_prior(toy)  # the type checker compares a toy with the protocol here
    assert isinstance(prior, ToyPrior)
    assert verify(toy / "toy.safetensors").sha256 == prior.sha256["toy.safetensors"]
    for sampler in SAMPLERS:
        latents = sample_latents(prior, 0, (8, 24, 16), steps=3, sampler=sampler, seeds=[1, 2])
        assert latents.shape == (2, 1, 2, 6, 4)
        assert float(latents.abs().max()) > 1, "no limit, no clipping"
    volume = generate(prior, 0, (8, 24, 16), steps=3, seeds=[1])
    assert volume.shape == (1, 1, 8, 24, 16)


def test_the_command_generates_with_it(toy: Path) -> None:
    done = run_recon(
        "generate", "--class", "cttoytorso", "--prior", "toy", "--steps", 3, "-o", "vol.nii.gz", "--preview"
    )
    assert done.code == 0, done.err
    image = load("vol.nii.gz")
    assert image.shape == (24, 16, 8)
    facts = json.loads(Path("vol.json").read_text())
    assert facts["spacing_mm"] == [5, 2, 2]
    assert facts["prior"] == "toy"
    assert set(facts["weights_sha256"]) == {"toy.safetensors"}
    refused = run_recon("generate", "--class", "CTChestAbdomen", "--prior", "toy")
    assert refused.code == 2
    assert "'CTChestAbdomen'; one of CTToyTorso" in refused.err
    size = run_recon("generate", "--class", "CTToyTorso", "--prior", "toy", "--size", "24,16,7")
    assert "Z is 7 voxels" in size.err


def test_the_report_of_a_prior_measures_it(toy: Path) -> None:
    Path("data.yaml").write_text("- {dataset: 'phantom:count=12,size=16x32x32,spacing=8x10x10', modality: CT}\n")
    arguments = ["prior", "toy", "--data", "data.yaml", "--samples", "1", "--steps", "2", "--out", "report"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(Path("report/round-trips.json").read_text())["round_trips"][0]
    assert found["psnr"] == pytest.approx(found["patch_psnr"]), "pooling sees no more than a cube"
    assert Path("report/samples.png").is_file()

"""One measurement of the 3D prior, for a process of its own so that its peak memory is its own.

``python -m benchmarks.speed.prior_parts '{"part": "decode", …}'`` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.latent_sampling import generate
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.inference import Acceleration

CONFIGURATIONS: dict[str, tuple[AutoencoderConfig, BiFlowNetConfig]] = {
    "official-8x": (AutoencoderConfig(downsample=(8, 8, 8)), BiFlowNetConfig(token_patch=1)),
    "official-4x": (AutoencoderConfig(downsample=(4, 4, 4)), BiFlowNetConfig(token_patch=2)),
    "small": (
        AutoencoderConfig(width=24, downsample=(4, 4, 4), norm_groups=8, patch=16, codes=64),
        BiFlowNetConfig(width=24, multipliers=(1, 1, 2), attention=(False, False, True), token_patch=2, norm_groups=6),
    ),
}
"""Networks by name: the two released sizes, and one for trying the benchmark out."""


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        part: one of ``PARTS``.
        configuration: a key of ``CONFIGURATIONS``.
        size: (z, x, y) voxels of the image.
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        channels_last: convolution weights channels-last.
        compile: ``torch.compile`` the noise estimator; the first call is then not timed.
        steps: the steps of the generation.
    """

    part: str
    configuration: str
    size: tuple[int, int, int]
    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    steps: int = 4

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def measure(job: Job) -> dict[str, float]:
    """Run one job in this process: ``seconds``, ``peak_gb`` and what the part adds.

    On the CPU ``peak_gb`` is the most this process ever held, its imports and weights included; on a GPU the most
    that torch had allocated there.
    """
    torch.manual_seed(0)
    figures = PARTS[job.part](job)
    return figures | {"peak_gb": _peak_bytes(job.device) / 1e9}


def redraw_zeros(network: nn.Module) -> None:
    """Give zero-initialised layers values, so that a fresh network computes something in every branch."""
    for parameter in network.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.02)


def _acceleration(job: Job) -> Acceleration:
    plain = Acceleration.from_name(job.precision, torch.device(job.device))
    return Acceleration(plain.dtype, job.channels_last or plain.channels_last, job.compile)


def _autoencoder(job: Job) -> PatchVolumeAutoencoder:
    network = PatchVolumeAutoencoder(CONFIGURATIONS[job.configuration][0]).eval().to(job.device)
    nn.init.normal_(network.codebook.embeddings)
    return network.to(Acceleration.from_name(job.precision, torch.device(job.device)).dtype)


def _latent_size(job: Job) -> tuple[int, int, int]:
    factor = CONFIGURATIONS[job.configuration][0].downsample[0]
    return job.size[0] // factor, job.size[1] // factor, job.size[2] // factor


def _estimator(job: Job, acceleration: Acceleration) -> tuple[BiFlowNet, Callable[[Tensor, Tensor], Tensor], Tensor]:
    """The network, its estimator bound to one class, and a latent to call it on."""
    config = CONFIGURATIONS[job.configuration][1]
    with torch.device(job.device):
        network = BiFlowNet(config).eval()
        redraw_zeros(network)
        acceleration.prepare(network)
        latent = torch.randn(1, config.channels, *_latent_size(job))
        y, res = torch.zeros(1, dtype=torch.long), torch.tensor([_latent_size(job)]) / 64
    bound = network.bind(y, res)
    return network, acceleration.wrap(bound, torch.device(job.device)), latent


@torch.no_grad()
def _encode(job: Job) -> dict[str, float]:
    network = _autoencoder(job)
    volume = torch.rand(1, 1, *job.size, dtype=network.codebook.embeddings.dtype, device=job.device) * 2 - 1
    return {"seconds": _seconds(lambda: network.patch_encode(volume), job)}


@torch.no_grad()
def _decode(job: Job) -> dict[str, float]:
    network = _autoencoder(job)
    indices = torch.randint(network.config.codes, (1, *_latent_size(job)), device=job.device)
    return {"seconds": _seconds(lambda: network.decode(indices), job)}


@torch.no_grad()
def _estimate(job: Job) -> dict[str, float]:
    network, estimate, latent = _estimator(job, _acceleration(job))
    t = torch.full((1,), 500, device=job.device)
    seconds = _seconds(lambda: estimate(latent, t), job)
    flop = estimate_flop(network, latent)
    return {"seconds": seconds, "tflop": flop / 1e12, "tflop_per_s": flop / seconds / 1e12}


def estimate_flop(network: BiFlowNet, latent: Tensor) -> int:
    """Floating-point operations of one noise estimate, counted while it runs."""
    y = torch.zeros(1, dtype=torch.long, device=latent.device)
    with FlopCounterMode(display=False) as counter:
        network(latent, y, y, torch.ones(1, 3, device=latent.device))
    return counter.get_total_flops()


@torch.no_grad()
def _generate(job: Job) -> dict[str, float]:
    network, _, _ = _estimator(job, Acceleration())
    prior = PatchVolumePrior(_autoencoder(job), network, GaussianDiffusion())
    options = {"class_index": CLASSES[1].index, "size": job.size, "steps": job.steps, "seeds": [1]}

    def run() -> Tensor:
        return generate(prior, **options, acceleration=_acceleration(job))  # type: ignore[arg-type]

    return {"seconds": _seconds(run, job), "steps": float(job.steps)}


@torch.no_grad()
def _deviation(job: Job) -> dict[str, float]:
    """One noise estimate under the job's options beside float32, as a share of the estimate's standard deviation."""
    torch.manual_seed(0)
    _, exact, latent = _estimator(job, Acceleration())
    t = torch.full((1,), 500, device=job.device)
    reference = exact(latent, t)
    torch.manual_seed(0)
    _, fast, latent = _estimator(job, _acceleration(job))
    error = (fast(latent, t) - reference) / reference.std()
    return {
        "seconds": _seconds(lambda: fast(latent, t), job),
        "reference_s": _seconds(lambda: exact(latent, t), job),
        "rms_deviation": float(error.square().mean().sqrt()),
        "max_deviation": float(error.abs().max()),
    }


@torch.no_grad()
def _matmul(job: Job, edge: int = 8192) -> dict[str, float]:
    """The device's rate on a large square matrix product at the job's precision."""
    edge = edge if job.device != "cpu" else 2048
    dtype = Acceleration.from_name(job.precision, torch.device(job.device)).dtype
    a, b = (torch.randn(edge, edge, dtype=dtype, device=job.device) for _ in range(2))
    seconds = _seconds(lambda: a @ b, job, repeats=10)
    return {"seconds": seconds, "tflop_per_s": 2 * edge**3 / seconds / 1e12}


def _seconds(run: Callable[[], object], job: Job, repeats: int = 1) -> float:
    """Mean seconds; a GPU and a compiled network get a call before that is not timed."""
    if job.device != "cpu" or job.compile:
        run()
    _wait(job.device)
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    _wait(job.device)
    return (time.perf_counter() - started) / repeats


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _peak_bytes(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


PARTS: dict[str, Callable[[Job], dict[str, float]]] = {
    "encode": _encode,
    "estimate": _estimate,
    "decode": _decode,
    "generate": _generate,
    "deviation": _deviation,
    "matmul": _matmul,
}


def main() -> None:
    """Read a job from the command line, print its figures."""
    fields = json.loads(sys.argv[1])
    job = Job(**(fields | {"size": tuple(fields["size"])}))
    print(json.dumps(measure(job)))


if __name__ == "__main__":
    main()

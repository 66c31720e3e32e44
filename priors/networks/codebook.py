"""The codebook of a vector-quantised autoencoder, learned by moving averages (van den Oord et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, distributed, nn
from torch.nn.functional import mse_loss

DECAY = 0.99
COMMITMENT = 0.25
SMALLEST_COUNT = 1e-7

RESTART_BELOW = 1.0
"""A code that fewer vectors than this choose, on average, is replaced by a vector of the batch."""

JITTER = 0.01
"""Standard deviation, times the square root of the channels, that tells copies of a vector apart."""

DISTANCE_BYTES = 64 << 20
"""Distances that are held at a time on a GPU."""

CACHED_BYTES = 1 << 20
"""The same on the CPU: what stays in its cache takes half the time."""


class Codebook(nn.Module):
    """Codes, and the running averages that they are learned by.

    3D MedDiffusion, section III-A.2. A codebook whose ``N`` is zero everywhere was never initialised: the first batch
    in training does that. This is told from the buffers, so a codebook that was loaded stays what it is. The buffers
    are never narrowed to half precision with the rest of a network: codes lie closer together than that resolves.

    Args:
        codes: how many.
        channels: the channels of each code.

    Attributes:
        embeddings: (codes, channels).
        N: how many vectors chose each code, running average (codes,).
        z_avg: sum of those vectors, running average (codes, channels).
        frozen: training leaves the codes alone.
        decay: the decay of the running averages in a step; batches with few vectors for each code need a slower one.
        restart_below: the usage below which a code is restarted, see ``RESTART_BELOW``; small batches need a smaller
            one.
    """

    embeddings: Tensor
    N: Tensor
    z_avg: Tensor

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.frozen = False
        self.decay = DECAY
        self.restart_below = RESTART_BELOW
        self.register_buffer("embeddings", torch.randn(codes, channels))
        self.register_buffer("N", torch.zeros(codes))
        self.register_buffer("z_avg", self.embeddings.clone())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Codebook:
        for name, buffer in self.named_buffers():
            moved = fn(buffer)
            narrowed = moved.element_size() < buffer.element_size()
            setattr(self, name, buffer.to(moved.device) if narrowed else moved)
        return self

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Quantise; in training, learn from the batch as well (the result is of the codes before that).

        Args:
            z: (B, C, Z, X, Y).

        Returns:
            Indices (B, Z, X, Y); the codes (B, C, Z, X, Y) with the gradient of ``z`` (straight-through); and the
            scalars ``commitment_loss``, which holds the factor 0.25, and ``perplexity``, the effective number of codes
            in use.
        """
        vectors = _vectors(z.detach())
        learns = self.training and not self.frozen
        if learns and not self.N.any():
            self.initialise(vectors)
        indices = self.nearest(z)
        codes = self.lookup(indices).to(z.dtype)
        losses = {"commitment_loss": COMMITMENT * mse_loss(z, codes), "perplexity": self._perplexity(indices)}
        if learns:
            self.update(vectors, indices.flatten())
        return indices, (codes - z).detach() + z, losses

    @torch.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """Index (B, Z, X, Y) of the code nearest to each vector of (B, C, Z, X, Y); of equally near ones the first."""
        vectors = _vectors(z).to(self.embeddings.dtype)
        held = CACHED_BYTES if z.device.type == "cpu" else DISTANCE_BYTES
        rows = max(1, held // (len(self.embeddings) * self.embeddings.element_size()))
        lengths = self.embeddings.square().sum(dim=1)
        # One buffer for all parts: allocating it anew each time scatters gigabytes over the CPU's heap.
        distances = vectors.new_empty(min(rows, len(vectors)), len(self.embeddings))
        indices = torch.empty(len(vectors), dtype=torch.long, device=z.device)
        with torch.autocast(z.device.type, enabled=False):
            for part, nearest in zip(vectors.split(rows), indices.split(rows), strict=True):
                # The squared length of z is the same for all codes, so it has no part in the comparison.
                torch.addmm(lengths, part, self.embeddings.T, alpha=-2, out=distances[: len(part)])
                torch.argmin(distances[: len(part)], dim=1, out=nearest)
        return indices.view(z.shape[0], *z.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """The codes (B, C, Z, X, Y) of indices (B, Z, X, Y).

        Raises:
            ValueError: an index that is no code's.
        """
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < len(self.embeddings):
            raise ValueError(
                f"indices from {int(indices.min())} to {int(indices.max())}; "
                f"this codebook has the codes 0 to {len(self.embeddings) - 1}"
            )
        return rearrange(self.embeddings[indices.long()], "b z x y c -> b c z x y").contiguous()

    def _perplexity(self, indices: Tensor) -> Tensor:
        share = torch.bincount(indices.flatten(), minlength=len(self.embeddings)) / indices.numel()
        return torch.exp(-(share * torch.log(share + 1e-7)).sum())

    @torch.no_grad()
    def collect(self, z: Tensor, step: int) -> None:
        """Take the vectors of (B, C, Z, X, Y) as codes, in turn with those of other steps, without quantising by them.

        So small batches fill a large codebook before it is used. What each code weighs is what such batches will add.
        """
        vectors = _vectors(z.detach()).to(self.embeddings.dtype)
        codes = len(self.embeddings)
        rows = (torch.arange(len(vectors), device=vectors.device) + step * len(vectors))[-codes:] % codes
        weight = min(1.0, len(vectors) / codes)
        self.embeddings[rows] = vectors[-codes:]
        self.z_avg[rows] = weight * vectors[-codes:]
        self.N[rows] = weight

    @torch.no_grad()
    def initialise(
        self, vectors: Tensor, *, permutation: Tensor | None = None, generator: torch.Generator | None = None
    ) -> None:
        """Take random vectors (n, C) of a batch as the codes; arguments as in :meth:`update`."""
        rows = self._random_rows(vectors, permutation, generator)
        self.embeddings.copy_(rows)
        self.z_avg.copy_(rows)
        self.N.fill_(1)

    @torch.no_grad()
    def update(
        self,
        vectors: Tensor,
        indices: Tensor,
        *,
        permutation: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Move the codes towards the vectors that chose them; replace those that hardly any vector chooses.

        Where torch.distributed runs, the vectors of all processes count, and all processes get the same codes.

        Args:
            vectors: (n, C).
            indices: the code of each, (n,).
            permutation: order of the vectors whose first take the place of dead codes; None draws one.
            generator: draws it; a generator of the CPU.
        """
        vectors = vectors.to(self.embeddings.dtype)
        counts = torch.bincount(indices, minlength=len(self.N)).to(vectors.dtype)
        sums = torch.zeros_like(self.z_avg).index_add_(0, indices, vectors)
        if distributed.is_initialized():
            distributed.all_reduce(counts)
            distributed.all_reduce(sums)
        self.N.lerp_(counts, 1 - self.decay)
        self.z_avg.lerp_(sums, 1 - self.decay)
        total = self.N.sum()
        smoothed = (self.N + SMALLEST_COUNT) / (total + len(self.N) * SMALLEST_COUNT) * total
        alive = (self.restart_below <= self.N)[:, None]
        replacements = self._random_rows(vectors, permutation, generator)
        self.embeddings.copy_(torch.where(alive, self.z_avg / smoothed[:, None], replacements))

    def _random_rows(self, vectors: Tensor, permutation: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """As many vectors of the batch as there are codes, at random; the same on every process."""
        codes, channels = self.embeddings.shape
        if len(vectors) < codes:
            copies = -(-codes // len(vectors))
            jitter = torch.randn(copies * len(vectors), channels, generator=generator) * JITTER * channels**-0.5
            vectors = vectors.repeat(copies, 1) + jitter.to(vectors)
        if permutation is None:
            permutation = torch.randperm(len(vectors), generator=generator)
        rows = vectors[permutation[:codes].to(vectors.device)].contiguous()
        if distributed.is_initialized():
            distributed.broadcast(rows, src=0)
        return rows


def _vectors(z: Tensor) -> Tensor:
    return rearrange(z, "b c z x y -> (b z x y) c")

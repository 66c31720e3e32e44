"""The codebook: nearest codes in little memory, and learning by moving averages as the released code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from priors.networks import codebook as module
from priors.networks.codebook import Codebook

TOLERANCE = 5e-5


def spread(vectors: Tensor) -> Tensor:
    """(n, C) vectors as a latent (1, C, n, 1, 1)."""
    return vectors.T[None, :, :, None, None]


class Released:
    """The codebook of the parity fixtures and one batch of its training."""

    def __init__(self, folder: Path) -> None:
        self.known = load_file(folder / "autoencoder_tiny4x_tensors.safetensors")
        weights = load_file(folder / "autoencoder_tiny4x_weights.safetensors")
        self.state = {name: weights[f"codebook.{name}"] for name in ("embeddings", "N", "z_avg")}

    def codebook(self, **changes: Tensor) -> Codebook:
        book = Codebook(*self.state["embeddings"].shape)
        book.load_state_dict(self.state | changes)
        return book

    def check(self, name: str, value: Tensor) -> None:
        torch.testing.assert_close(value, self.known[name], atol=TOLERANCE, rtol=0, msg=name)


@pytest.fixture(scope="module")
def released(shared: Path) -> Released:
    return Released(shared / "fixtures" / "meddiffusion")


def test_a_step_of_the_released_training(released: Released) -> None:
    book = released.codebook().train()
    indices, embeddings, _ = book(released.known["patch_z_prequant"])
    assert torch.equal(indices, released.known["patch_indices"])  # of the codes before the step
    released.check("patch_embeddings", embeddings)
    released.check("ema_after_N", book.N)
    released.check("ema_after_z_avg", book.z_avg)
    released.check("ema_after_embeddings", book.embeddings)


def test_dead_codes_restart_as_in_the_released_training(released: Released) -> None:
    book = released.codebook(N=released.known["restart_before_N"], z_avg=released.known["restart_before_z_avg"])
    z = released.known["patch_z_prequant"]
    vectors = z.movedim(1, -1).flatten(0, -2)
    book.update(vectors, released.known["patch_indices"].flatten(), permutation=released.known["restart_perm"])
    assert bool((book.N < 1).any())
    released.check("restart_after_N", book.N)
    released.check("restart_after_embeddings", book.embeddings)


@given(
    codes=st.integers(1, 40),
    channels=st.integers(1, 6),
    size=st.tuples(*[st.integers(1, 4)] * 3),
    held=st.sampled_from([1, 200, 1 << 20]),
    seed=st.integers(0, 100),
)
@settings(deadline=None, max_examples=50)
def test_no_other_code_is_nearer(codes: int, channels: int, size: tuple[int, ...], held: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    book = Codebook(codes, channels).double()
    book.embeddings.copy_(torch.randn(codes, channels, generator=random))
    z = torch.randn(2, channels, *size, generator=random, dtype=torch.double)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CACHED_BYTES", held)
        indices = book.nearest(z)
    vectors = z.movedim(1, -1)
    distances = (vectors[..., None, :] - book.embeddings).square().sum(dim=-1)
    assert torch.equal(indices, distances.argmin(dim=-1))
    assert torch.equal(book.lookup(indices), book.embeddings[indices].movedim(-1, 1))


def test_the_first_of_equally_near_codes_is_taken() -> None:
    book = Codebook(100, 2)
    book.embeddings.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(50, 1))
    assert book.nearest(spread(torch.tensor([[1.0, 1.0], [0.1, 0.0], [2.0, 2.0]]))).flatten().tolist() == [1, 0, 1]


PEAK = """
import resource, torch
from priors.networks.codebook import Codebook
book, z = Codebook(8192, 8), torch.randn(1, 8, 64, 64, 64)
book.nearest(z[..., :1])
unit = 1 if __import__("sys").platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
book.nearest(z)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


def test_the_largest_latents_take_little_memory() -> None:
    printed = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True).stdout
    assert int(printed) < 50e6  # a one-hot matrix would take 17 GB


def test_the_gradient_goes_straight_through_and_the_loss_pulls_towards_the_code() -> None:
    book = Codebook(5, 3).eval()
    z = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    _, embeddings, losses = book(z)
    (2 * embeddings).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, torch.full_like(z, 2))
    z.grad = None
    losses["commitment_loss"].backward()
    torch.testing.assert_close(z.grad, 0.25 * 2 * (z - embeddings).detach() / z.numel())


def test_perplexity_counts_the_codes_in_use() -> None:
    book = Codebook(6, 2).eval()
    book.embeddings.copy_(torch.arange(6.0)[:, None].expand(6, 2))
    _, _, losses = book(spread(torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(3)[:, None].expand(12, 2)))
    assert float(losses["perplexity"]) == pytest.approx(4, rel=1e-4)


def test_the_first_batch_initialises_and_a_loaded_codebook_keeps_its_codes() -> None:
    z = torch.randn(1, 3, 4, 4, 4)
    fresh = Codebook(8, 3).train()
    fresh(z)
    vectors = z.movedim(1, -1).flatten(0, -2)
    # After its first update, a code is a mean of itself, once a vector of the batch, and the vectors nearest to it.
    assert float(torch.cdist(fresh.embeddings, vectors).amin(dim=1).max()) < 0.5
    resumed = Codebook(8, 3).train()
    resumed.load_state_dict(fresh.state_dict())
    resumed(z)
    assert float((resumed.embeddings - fresh.embeddings).abs().max()) < 0.2  # a step, no fresh start


@pytest.mark.parametrize("count", [3, 8, 20])
def test_codes_start_as_vectors_of_the_batch_copied_with_jitter_where_there_are_few(count: int) -> None:
    vectors = torch.randn(count, 4) * 10
    book = Codebook(8, 4)
    book.initialise(vectors, generator=torch.Generator().manual_seed(0))
    distance = torch.cdist(book.embeddings, vectors, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    assert float(distance.max()) < (0.05 if count < 8 else 1e-6)
    assert len(book.embeddings.unique(dim=0)) == 8
    assert torch.equal(book.embeddings, book.z_avg)
    assert torch.equal(book.N, torch.ones(8))


def test_the_same_generator_gives_the_same_codes() -> None:
    vectors = torch.randn(50, 2)
    books = [Codebook(9, 2) for _ in range(2)]
    for book in books:
        book.initialise(vectors, generator=torch.Generator().manual_seed(3))
        book.update(vectors, book.nearest(spread(vectors)).flatten(), generator=torch.Generator().manual_seed(4))
    assert torch.equal(books[0].embeddings, books[1].embeddings)


@pytest.mark.parametrize("how", ["frozen", "eval"])
def test_a_frozen_codebook_and_one_in_evaluation_do_not_learn(how: str) -> None:
    book = Codebook(8, 3).train()
    book.frozen = how == "frozen"
    book.train(how == "frozen")
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book(torch.randn(1, 3, 4, 4, 4))
    assert all(torch.equal(book.state_dict()[name], value) for name, value in before.items())


def test_codes_converge_to_the_means_of_what_chooses_them() -> None:
    random = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-3.0, 0.0], [3.0, 1.0], [0.0, 5.0]])
    vectors = (centres[:, None] + 0.1 * torch.randn(3, 40, 2, generator=random)).flatten(0, 1)
    book = Codebook(3, 2)
    book.embeddings.copy_(centres + 0.5)
    book.z_avg.copy_(book.embeddings)
    book.N.fill_(1)
    for _ in range(1000):
        book.update(vectors, book.nearest(spread(vectors)).flatten(), generator=random)
    torch.testing.assert_close(book.embeddings, vectors.view(3, 40, 2).mean(dim=1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("wrong", [-1, 8])
def test_indices_beyond_the_codes_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"indices from .* the codes 0 to 7"):
        Codebook(8, 2).lookup(torch.tensor([[[[0, wrong]]]]))


PROCESS = """
import sys, torch
from torch import distributed
from priors.networks.codebook import Codebook
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
torch.manual_seed(rank)
book = Codebook(12, 3).train()
batches = torch.load(f"{folder}/batches.pt", weights_only=True)
for z in batches[rank]:
    book(z)
torch.save(book.state_dict(), f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


def test_two_processes_learn_one_codebook_from_both_batches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    batches = torch.randn(2, 3, 1, 3, 4, 4, 4)
    torch.save(batches, tmp_path / "batches.pt")
    command = [sys.executable, "-c", PROCESS]
    started = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    expected = 0.99**3 * 12 + (1 - 0.99**3) * 128  # running average of the vectors of both, 64 each
    assert float(first["N"].sum()) == pytest.approx(expected, rel=1e-5)


def test_small_batches_fill_a_codebook_in_turn() -> None:
    book = Codebook(10, 3).train()
    vectors = torch.arange(36.0).reshape(12, 3)
    for step, part in enumerate(vectors.split(4)):
        book.collect(spread(part), step)
    torch.testing.assert_close(book.embeddings, torch.cat([vectors[10:], vectors[2:10]]))
    torch.testing.assert_close(book.z_avg, 0.4 * book.embeddings)
    torch.testing.assert_close(book.N, torch.full((10,), 0.4))
    before = book.embeddings.clone()
    book.restart_below = 0.1
    indices, _, _ = book(spread(vectors[2:10]))
    assert indices.flatten().tolist() == list(range(2, 10))
    torch.testing.assert_close(book.embeddings, before, atol=1e-4, rtol=1e-4)  # each code's own vector moves it nowhere


def test_codes_live_as_long_as_they_are_asked_to() -> None:
    vectors = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    kept = {}
    for below in (1.0, 0.0):
        book = Codebook(128, 2).train()
        book.collect(spread(vectors), 0)
        book.collect(spread(vectors + 5), 1)
        book.restart_below = below
        before = book.embeddings.clone()
        book(spread(vectors))
        kept[below] = int((book.embeddings == before).all(dim=1).sum())
    assert kept[1.0] == 0 < 40 < kept[0.0]

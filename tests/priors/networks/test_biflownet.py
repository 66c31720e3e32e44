"""BiFlowNet reproduces the official network, and keeps its promises about sizes, settings and fast paths."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.biflownet_config import FUSED_LEVELS
from priors.networks.controlnet import ControlNet
from priors.networks.dit import PatchEmbedding, TokenAttention, merge_cubes
from priors.networks.unet3d import ChannelNorm

ONE_FORWARD = 5e-5
LOSSES_AND_GRADIENTS = 1e-4
SMALL = BiFlowNetConfig(
    width=12,
    multipliers=(1, 1, 2),
    attention=(False, False, True),
    channels=2,
    norm_groups=4,
    dit_heads=2,
    token_patch=2,
)
FIXTURES = ["biflownet_tinyA_patch1", "biflownet_tinyB_patch2"]


class Official:
    """A tiny official network rebuilt here, with its recorded inputs and outputs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        self.known = load_file(folder / f"{name}_tensors.safetensors")
        self.network = BiFlowNet.from_official_config(self.about["config"])
        self.new_position = self.network.pos_embed.detach().clone()
        self.network.load_state_dict(load_file(folder / f"{name}_weights.safetensors"), strict=True)

    def inputs(self, case: int, *names: str) -> list[Tensor]:
        return [self.known[f"case{case}_{name}"] for name in names]


@pytest.fixture(scope="module", params=FIXTURES)
def official(request: pytest.FixtureRequest, shared: Path) -> Official:
    return Official(shared / "fixtures" / "meddiffusion", request.param)


@pytest.fixture(scope="module")
def network() -> BiFlowNet:
    """A small network with no weight at zero, so that every part matters."""
    torch.manual_seed(0)
    network = BiFlowNet(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def inputs(batch: int = 2, size: tuple[int, int, int] = (8, 8, 16), channels: int = 2) -> tuple[Tensor, ...]:
    """A latent, time steps, classes and sizes."""
    random = torch.Generator().manual_seed(1)
    z_t = torch.randn(batch, channels, *size, generator=random)
    t, y = torch.randint(1000, (batch,), generator=random), torch.randint(7, (batch,), generator=random)
    return z_t, t, y, (torch.tensor(size) / 64).expand(batch, 3)


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).detach().abs().max())


# The official network


def test_noise_estimates_equal_the_official_ones(official: Official) -> None:
    for case in range(len(official.about["cases"])):
        z_t, t, y, res, eps = official.inputs(case, "z_t", "t", "y", "res", "eps")
        with torch.no_grad():
            assert largest_difference(official.network(z_t, t, y, res), eps) < ONE_FORWARD


def _recorded_modules(network: BiFlowNet) -> dict[str, nn.Module]:
    """Modules by the names of their recorded outputs."""
    names = ["init_conv", "time_mlp", "res_mlp", "x_embedder", "mid_block1", "mid_spatial_attn", "mid_block2"]
    modules = {name: network.get_submodule(name) for name in names}
    for ours, theirs in (("input", "in"), ("output", "out")):
        for stage in range(FUSED_LEVELS):
            flow = f"IntraPatchFlow_{ours}.{stage}"
            modules[f"intra_{theirs}{stage}_dit"] = network.get_submodule(f"{flow}.0")
            modules[f"intra_{theirs}{stage}_final"] = network.get_submodule(f"{flow}.1")
    modules |= {f"intra_mid{i}": block for i, block in enumerate(network.IntraPatchFlow_mid)}
    for ours, theirs in (("downs", "down"), ("ups", "up")):
        levels = network.get_submodule(ours)
        assert isinstance(levels, nn.ModuleList)
        modules |= {f"{theirs}{i}": network.get_submodule(f"{ours}.{i}.4") for i in range(len(levels))}
    return modules


def test_every_recorded_activation_is_equal(official: Official) -> None:
    outputs: dict[str, Tensor] = {}

    def keep(_module: nn.Module, taken: tuple[Tensor, ...], output: Tensor, *, name: str) -> None:
        outputs[name] = taken[0] if name == "final_conv_input" else output

    modules = _recorded_modules(official.network) | {"final_conv_input": official.network.final_conv}
    handles = [module.register_forward_hook(partial(keep, name=name)) for name, module in modules.items()]
    with torch.no_grad():
        official.network(*official.inputs(0, "z_t", "t", "y", "res"))
    for handle in handles:
        handle.remove()
    recorded = {name.removeprefix("case0_act_"): v for name, v in official.known.items() if "_act_" in name}
    assert recorded.keys() <= outputs.keys()
    differences = {name: largest_difference(outputs[name], value) for name, value in recorded.items()}
    assert max(differences.values()) < ONE_FORWARD, differences


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_training_losses_and_gradients_are_equal(official: Official, kind: str) -> None:
    known, network = official.known, official.network
    t, y, res = official.inputs(0, "t", "y", "res")
    network.zero_grad()
    diffusion = GaussianDiffusion()

    def estimate(z_t: Tensor, t: Tensor) -> Tensor:
        assert largest_difference(z_t, known["train_x_t"]) < ONE_FORWARD
        return network(z_t, t, y, res)

    loss = diffusion.loss(estimate, known["train_x0"], t, known["train_noise"], "l1" if kind == "l1" else "l2")
    assert abs(loss.item() - known[f"train_loss_{kind}"].item()) < LOSSES_AND_GRADIENTS
    if kind == "l1":
        loss.backward()
        gradients = {name.removeprefix("grad_"): v for name, v in known.items() if name.startswith("grad_")}
        assert gradients
        for name, value in gradients.items():
            found = network.get_parameter(name).grad
            assert found is not None
            assert largest_difference(found, value) < LOSSES_AND_GRADIENTS, name


def test_position_embedding_of_a_new_network_is_the_official_one(official: Official) -> None:
    assert torch.equal(official.new_position, official.network.pos_embed)


@pytest.mark.parametrize(("release", "token_patch"), [("8x", 1), ("4x", 2)])
def test_released_networks_have_the_released_keys_and_parameters(shared: Path, release: str, token_patch: int) -> None:
    with torch.device("meta"):
        network = BiFlowNet.from_official_config({"patch_size": token_patch})
    assert network.config == BiFlowNetConfig(token_patch=token_patch)
    state = {key: [list(value.shape), "float32"] for key, value in network.state_dict().items()}
    assert state == json.loads((shared / "specs" / f"keys_biflownet_{release}.json").read_text())
    counts = json.loads((shared / "specs" / "param_counts.json").read_text())[f"biflownet_{release}"]["params"]
    assert sum(p.numel() for p in network.parameters()) == counts["TOTAL"]
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == counts["TOTAL_trainable"]


# What a network does


def test_dit_of_a_new_network_adds_exactly_nothing() -> None:
    network = BiFlowNet(SMALL)
    with torch.no_grad():
        before = network(*inputs())
        network.x_embedder.proj.weight.normal_(std=100)
        assert torch.equal(network(*inputs()), before)
        network.get_parameter("IntraPatchFlow_output.1.1.linear.weight").normal_()
        assert not torch.equal(network(*inputs()), before)


@settings(deadline=None, max_examples=8)
@given(cubes=st.tuples(*[st.integers(1, 2)] * 3), batch=st.integers(1, 2))
def test_every_multiple_of_eight_is_a_size(network: BiFlowNet, cubes: tuple[int, int, int], batch: int) -> None:
    size = (cubes[0] * 8, cubes[1] * 8, cubes[2] * 8)
    z_t, *conditions = inputs(batch, size)
    with torch.no_grad():
        together = network(z_t, *conditions)
        alone = network(z_t[:1], *(condition[:1] for condition in conditions))
    assert together.shape == z_t.shape
    assert largest_difference(together[:1], alone) < ONE_FORWARD


@settings(deadline=None, max_examples=20)
@given(size=st.tuples(*[st.integers(1, 40)] * 3).filter(lambda size: any(length % 8 for length in size)))
def test_other_sizes_are_refused_with_the_nearest(network: BiFlowNet, size: tuple[int, int, int]) -> None:
    nearest = r"nearest: \((\d+), (\d+), (\d+)\)"
    with pytest.raises(ValueError, match=nearest) as refusal:
        network(*inputs(1, size))
    offered = [int(length) for length in str(refusal.value).rsplit("(", 1)[1].rstrip(")").split(", ")]
    assert all(new % 8 == 0 and new > 0 for new in offered)
    assert all(abs(new - old) <= 4 or new == 8 for new, old in zip(offered, size, strict=True))


def test_shapes_that_do_not_fit_are_refused(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    with pytest.raises(ValueError, match=r"\(B, 2, Z, X, Y\) is wanted"):
        network(z_t[:, :1], t, y, res)
    with pytest.raises(ValueError, match="is wanted"):
        network(z_t[0], t, y, res)
    with pytest.raises(ValueError, match="2 latents with 1 time steps"):
        network(z_t, t[:1], y, res)
    with pytest.raises(ValueError, match=r"\(B, 3\) or \(3,\)"):
        network(z_t, t, y, res[:1])
    with pytest.raises(ValueError, match="classes 0 to 6"):
        network.bind(torch.tensor([7]), res[:1])


def test_one_latent_size_serves_the_whole_batch(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    with torch.no_grad():
        assert torch.equal(network(z_t, t, y, res[0]), network(z_t, t, y, res))


def test_bound_estimator_is_the_network_and_computes_the_condition_once(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    calls = []
    handle = network.res_mlp.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        estimate = network.bind(y, res)
        bound = [estimate(z_t, t), estimate(z_t, t // 2)]
        assert len(calls) == 1
        handle.remove()
        assert torch.equal(bound[0], network(z_t, t, y, res))
        assert torch.equal(bound[1], network(z_t, t // 2, y, res))


def test_bound_estimator_can_be_differentiated_at_every_step(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    estimate = network.bind(y, res)
    gradients = []
    for _ in range(2):
        z_t = z_t.detach().requires_grad_()
        estimate(z_t, t).square().sum().backward()
        assert z_t.grad is not None
        gradients.append(z_t.grad)
    assert torch.equal(*gradients)
    assert gradients[0].abs().min() > 0
    assert network.get_parameter("res_mlp.0.weight").grad is None
    network.zero_grad()


def test_cubes_do_not_see_each_other_in_the_dit(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs(1, (8, 8, 16))
    tokens: list[Tensor] = []
    handle = network.get_submodule("IntraPatchFlow_output.1.0").register_forward_hook(
        lambda _m, _i, out: tokens.append(out)
    )
    with torch.no_grad():
        network(z_t, t, y, res)
        z_t[..., :8] += 1
        network(z_t, t, y, res)
    handle.remove()
    changed = (tokens[0] != tokens[1]).flatten(1).all(dim=1)
    assert changed.tolist() == [True, False]


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_cubes_and_tokens_are_in_the_order_z_x_y(patch: int) -> None:
    grid = torch.arange(2 * 8 * 16 * 24.0).reshape(2, 1, 8, 16, 24)
    split = PatchEmbedding(1, patch**3, patch, cube=8)
    with torch.no_grad():
        split.proj.weight.copy_(torch.eye(patch**3).view_as(split.proj.weight))
        split.proj.bias.zero_()  # type: ignore[union-attr]
        tokens = split(grid)
    assert tokens.shape == (2 * 1 * 2 * 3, (8 // patch) ** 3, patch**3)
    second_cube = grid[0, 0, :8, :8, 8:16]
    assert torch.equal(tokens[1, 0], second_cube[:patch, :patch, :patch].flatten())
    assert torch.equal(merge_cubes(tokens, grid.shape[2:], patch, 8), grid)


def test_padded_attention_heads_change_nothing() -> None:
    torch.manual_seed(0)
    attention, tokens = TokenAttention(72, heads=8), torch.randn(2, 64, 72)
    q, k, v = attention.qkv(tokens).view(2, 64, 3, 8, 9).permute(2, 0, 3, 1, 4)
    mixed = ((q @ k.transpose(-1, -2)) * 9**-0.5).softmax(-1) @ v
    plain = attention.proj(mixed.transpose(1, 2).reshape(2, 64, 72))
    assert largest_difference(attention(tokens), plain) < 1e-6


def test_channel_norm_uses_the_biased_variance() -> None:
    tokens = torch.randn(2, 5, 6)
    norm = ChannelNorm(6)
    wanted = (tokens - tokens.mean(-1, keepdim=True)) / (tokens.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    assert largest_difference(norm(tokens), wanted) < 1e-5


# Fast paths and training


def test_channels_last_is_the_same_network(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    with torch.no_grad():
        exact = network(z_t, t, y, res)
        other = BiFlowNet(SMALL).eval()
        other.load_state_dict(network.state_dict())
        other.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        assert largest_difference(other(z_t, t, y, res), exact) < ONE_FORWARD


def test_bf16_autocast_stays_close(network: BiFlowNet) -> None:
    z_t, t, y, res = inputs()
    with torch.no_grad():
        exact = network(z_t, t, y, res)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(z_t, t, y, res).float()
    assert (rough - exact).std() < 0.02 * exact.std()


def test_network_is_one_graph_for_the_compiler(network: BiFlowNet) -> None:
    torch.compiler.reset()
    z_t, t, y, res = inputs()
    static = network.static_condition(y, res)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert largest_difference(compiled(z_t, t, y, res, static=static), network(z_t, t, y, res)) < ONE_FORWARD


def test_levels_can_be_recomputed_in_the_backward_pass(network: BiFlowNet) -> None:
    def gradients() -> list[Tensor]:
        parameters = [p for p in network.parameters() if p.requires_grad]
        return list(torch.autograd.grad(network(*inputs()).square().mean(), parameters))

    plain = gradients()
    levels = [*network.downs, *network.ups, *network.IntraPatchFlow_input, *network.IntraPatchFlow_output]
    for level in levels:
        level.forward = partial(checkpoint, level.forward, use_reentrant=False)
    try:
        recomputed = gradients()
    finally:
        for level in levels:
            del level.forward
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed, strict=True))


@pytest.mark.parametrize("kind", ["unet", "none"])
def test_other_intra_patch_flows_for_the_ablation(kind: str) -> None:
    torch.manual_seed(0)
    network = BiFlowNet(replace(SMALL, intra_patch=kind)).eval()
    assert any("adaLN" in name for name in network.state_dict()) == (kind == "unet"), "its heads are the same"
    assert not any("attn.qkv" in name and "Intra" in name for name in network.state_dict())
    if kind == "unet":
        for stage in [*network.IntraPatchFlow_input, *network.IntraPatchFlow_output]:
            nn.init.normal_(stage[1].linear.weight, std=0.1)
    z = torch.randn(1, 2, 16, 8, 16)
    arguments = torch.tensor([5]), torch.tensor([1]), torch.tensor([0.25, 0.125, 0.25])
    estimate = network(z, *arguments)
    assert estimate.shape == z.shape
    estimate.sum().backward()
    unused = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    assert BiFlowNetConfig.from_dict(network.config.to_dict()) == network.config


def test_a_head_wants_both_flows() -> None:
    with pytest.raises(ValueError, match="without intra-patch flow"):
        ControlNet.from_base(BiFlowNet(replace(SMALL, intra_patch="none")), 2, {})


def test_every_trainable_parameter_is_used(network: BiFlowNet) -> None:
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert set(dict(network.named_parameters())) - set(parameters) == {"pos_embed"}
    gradients = torch.autograd.grad(network(*inputs()).square().mean(), list(parameters.values()))
    unused = [name for name, gradient in zip(parameters, gradients, strict=True) if not gradient.any()]
    assert unused == []

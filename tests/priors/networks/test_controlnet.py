"""A ControlNet head changes nothing before it is trained, learns alone, and knows its base."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.controlnet import AttachedHead, ControlNet, ControlNetConfig, attach
from priors.weights.card import Card, save_weights
from priors.weights.networks import load_controlnet

SIZE = (8, 8, 16)
CHANNELS = 2


def redraw(network: nn.Module, seed: int) -> None:
    """No trainable weight is left at zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.1)


def new_base(token_patch: int = 2, seed: int = 0) -> BiFlowNet:
    base = BiFlowNet(
        BiFlowNetConfig(
            width=12,
            multipliers=(1, 1, 2),
            attention=(False, False, True),
            channels=CHANNELS,
            norm_groups=4,
            dit_heads=2,
            token_patch=token_patch,
        )
    )
    redraw(base, seed)
    return base.requires_grad_(False).eval()


@pytest.fixture(scope="module", params=[1, 2])
def base(request: pytest.FixtureRequest) -> BiFlowNet:
    return new_base(request.param)


def trained_head(base: BiFlowNet, hint_channels: int = CHANNELS, seed: int = 5) -> ControlNet:
    head = ControlNet.from_base(base, hint_channels)
    redraw(head, seed)
    return head.eval()


def latents(batch: int = 2, channels: int = CHANNELS, size: Sequence[int] = SIZE, seed: int = 2) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def conditions(batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Time steps, classes and sizes."""
    return torch.arange(batch) * 400 + 30, torch.arange(batch), (torch.tensor(SIZE) / 64).expand(batch, 3)


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


# An untrained head


@settings(deadline=None, max_examples=10)
@given(
    scales=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3),
    hint_channels=st.integers(1, 5),
    scale=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_untrained_heads_change_no_bit(base: BiFlowNet, scales: list[float], hint_channels: int, scale: float) -> None:
    t, y, res = conditions()
    z_t, hint = latents(), latents(channels=hint_channels, seed=3) * scale
    heads = [attach(base, ControlNet.from_base(base, hint_channels), hint, each) for each in scales]
    with torch.no_grad():
        plain = base(z_t, t, y, res)
        control = heads[0].head(z_t, t, y, res, hint)
        assert same_bits(base(z_t, t, y, res, control), plain)
        assert same_bits(base(z_t, t, y, res, control.scaled(scales[0])), plain)
        assert same_bits(base.bind(y, res, heads=heads)(z_t, t), plain)


def test_untrained_head_changes_no_bit_under_autocast(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head = ControlNet.from_base(base, CHANNELS)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        control = head(latents(), t, y, res, latents(seed=3))
        assert same_bits(base(latents(), t, y, res, control).float(), base(latents(), t, y, res).float())


def test_a_head_without_middle_is_smaller_changes_no_bit_untrained_and_steers_trained(base, tmp_path) -> None:
    t, y, res = conditions()
    head = ControlNet.from_base(base, CHANNELS, middle=False)
    assert not any(name.startswith("mid") and "token" not in name for name in head.state_dict())
    with torch.no_grad():
        plain, hint = base(latents(), t, y, res), latents(seed=3)
        assert same_bits(base(latents(), t, y, res, head(latents(), t, y, res, hint)), plain)
        redraw(head, 5)
        steered = base(latents(), t, y, res, head(latents(), t, y, res, hint))
        assert not torch.allclose(steered, plain, atol=1e-3)
        card = Card("controlnet", head.config.to_dict(), extra={"base_sha256": head.base_hash})
        save_weights(tmp_path / "head.safetensors", head.state_dict(), card)
        again = load_controlnet(tmp_path / "head.safetensors").eval()
        assert same_bits(base(latents(), t, y, res, again(latents(), t, y, res, hint)), steered)


def test_head_is_a_clone_of_the_bases_encoder(base: BiFlowNet) -> None:
    head = ControlNet.from_base(base, CHANNELS)
    own, theirs = head.state_dict(), base.state_dict()
    cloned = {name for name in own if name in theirs}
    assert cloned == {name for name in theirs if not name.startswith(("ups.", "final_conv.", "IntraPatchFlow_output."))}
    assert all(torch.equal(own[name], theirs[name]) for name in cloned)
    assert all(own[name].data_ptr() != theirs[name].data_ptr() for name in cloned)


def test_hint_enters_an_untrained_head_through_zeros(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head = ControlNet.from_base(base, CHANNELS)
    features: list[Tensor] = []
    ends = [network.get_submodule(end) for network in (head, base) for end in ("mid_block2", "IntraPatchFlow_mid.0")]
    handles = [end.register_forward_hook(lambda _m, _i, out: features.append(out)) for end in ends]
    with torch.no_grad():
        base(latents(), t, y, res)
        for seed in (3, 4):
            head(latents(), t, y, res, latents(seed=seed))
    for handle in handles:
        handle.remove()
    assert len(features) == 6
    assert all(torch.equal(found, wanted) for found, wanted in zip(features[2:], features[:2] * 2, strict=True))


# Training


def test_gradients_reach_the_head_only_and_in_the_end_all_of_it(base: BiFlowNet) -> None:
    t, y, res = conditions()
    z0, noise, hint = latents(), latents(seed=8), latents(seed=3)
    before = copy.deepcopy(base.state_dict())
    head = ControlNet.from_base(base, CHANNELS)
    optimiser = torch.optim.SGD([p for p in head.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(4):  # exits first, then what lies before them, then the hint's entrances, then its encoder
        loss = GaussianDiffusion().loss(
            lambda z_t, t: base(z_t, t, y, res, head(z_t, t, y, res, hint)), z0, t, noise, "l2"
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is None for parameter in base.parameters())
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    unreached = [
        name for name, p in head.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert unreached == []


def test_first_step_reaches_every_exit(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head = ControlNet.from_base(base, CHANNELS)
    base(latents(), t, y, res, head(latents(), t, y, res, latents(seed=3))).square().mean().backward()
    reached = {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"skip_convs", "middle_conv", "token_linears", "middle_token_linear"}


# Hints and scales


def test_hint_matters_everywhere_it_joins(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head, z_t = trained_head(base), latents()
    with torch.no_grad():
        one, other = (head(z_t, t, y, res, latents(seed=seed)) for seed in (3, 4))
    for a, b in [
        *zip(one.skips, other.skips, strict=True),
        (one.middle, other.middle),
        *zip(one.tokens, other.tokens, strict=True),
        (one.middle_tokens, other.middle_tokens),
    ]:
        assert (a != b).float().mean() > 0.9


@pytest.mark.parametrize("joint", ["skips", "middle", "tokens", "middle_tokens"])
def test_every_joint_reaches_the_estimate(base: BiFlowNet, joint: str) -> None:
    t, y, res = conditions()
    with torch.no_grad():
        control = trained_head(base)(latents(), t, y, res, latents(seed=3))
        steered = base(latents(), t, y, res, control)
        joined = getattr(control, joint)
        parts = joined if isinstance(joined, list) else [joined]
        for part in parts:
            kept = part.clone()
            part.zero_()
            assert not torch.equal(base(latents(), t, y, res, control), steered)
            part.copy_(kept)


def test_hints_of_the_iterate_and_a_mask_side_by_side(base: BiFlowNet) -> None:
    t, y, res = conditions()
    hint = torch.cat([latents(seed=3), latents(seed=4), (latents(channels=1) > 0).float()], dim=1)
    head = trained_head(base, hint_channels=hint.shape[1])
    with torch.no_grad():
        plain, steered = (base.bind(y, res, heads=h)(latents(), t) for h in ([], [attach(base, head, hint)]))
    assert not torch.equal(plain, steered)


def test_one_hint_serves_the_whole_batch(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head, hint = trained_head(base), latents(batch=1, seed=3)
    with torch.no_grad():
        one = base.bind(y, res, heads=[attach(base, head, hint)])(latents(), t)
        each = base.bind(y, res, heads=[attach(base, head, hint.expand(2, -1, -1, -1, -1))])(latents(), t)
    assert (one - each).abs().max() < 5e-5


def test_several_heads_are_summed_each_with_its_scale(base: BiFlowNet) -> None:
    t, y, res = conditions()
    heads = [trained_head(base, seed=seed) for seed in (5, 6)]
    hints, z_t = [latents(seed=3), latents(seed=4)], latents()
    attached = [attach(base, head, hint, s) for head, hint, s in zip(heads, hints, (0.5, -2.0), strict=True)]
    with torch.no_grad():
        a, b = (head(z_t, t, y, res, hint) for head, hint in zip(heads, hints, strict=True))
        summed = base(z_t, t, y, res, a.scaled(0.5) + b.scaled(-2.0))
        assert (base.bind(y, res, heads=attached)(z_t, t) - summed).abs().max() < 5e-5
        off = [attach(base, head, hint, 0) for head, hint in zip(heads, hints, strict=True)]
        assert same_bits(base.bind(y, res, heads=off)(z_t, t), base(z_t, t, y, res))


def test_bound_head_embeds_its_hint_once(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head, calls = trained_head(base), []
    head.hint_encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        estimate = base.bind(y, res, heads=[attach(base, head, latents(seed=3))])
        assert torch.equal(estimate(latents(), t), estimate(latents(), t))
    assert len(calls) == 1


def test_bound_head_lets_gradients_through_to_the_latent(base: BiFlowNet) -> None:
    t, y, res = conditions()
    head = trained_head(base)
    estimate = base.bind(y, res, heads=[attach(base, head, latents(seed=3))])
    gradients = []
    for _ in range(2):
        z_t = latents().requires_grad_()
        estimate(z_t, t).square().sum().backward()
        assert z_t.grad is not None
        gradients.append(z_t.grad)
    assert torch.equal(*gradients)
    assert all(parameter.grad is None for parameter in head.hint_encoder.parameters())


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (latents(channels=3), r"hint of shape \(2, 3, 8, 8, 16\); \(B, 2, Z, X, Y\) is wanted"),
        (latents()[0], r"hint of shape \(2, 8, 8, 16\)"),
        (latents(size=(8, 8, 12)), r"hint size \(8, 8, 12\).*nearest: \(8, 8, 16\)"),
        (latents(size=(8, 8, 8)), r"a hint of size \(8, 8, 8\) for a latent of size \(8, 8, 16\)"),
        (latents(batch=3), "a batch of 3 hints for 2 latents"),
    ],
)
def test_wrong_hint_is_refused_in_one_line(base: BiFlowNet, hint: Tensor, message: str) -> None:
    t, y, res = conditions()
    head = trained_head(base)
    with pytest.raises(ValueError, match=message) as directly:
        head(latents(), t, y, res, hint)
    with pytest.raises(ValueError, match=message):
        base.bind(y, res, heads=[attach(base, head, hint)])(latents(), t)
    assert "\n" not in str(directly.value)


@pytest.mark.parametrize("controlnet_scale", [float("nan"), float("inf")])
def test_the_scale_is_finite(base: BiFlowNet, controlnet_scale: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        AttachedHead(trained_head(base), latents(), controlnet_scale)


# Which base


def test_head_knows_its_base(base: BiFlowNet) -> None:
    head = ControlNet.from_base(base, CHANNELS)
    attach(base, head, latents())
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.get_parameter("final_conv.1.bias")[0] += 1e-3
    with pytest.raises(ValueError, match="made for the base"):
        attach(other, head, latents())
    attach(other, head, latents(), allow_other_base=True)
    with pytest.raises(ValueError, match="unknown weights"):
        attach(base, ControlNet(head.config), latents())


def test_base_of_other_sizes_is_always_refused() -> None:
    head = ControlNet.from_base(new_base(1), CHANNELS)
    with pytest.raises(ValueError, match="other sizes"):
        attach(new_base(2), head, latents(), allow_other_base=True)


def test_head_is_saved_and_loaded_without_its_base(base: BiFlowNet, tmp_path: Path) -> None:
    t, y, res = conditions()
    head, hint = trained_head(base), latents(seed=3)
    file = tmp_path / "head.safetensors"
    save_weights(
        file, head.state_dict(), Card("controlnet", head.config.to_dict(), extra={"base_sha256": head.base_hash})
    )
    loaded = load_controlnet(file).eval()
    assert (loaded.config, loaded.base_hash) == (head.config, head.base_hash)
    assert not any(name.startswith("ups.") for name in loaded.state_dict())
    with pytest.raises(ValueError, match="made for the base"):
        attach(new_base(base.config.token_patch, seed=9), loaded, hint)
    with torch.no_grad():
        again, first = (base.bind(y, res, heads=[attach(base, h, hint)])(latents(), t) for h in (loaded, head))
    assert same_bits(again, first)


# Settings


def test_settings_survive_json(base: BiFlowNet) -> None:
    config = ControlNetConfig(base.config, 17, {"geometry": {"views": 40}, "hints": ["fbp", "cgls", "mask"]})
    assert ControlNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_wrong_settings_are_refused(base: BiFlowNet) -> None:
    good = ControlNetConfig(base.config, 1).to_dict()
    wrong: list[tuple[dict[str, object], str]] = [
        ({"hints": 2}, "unknown or missing: hints"),
        ({"base": 3}, "base is 3"),
        ({"hint_channels": 0}, "0 channels"),
        ({"hint_channels": "2"}, "'2' channels"),
        ({"base": {}}, "unknown or missing"),
    ]
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            ControlNetConfig.from_dict(good | change)

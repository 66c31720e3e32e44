"""MedSyn's networks: sizes, texts, grids, and what they refuse.

That they compute what the official ones do is tested in ``tests/priors/test_parity.py``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.grids import enlarged, reduced
from priors.networks.medsyn.low import MedSynLow

LOW = MedSynConfig(
    width=8, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, text_tokens=3, text_width=6
)
SR = MedSynSRConfig(width=8, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, ratio=2)


def test_published_networks_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        networks = MedSynLow(MedSynConfig()), MedSynSR(MedSynSRConfig())
    counts = [sum(each.numel() for each in network.parameters()) for network in networks]
    assert counts == [716_215_684, 54_307_908]


def test_no_text_is_the_learned_embedding_of_none() -> None:
    network, x, t = MedSynLow(LOW), torch.randn(2, 1, 3, 4, 4), torch.tensor([3.0, 900.0])
    torch.testing.assert_close(network(x, t), network(x, t, network.null_cond_emb.expand(2, -1, -1)))
    assert not torch.allclose(network(x, t), network(x, t, torch.randn(2, 3, 6)))


def test_a_text_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a text of shape \(2, 4, 6\); \(2, 3, 6\) is wanted"):
        MedSynLow(LOW)(torch.randn(2, 1, 3, 4, 4), torch.tensor([3.0, 900.0]), torch.zeros(2, 4, 6))


def test_texts_of_classes_are_kept_with_the_weights() -> None:
    network = MedSynLow(replace(LOW, text_classes=("CTLegs",)))
    network.class_texts[0] = torch.arange(18).view(3, 6)
    other = MedSynLow(MedSynConfig.from_dict(network.config.to_dict()))
    other.load_state_dict(network.state_dict())
    found = other.text_of("CTLegs")
    assert found is not None
    assert torch.equal(found, torch.arange(18.0).view(3, 6))
    assert other.text_of("CTHeadNeck") is None
    assert MedSynLow(LOW).text_of("CTLegs") is None


@pytest.mark.parametrize("order", ["training", "evaluation"])
def test_both_forms_keep_the_size_and_differ(order: str) -> None:
    low, finer = MedSynLow(replace(LOW, up_order=order)), MedSynSR(replace(SR, up_order=order))  # type: ignore[arg-type]
    x, t = torch.randn(1, 1, 5, 4, 6), torch.tensor([100.0])
    assert low(x, t).shape == finer(x, x, t).shape == x.shape


def test_the_form_is_a_setting_of_the_same_weights() -> None:
    network, x, t = MedSynLow(LOW), torch.randn(1, 1, 5, 4, 6), torch.tensor([100.0])
    other = MedSynLow(replace(LOW, up_order="evaluation"))
    other.load_state_dict(network.state_dict())
    assert not torch.allclose(network(x, t), other(x, t), atol=1e-3)


def test_grids_are_means_or_first_voxels_and_back() -> None:
    volume = torch.arange(64.0).view(1, 1, 4, 4, 4)
    assert reduced(volume, 2, "mean")[0, 0, 0, 0].tolist() == [10.5, 12.5]
    assert reduced(volume, 2, "nearest")[0, 0, 1, 1].tolist() == [40, 42]
    small = torch.randn(2, 1, 2, 3, 2)
    back = enlarged(small, 3)
    assert back.shape == (2, 1, 6, 9, 6)
    for reduction in ("mean", "nearest"):
        torch.testing.assert_close(reduced(back, 3, reduction), small)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"up_order": "both"}, "up_order is 'both'"),
        ({"text_tokens": 0}, "text_tokens is 0"),
        ({"width": 7}, "width is"),
    ],
)
def test_wrong_sizes_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MedSynConfig.from_dict({**LOW.to_dict(), **change})


def test_a_ratio_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="ratio is 0"):
        MedSynSRConfig.from_dict({**SR.to_dict(), "ratio": 0})

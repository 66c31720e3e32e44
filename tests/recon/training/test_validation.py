"""Figures of a validation whose volumes are of CT and MR."""

from __future__ import annotations

import torch

from recon.training.validation import evaluate_network, mean_figures


def test_volumes_of_both_modalities_have_a_mean() -> None:
    truth = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    output = (0.9 * truth).clamp(-1, 1)
    figures = [evaluate_network(truth, output, modality) for modality in ("CT", "MR")]
    assert set(figures[0]) != set(figures[1])
    for order in (figures, figures[::-1]):
        found = mean_figures(order)
        values = [each["psnr"] for each in figures]
        assert found["psnr"] == sum(values) / 2  # type: ignore[arg-type]
        alone = next(iter(set(figures[0]) - set(figures[1])))
        assert found[alone] == figures[0][alone]
    assert mean_figures([{"psnr": None}]) == {}

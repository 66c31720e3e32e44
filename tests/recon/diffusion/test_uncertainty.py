"""How unsure an image is said to be: samples that differ, and changes around a voxel, both count."""

from __future__ import annotations

import torch

from recon.diffusion.uncertainty import uncertainty


def test_samples_that_differ_where_nothing_was_changed():
    shown = torch.zeros(2, 20, 20)
    noise = torch.randn(400, 2, 20, 20, generator=torch.Generator().manual_seed(0))
    found = uncertainty(noise - noise.mean(0), shown[None], shown, shown[None])
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0.2, atol=0)


def test_changes_count_around_their_place_alone():
    shown = torch.zeros(2, 30, 30)
    same = torch.zeros(3, 2, 30, 30)
    same[:, 0, 15, 15] = 7.0
    found = uncertainty(same, same, shown, shown[None])
    assert float(found[0, 15, 15]) == 1.0  # 7 / sqrt(7 x 7)
    assert float(found[0, 12, 18]) == 1.0
    assert float(found[0, 11, 15]) == 0
    assert float(found[1].max()) == 0


def test_it_scales_with_the_image():
    samples = torch.rand(3, 2, 12, 12, generator=torch.Generator().manual_seed(1))
    shown = samples[0] * 0.9
    found = uncertainty(samples, samples, shown, samples[:2], 0.1)
    torch.testing.assert_close(uncertainty(5 * samples, 5 * samples, 5 * shown, 5 * samples[:2], 0.5), 5 * found)


def test_changes_that_the_data_took_back_count_too():
    shown = torch.zeros(2, 20, 20)
    advised = torch.full((3, 2, 20, 20), 0.5)
    torch.testing.assert_close(uncertainty(advised * 0, advised, shown, shown[None]), advised[0])
    torch.testing.assert_close(uncertainty(advised, advised * 0, shown, shown[None]), advised[0])


def test_noise_of_the_truth_is_in_it():
    image = torch.ones(2, 2, 20, 20)
    found = uncertainty(image, image, image[0] - 0.3, image[:1], 0.4)
    torch.testing.assert_close(found, torch.full((2, 20, 20), 0.5))


def test_methods_that_disagree_are_in_it():
    image = torch.ones(2, 2, 20, 20)
    methods = torch.stack([image[0] + 0.4, image[0] - 0.4])
    torch.testing.assert_close(uncertainty(image, image, image[0], methods), torch.full((2, 20, 20), 0.4))

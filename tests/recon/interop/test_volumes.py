"""Volumes of arrays and of other libraries' images, and back."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import recon
from recon.errors import InputError
from recon.interop import as_simpleitk, as_volume, as_xarray

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)  # (z, y, x)
OBLIQUE = np.array([[0.0, -2, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])


@pytest.mark.parametrize("image", [VALUES, torch.from_numpy(VALUES), VALUES.tolist()])
def test_arrays_need_their_spacing(image: Any) -> None:
    volume = as_volume(image, "CT", spacing=(3, 2, 1.5))
    np.testing.assert_array_equal(np.asarray(volume), VALUES)
    assert volume.spacing == (3, 2, 1.5)
    with pytest.raises(InputError, match="`spacing`: give the voxel size"):
        as_volume(image, "CT")


def test_an_affine_turns_the_array() -> None:
    lps = np.diag([-1.5, -2.0, 3.0, 1.0])
    volume = recon.as_volume(VALUES, "CT", affine=lps)
    np.testing.assert_array_equal(volume.data.numpy(), VALUES[:, ::-1, ::-1])
    np.testing.assert_allclose(np.diag(volume.affine), [1.5, 2, 3, 1])


def test_images_of_nibabel_bring_their_grid() -> None:
    volume = as_volume(nibabel.Nifti1Image(VALUES.T, OBLIQUE), "MR")
    for index in np.ndindex(*VALUES.shape):
        place = OBLIQUE @ [*index[::-1], 1]
        x, y, z = np.rint((np.linalg.inv(volume.affine) @ place)[:3]).astype(int)
        assert volume.data[z, y, x] == VALUES[index]
    with pytest.raises(InputError, match="the grid is known once"):
        as_volume(nibabel.Nifti1Image(VALUES.T, OBLIQUE), "MR", spacing=(1, 1, 1))


@pytest.mark.parametrize(
    ("image", "given", "message"),
    [
        (VALUES[0], {"spacing": (1, 1, 1)}, r"`image`: must be \(z, y, x\)"),
        (VALUES * np.nan, {"spacing": (1, 1, 1)}, "finite real numbers"),
        (VALUES + 1j, {"spacing": (1, 1, 1)}, "finite real numbers"),
        (VALUES, {"spacing": (1, 1)}, "must be the voxel size"),
        (VALUES, {"affine": np.eye(3)}, "`affine`: must be 4 x 4"),
    ],
)
def test_what_cannot_be_a_volume_is_said_in_one_line(image: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_volume(image, "CT", **given)


def test_simpleitk_and_back() -> None:
    simpleitk = pytest.importorskip("SimpleITK")
    volume = as_volume(nibabel.Nifti1Image(VALUES.T, OBLIQUE), "CT")
    image = as_simpleitk(volume)
    place = image.TransformIndexToPhysicalPoint((1, 0, 1))
    np.testing.assert_allclose(np.array(place) * [-1, -1, 1], (volume.affine @ [1, 0, 1, 1])[:3], atol=1e-6)
    assert simpleitk.GetArrayFromImage(image)[1, 0, 1] == volume.data[1, 0, 1]
    again = as_volume(image, "CT")
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-6)
    assert torch.equal(again.data, volume.data)


def test_xarray_and_back() -> None:
    pytest.importorskip("xarray")
    volume = as_volume(VALUES, "CT", spacing=(3, 2, 1.5))
    array = as_xarray(volume)
    assert array.dims == ("z", "y", "x")
    assert array.attrs["units"] == "HU"
    again = as_volume(array.transpose("x", "z", "y"), "CT")
    assert torch.equal(again.data, volume.data)
    np.testing.assert_allclose(again.affine, volume.affine)
    assert torch.equal(as_volume(array.isel(y=slice(None, None, -1)), "CT").data, volume.data), "descending coordinates"
    turned = as_volume(VALUES, "CT", affine=_rotated())
    with pytest.raises(InputError, match="oblique"):
        as_xarray(turned)


def _rotated() -> np.ndarray:
    cosine, sine = np.cos(0.2), np.sin(0.2)
    return np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])

"""Files in the layout of the fastMRI data set, made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from physics.mr.cartesian import fft2c, ifft2c
from recon.errors import InputError
from recon.io.detect import describe
from recon.io.kspace.file import read_kspace

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <encoding>
  <encodedSpace><matrixSize><x>64</x><y>36</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>280</x><y>161</y><z>4.5</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>32</x><y>32</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm></reconSpace>
  <trajectory>cartesian</trajectory>
  <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>35</maximum><center>18</center>
  </kspace_encoding_step_1></encodingLimits>
 </encoding>
</ismrmrdHeader>"""


def image(z: int = 3, coils: int = 1) -> torch.Tensor:
    picture = torch.rand(z, coils, 64, 36, generator=torch.Generator().manual_seed(0))
    return picture * torch.exp(1j * picture)


def crop(picture: torch.Tensor) -> torch.Tensor:
    return picture[..., 16:48, 2:34]


def write(path: Path, coils: int = 1, **changes: Any) -> torch.Tensor:
    """One volume as the data set has it; returns its k-space (z, coils, y, x)."""
    kspace = fft2c(image(coils=coils))
    datasets = {"ismrmrd_header": HEADER} | changes
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace[:, 0].numpy() if coils == 1 else kspace.numpy()
        for name, values in datasets.items():
            if name in file:
                del file[name]
            if values is not None:
                file[name] = values
        file.attrs.update({"acquisition": "CORPDFS_FBK", "patient_id": "abc", "max": 1.0, "norm": 2.0})
    return kspace


@pytest.mark.parametrize(("coils", "name"), [(1, "reconstruction_esc"), (4, "reconstruction_rss")])
def test_image_spacing_and_reference_agree(tmp_path: Path, coils: int, name: str) -> None:
    truth = crop(image(coils=coils).abs().square().sum(1).sqrt())
    expected = write(tmp_path / "f.h5", coils, **{name: truth.numpy()})
    kspace = read_kspace(tmp_path / "f.h5")
    assert torch.equal(kspace.data, expected)
    assert kspace.image_shape == (32, 32)
    assert kspace.mask is None
    picture = crop(ifft2c(kspace.data)).abs().square().sum(1).sqrt()
    assert kspace.reference is not None
    torch.testing.assert_close(picture, kspace.reference, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(np.diag(kspace.affine), [161 / 36, 280 / 64, 4.5, 1])
    assert kspace.source is not None
    assert (kspace.source.format, kspace.source.shape) == ("fastmri", (32, 32, 3))
    assert {"acquisition": "CORPDFS_FBK", "contrast": "PDFS", "patient_id": "abc"}.items() <= kspace.meta.items()
    assert kspace.meta["spacing_known"] is True


def test_single_coil_prefers_esc_and_the_header_crops_without_a_reference(tmp_path: Path) -> None:
    esc, rss = torch.rand(3, 32, 32).numpy(), torch.rand(3, 32, 32).numpy()
    write(tmp_path / "f.h5", reconstruction_rss=rss, reconstruction_esc=esc)
    np.testing.assert_array_equal(read_kspace(tmp_path / "f.h5").reference, esc)
    write(tmp_path / "f.h5")
    kspace = read_kspace(tmp_path / "f.h5")
    assert kspace.reference is None
    assert kspace.image_shape == (32, 31)  # 140 mm of 161 mm in 36 columns


def test_a_test_file_has_its_mask_over_the_columns(tmp_path: Path) -> None:
    mask = np.zeros(36, np.float32)
    mask[::4] = mask[16:20] = 1
    write(tmp_path / "f.h5", mask=mask, kspace=(fft2c(image())[:, 0] * torch.from_numpy(mask)).numpy())
    kspace = read_kspace(tmp_path / "f.h5")
    assert kspace.mask is not None
    assert torch.equal(kspace.mask, torch.from_numpy(mask > 0).expand(64, 36))
    assert "positions_outside_mask_set_to_zero" not in kspace.meta


def test_without_header_the_spacing_is_unknown(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", ismrmrd_header=None)
    kspace = read_kspace(tmp_path / "f.h5")
    assert kspace.meta["spacing_known"] is False
    np.testing.assert_array_equal(kspace.affine, np.eye(4))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + HEADER.split("?>")[1].replace(
    "cartesian", "&b;"
)
LEAK = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + HEADER.split("?>")[1].replace("cartesian", "&f;")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ismrmrd_header": BOMB}, "DOCTYPE"),
        ({"ismrmrd_header": LEAK}, "DOCTYPE"),
        ({"ismrmrd_header": "<a>"}, "header is damaged"),
        ({"ismrmrd_header": HEADER.replace("<x>64</x>", "")}, "no x"),
        ({"ismrmrd_header": HEADER.replace("<x>280</x>", "<x>0</x>")}, "not positive"),
        ({"ismrmrd_header": HEADER.replace("<x>280</x>", "<x>nan</x>")}, "header is damaged"),
        ({"kspace": np.ones((3, 64, 36), np.float32)}, "complex numbers are needed"),
        ({"kspace": np.zeros((3, 64, 36), np.complex64)}, "zero everywhere"),
        ({"kspace": np.full((3, 64, 36), np.nan, np.complex64)}, "NaN"),
        ({"kspace": np.ones((64, 36), np.complex64)}, r"kspace is \(64, 36\)"),
        ({"mask": np.ones(35)}, "the mask is"),
        ({"reconstruction_esc": np.random.rand(2, 32, 32)}, "reference image"),
        ({"reconstruction_esc": np.zeros((3, 32, 32))}, "constant"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    write(tmp_path / "f.h5", **changes)
    with pytest.raises(InputError, match=words) as caught:
        read_kspace(tmp_path / "f.h5")
    assert str(caught.value).startswith(str(tmp_path / "f.h5"))
    assert "\n" not in str(caught.value)


def test_other_hdf5_is_no_kspace(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["image"] = np.ones(3)
    with pytest.raises(InputError, match=r"holds no k-space.*image"):
        read_kspace(tmp_path / "f.h5")


def test_without_header_nothing_of_the_geometry_is_known(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", ismrmrd_header=None)
    kspace = read_kspace(tmp_path / "f.h5")
    assert kspace.source is not None
    assert (kspace.source.spacing_known, kspace.source.orientation_known) == (False, False)
    assert "neither voxel size nor orientation" in kspace.notices[0]
    write(tmp_path / "g.h5")
    kspace = read_kspace(tmp_path / "g.h5")
    assert kspace.source is not None
    assert (kspace.source.spacing_known, kspace.source.orientation_known) == (True, False)
    assert "does not state the orientation" in kspace.notices[0]


def test_axes_in_the_other_order_are_exchanged(tmp_path: Path) -> None:
    expected = write(tmp_path / "f.h5", 4)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file["kspace"]
        file["kspace"] = expected.transpose(-1, -2).numpy()
    kspace = read_kspace(tmp_path / "f.h5")
    assert torch.equal(kspace.data, expected)
    assert "they were exchanged" in kspace.notices[0]
    np.testing.assert_allclose(np.diag(kspace.affine), [161 / 36, 280 / 64, 4.5, 1])


def test_padding_that_the_file_states(tmp_path: Path) -> None:
    expected = write(tmp_path / "f.h5")
    expected[..., :4] = expected[..., 31:] = 0
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file["kspace"][...] = expected[:, 0].numpy()
        file["mask"] = (np.arange(36) % 3 == 0).astype(np.float32)
        file.attrs.update({"padding_left": 4, "padding_right": 31})
    kspace = read_kspace(tmp_path / "f.h5")
    assert kspace.mask is not None
    assert kspace.mask.all(0).nonzero().flatten().tolist() == [6, 9, 12, 15, 18, 21, 24, 27, 30]
    assert kspace.acquired is not None
    assert kspace.acquired.all(0).nonzero().flatten().tolist() == list(range(4, 31))


@pytest.mark.parametrize("form", ["pairs", "last axis"])
def test_complex_numbers_in_pairs(tmp_path: Path, form: str) -> None:
    expected = write(tmp_path / "f.h5", 4)
    values = expected.numpy()
    if form == "pairs":
        stored = np.zeros(values.shape, [("real", "<f4"), ("imag", "<f4")])
        stored["real"], stored["imag"] = values.real, values.imag
    else:
        stored = np.stack([values.real, values.imag], -1)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file["kspace"]
        file["kspace"] = stored
    assert torch.equal(read_kspace(tmp_path / "f.h5").data, expected)


def test_a_header_in_an_array_of_strings(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", ismrmrd_header=np.array([HEADER], object))
    assert read_kspace(tmp_path / "f.h5").meta["spacing_known"] is True


def test_3d_kspace_is_refused(tmp_path: Path) -> None:
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (8, 64, 36)), indexing="ij")
    image = ((x - 0.1) ** 2 + y**2 + (0.7 * z) ** 2 < 0.6).to(torch.complex64)
    volume = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(fft2c(image), dim=0), dim=0), dim=0)
    write(tmp_path / "f.h5", kspace=volume.numpy())
    with pytest.raises(InputError, match="partitions of 3D k-space"):
        read_kspace(tmp_path / "f.h5")


def test_what_is_told_of_a_file_does_not_name_the_patient(tmp_path: Path) -> None:
    write(tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file.attrs.update({"patient_id": "DOE^JOHN", "acquisition": "a\x1b[31mb"})
    told = str(describe(tmp_path / "f.h5"))
    assert "DOE" not in told
    assert "a?[31mb" in told

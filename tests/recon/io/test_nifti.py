"""NIfTI in and out: every orientation there and back, and one line for every bad file."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recon.io.checks
from recon.errors import InputError
from recon.io.nifti import read_volume, write_volume

ORIENTATIONS = [
    "".join(codes[axis][flip] for axis, flip in zip(order, flips, strict=True))
    for codes in (("RL", "AP", "SI"),)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((0, 1), repeat=3)
]


def load(path: Path) -> Any:
    return nibabel.load(path)


def oblique(spacing: tuple[float, float, float] = (1.5, 1.25, 3.0), degrees: float = 8.0) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(spacing)
    affine[:3, 3] = [-20, 31, 7]
    return affine


def stored_as(codes: str) -> nibabel.Nifti1Image:
    """The same physical image (values are unique) stored in the axis order and directions ``codes``."""
    data = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 50
    image = nibabel.Nifti1Image(data, oblique())
    target = nibabel.orientations.axcodes2ornt(codes)
    return image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target))


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_becomes_the_same_canonical_volume_and_comes_back_exactly(tmp_path: Path, codes: str) -> None:
    image = stored_as(codes)
    assert "".join(nibabel.aff2axcodes(image.affine)) == codes
    nibabel.save(image, tmp_path / "in.nii.gz")
    volume = read_volume(tmp_path / "in.nii.gz", "CT")
    expected = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(volume.data.numpy(), expected.get_fdata().T)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)
    assert volume.spacing == pytest.approx((3.0, 1.25, 1.5), abs=1e-5)
    assert volume.data.is_contiguous()

    write_volume(tmp_path / "out.nii.gz", volume)
    back = load(tmp_path / "out.nii.gz")
    original = load(tmp_path / "in.nii.gz")
    assert back.get_data_dtype() == np.float32
    np.testing.assert_array_equal(back.get_fdata(), original.get_fdata())
    np.testing.assert_array_equal(back.affine, original.affine)


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (1, 4), (0, 0), (3, 1)])
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_codes_both_affines_and_version_survive(tmp_path: Path, qform: int, sform: int, image_class: type) -> None:
    image = image_class(np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32), None)
    image.set_qform(oblique(degrees=3.0), code=qform)
    image.set_sform(oblique(degrees=20.0), code=sform)
    nibabel.save(image, tmp_path / "in.nii")
    write_volume(tmp_path / "out.nii", read_volume(tmp_path / "in.nii", "MR"))
    first, second = load(tmp_path / "in.nii"), load(tmp_path / "out.nii")
    assert isinstance(second, nibabel.Nifti2Image) == (image_class is nibabel.Nifti2Image)
    for key in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z", "pixdim"):
        np.testing.assert_array_equal(second.header[key], first.header[key], err_msg=key)
    np.testing.assert_array_equal(second.affine, first.affine)


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    slope=st.sampled_from([0.5, 1.0, 2.0, -3.0]),
    intercept=st.sampled_from([0.0, -1024.0, 12.5]),
    order=st.sampled_from("<>"),
    extra=st.sampled_from([(), (1,), (1, 1)]),
)
def test_slope_byte_order_and_trailing_axes(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    slope: float,
    intercept: float,
    order: str,
    extra: tuple[int, ...],
) -> None:
    path = tmp_path_factory.mktemp("scaled") / "in.nii"
    stored = np.arange(np.prod(shape), dtype=np.int16).reshape(shape + extra)
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(stored, np.eye(4), header)
    image.header.set_slope_inter(slope, intercept)
    nibabel.save(image, path)
    with path.open("r+b") as stream:  # nibabel rescales on writing: put the stored integers and the slope there
        stream.seek(112)
        stream.write(np.array([slope, intercept], order + "f4").tobytes())
        stream.seek(352)
        stream.write(stored.astype(order + "i2").tobytes(order="F"))
    volume = read_volume(path, "CT")
    np.testing.assert_allclose(volume.data.numpy(), (stored.reshape(shape) * slope + intercept).T)
    out = path.with_name("out.nii.gz")
    write_volume(out, volume)
    assert load(out).shape == shape
    np.testing.assert_allclose(read_volume(out, "CT").data, volume.data)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    nibabel.save(stored_as("LPS"), tmp_path / "in.nii.gz")
    volume = read_volume(tmp_path / "in.nii.gz", "CT")
    for name in ("one.nii.gz", "two.nii.gz"):
        write_volume(tmp_path / name, volume)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_a_cropped_volume_is_written_where_it_lies(tmp_path: Path) -> None:
    from recon.scan.volume import Volume

    nibabel.save(stored_as("LIP"), tmp_path / "in.nii.gz")
    volume = read_volume(tmp_path / "in.nii.gz", "CT")
    affine = volume.affine.copy()
    affine[:3, 3] += 2 * affine[:3, 2]
    cropped = Volume(volume.data[2:-1].clone(), affine, "CT", volume.source)
    write_volume(tmp_path / "out.nii.gz", cropped)
    back = read_volume(tmp_path / "out.nii.gz", "CT")
    np.testing.assert_array_equal(back.data, cropped.data)
    np.testing.assert_allclose(back.affine, affine, atol=1e-4)
    assert "".join(nibabel.aff2axcodes(load(tmp_path / "out.nii.gz").affine)) == "LIP"


def test_a_volume_made_in_memory_gets_codes_and_millimetres(tmp_path: Path) -> None:
    import torch

    from recon.scan.volume import Volume

    write_volume(tmp_path / "out.nii.gz", Volume(torch.rand(3, 4, 5), oblique(), "MR"))
    image = load(tmp_path / "out.nii.gz")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.affine, oblique(), atol=1e-5)
    np.testing.assert_allclose(image.get_qform(), oblique(), atol=1e-5)


def test_complex_mr_becomes_its_magnitude_and_complex_ct_is_refused(tmp_path: Path) -> None:
    data = (np.arange(60).reshape(3, 4, 5) * (3 + 4j)).astype(np.complex64)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "c.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "c.nii.gz", "MR").data.numpy().T, np.abs(data))
    with pytest.raises(InputError, match="complex"):
        read_volume(tmp_path / "c.nii.gz", "CT")


@pytest.mark.parametrize(
    "name", ["ct/val/CRLM-CT-1004", "ct/test/LIDC-IDRI-0001", "ct/train/totalseg_3mm", "mr/val/breast_08_0"]
)
def test_real_scans_come_back_exactly(tmp_path: Path, shared: Path, name: str) -> None:
    path = shared / "data" / f"{name}.nii.gz"
    write_volume(tmp_path / "out.nii", read_volume(path, "CT"))
    first, second = load(path), load(tmp_path / "out.nii")
    np.testing.assert_array_equal(second.affine, first.affine)
    np.testing.assert_array_equal(np.asarray(second.dataobj), np.asarray(first.dataobj, np.float32))


def save(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def with_values(*values: float) -> np.ndarray:
    data = ramp(4, 5, 6)
    data.flat[: len(values)] = values
    return data


def sheared() -> np.ndarray:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 0.5
    return affine


def patched(path: Path, offset: int, content: bytes) -> Path:
    raw = bytearray(save(path, ramp(4, 5, 6)).read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path


RGB = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
f4 = lambda *values: np.array(values, "<f4").tobytes()  # noqa: E731
BAD = {
    "two_dimensional": (lambda p: save(p, ramp(4, 5)), "2D image"),
    "several_volumes": (lambda p: save(p, ramp(4, 5, 6, 3)), "3 volumes"),
    "rgb": (lambda p: save(p, RGB), "colour"),
    "nan": (lambda p: save(p, with_values(np.nan, np.nan, np.inf)), "3 of 120 values"),
    "constant": (lambda p: save(p, np.full((4, 5, 6), 7, np.int16)), "constant"),
    "sheared": (lambda p: save(p, ramp(4, 5, 6), sheared()), "sheared"),
    "zero_spacing": (lambda p: patched(p, 80, f4(1, 0, 1)), "1 x 0 x 1"),
    "negative_spacing": (lambda p: patched(p, 80, f4(1, 1, -2)), "1 x 1 x -2"),
    "singular_affine": (lambda p: patched(p, 280, f4(*[0] * 12)), "0 x 0 x 0 mm"),
    "nan_affine": (lambda p: patched(p, 280, f4(np.nan)), "affine"),
    "metres": (lambda p: patched(p, 123, b"\x01"), "metre"),
    "micron": (lambda p: patched(p, 123, b"\x03"), "micron"),
    "header_pair": (lambda p: patched(p, 344, b"ni1\0"), "another file"),
    "bad_datatype": (lambda p: patched(p, 70, b"\x63\x00"), "damaged"),
    "nan_offset": (lambda p: patched(p, 108, f4(np.nan)), "damaged"),
    "not_nifti": (lambda p: (p.write_bytes(b"hello" * 100), p)[1], "not a NIfTI"),
    "empty": (lambda p: (p.touch(), p)[1], "empty"),
    "truncated": (lambda p: (p.write_bytes(save(p, ramp(4, 5, 6)).read_bytes()[:-40]), p)[1], "truncated"),
    "short_header": (lambda p: (p.write_bytes(save(p, ramp(4, 5, 6)).read_bytes()[:347]), p)[1], "truncated"),
    "missing": (lambda p: p, "no such file"),
    "folder": (lambda p: (p.mkdir(), p)[1], "folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_line_that_names_them(tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, words = BAD[case]
    path = make(tmp_path / "bad.nii")
    with pytest.raises(InputError) as caught:
        read_volume(path, "CT")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_truncated_or_corrupted_gzip(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii.gz", np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x10
    wrong_sum = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for content in (whole[: len(whole) // 2], whole[:-4], bytes(flipped), wrong_sum, whole[:5]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"gzip|truncated"):
            read_volume(path, "CT")


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.nii", ramp(4, 5, 6)).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(plain)
    (tmp_path / "c.nii").write_bytes(gzip.compress(plain))
    for name in ("b.nii.gz", "c.nii"):
        np.testing.assert_array_equal(read_volume(tmp_path / name, "CT").data.numpy().T, ramp(4, 5, 6))


def test_a_volume_larger_than_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "big.nii.gz", ramp(64, 64, 64))
    monkeypatch.setattr(recon.io.checks, "physical_memory", lambda: 2**20)
    with pytest.raises(InputError, match="GiB of memory"):
        read_volume(path, "CT")


@settings(deadline=None, max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.nii"
    raw = bytearray(save(path, ramp(4, 5, 6)).read_bytes())
    for offset, value in changes:
        raw[offset] = value
    path.write_bytes(raw)
    try:
        volume = read_volume(path, "CT")
    except InputError:
        return
    assert volume.data.ndim == 3
    write_volume(path.with_name("fuzz_out.nii"), volume)

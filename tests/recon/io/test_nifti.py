"""NIfTI in and out: every orientation there and back, and one line for every bad file."""

from __future__ import annotations

import gzip
import itertools
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import recon.io.checks
from recon.errors import InputError
from recon.io.nifti.volume import is_nifti, read_volume, write_volume
from recon.scan.volume import Source, Volume

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
    "one_dimensional": (lambda p: patched(p, 40, np.array([1, 120], "<i2").tobytes()), "line of 120"),
    "several_volumes": (lambda p: save(p, ramp(4, 5, 6, 3)), "3 volumes"),
    "rgb": (lambda p: save(p, RGB), "colour"),
    "nan": (lambda p: save(p, with_values(np.nan, np.nan, np.inf)), "2 of 120 voxels are NaN"),
    "infinite": (lambda p: save(p, with_values(np.inf, -np.inf)), "2 of 120 values"),
    "constant": (lambda p: save(p, np.full((4, 5, 6), 7, np.int16)), "constant"),
    "sheared": (lambda p: save(p, ramp(4, 5, 6), sheared()), "sheared"),
    "zero_spacing": (lambda p: patched(p, 80, f4(1, 0, 1)), "1 x 0 x 1"),
    "negative_spacing": (lambda p: patched(p, 80, f4(1, 1, -2)), "1 x 1 x -2"),
    "singular_affine": (lambda p: patched(p, 280, f4(*[0] * 12)), "0 x 0 x 0 mm"),
    "nan_affine": (lambda p: patched(p, 280, f4(np.nan)), "affine"),
    "metres": (lambda p: patched(p, 123, b"\x01"), "metre, which makes voxels of 1000 x 1000 x 1000 mm"),
    "unknown_unit": (lambda p: patched(p, 123, b"\x07"), "unknown code"),
    "eight_dimensions": (lambda p: patched(p, 40, b"\x08"), "damaged"),
    "negative_offset": (lambda p: patched(p, 108, f4(-352)), "damaged"),
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
    monkeypatch.setattr(recon.io.checks, "available_memory", lambda: 2**20)
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


def lying(shape: tuple[int, int, int]) -> bytes:
    """The header of a file that states ``shape`` (int8), whatever follows."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int8)
    header["dim"][:4] = (3, *shape)
    header["pixdim"][1:4] = 1
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header.set_sform(np.eye(4), 1)
    return bytes(header.binaryblock) + b"\0" * 4


def test_a_volume_that_unpacks_to_far_more_than_a_scan_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(lying((1024, 1024, 1024)) + b"\0" * 1000))
    with pytest.raises(InputError, match=r"unpack to 1\.0 GiB are no scan"):
        read_volume(path, "CT")


def test_an_endless_tail_is_refused_and_a_short_one_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "scan.nii.gz", ramp(4, 5, 6))
    whole = path.read_bytes()
    path.write_bytes(whole + 3 * gzip.compress(b"\0" * (8 << 20)))
    with pytest.raises(InputError, match="more than 16 MiB follow the voxels"):
        read_volume(path, "CT")
    for tail in (b"\0" * 512, b"garbage"):
        path.write_bytes(whole + tail)
        volume = read_volume(path, "CT")
        np.testing.assert_array_equal(volume.data.numpy().T, ramp(4, 5, 6))
    assert "passed over" in volume.notices[0]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(InputError, match="a pipe or device"):
        read_volume(tmp_path / "pipe.nii", "CT")


@pytest.mark.parametrize("shape", [(4, 5, 1), (1, 5, 4), (4, 1, 5), (1, 1, 6)])
@pytest.mark.parametrize("codes", ["RAI", "LAS", "RPS", "LPI"])
def test_an_axis_of_length_one_may_run_backwards(tmp_path: Path, shape: tuple[int, ...], codes: str) -> None:
    affine = np.diag([1.5 if codes[0] == "R" else -1.5, 1.25 if codes[1] == "A" else -1.25, 3, 1])
    affine[2, 2] *= 1 if codes[2] == "S" else -1
    path = save(tmp_path / "scan.nii.gz", ramp(*shape), affine)
    volume = read_volume(path, "CT")
    expected = nibabel.as_closest_canonical(load(path)).get_fdata().T
    np.testing.assert_array_equal(volume.data.numpy(), expected)
    write_volume(tmp_path / "out.nii.gz", volume)
    np.testing.assert_array_equal(load(tmp_path / "out.nii.gz").get_fdata(), ramp(*shape))


def test_nan_is_background_on_request(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii.gz", with_values(np.nan, np.nan))
    with pytest.raises(InputError, match="give `nan` air"):
        read_volume(path, "CT")
    for modality, value in (("CT", -1024.0), ("MR", 0.0)):
        volume = read_volume(path, modality, nan="air")  # type: ignore[arg-type]
        stored = volume.data.numpy().T
        assert stored[0, 0, 0] == stored[0, 0, 1] == value
        np.testing.assert_array_equal(stored.flat[2:], ramp(4, 5, 6).flat[2:])
        assert "2 voxels that are NaN" in volume.notices[0]


def test_a_2d_image_is_one_slice(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "slice.nii.gz", ramp(4, 5), np.diag([1.5, 1.25, 3, 1])), "CT")
    np.testing.assert_array_equal(volume.data.numpy()[0].T, ramp(4, 5))
    assert volume.spacing[1:] == pytest.approx((1.25, 1.5))
    assert "a 2D image" in volume.notices[0]
    write_volume(tmp_path / "out.nii.gz", volume)
    assert load(tmp_path / "out.nii.gz").shape == (4, 5, 1)


@pytest.mark.parametrize(("unit", "name", "factor"), [(1, "metre", 1000), (3, "micron", 0.001)])
def test_metres_and_microns_become_millimetres(tmp_path: Path, unit: int, name: str, factor: float) -> None:
    affine = oblique()
    affine[:3] /= factor
    path = save(tmp_path / "scan.nii", ramp(4, 5, 6), affine)
    content = bytearray(path.read_bytes())
    content[123] = unit
    path.write_bytes(content)
    volume = read_volume(path, "CT")
    np.testing.assert_allclose(volume.affine, oblique(), rtol=1e-5, atol=1e-5)
    assert name in volume.notices[0]
    write_volume(tmp_path / "out.nii", volume)
    header = load(tmp_path / "out.nii").header
    assert header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(header.get_sform(), oblique(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(header.get_qform(), oblique(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_pair_of_header_and_voxels(tmp_path: Path, packed: str) -> None:
    nibabel.save(nibabel.Nifti1Pair(ramp(4, 5, 6), oblique()), tmp_path / f"scan.img{packed}")
    for name in (f"scan.hdr{packed}", f"scan.img{packed}"):
        assert is_nifti(tmp_path / name)
        volume = read_volume(tmp_path / name, "CT")
        np.testing.assert_array_equal(volume.data.numpy().T, ramp(4, 5, 6))
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)
    write_volume(tmp_path / "out.nii.gz", volume)
    np.testing.assert_array_equal(load(tmp_path / "out.nii.gz").get_fdata(), ramp(4, 5, 6))
    (tmp_path / f"scan.hdr{packed}").unlink()
    with pytest.raises(InputError, match=r"scan\.hdr is not there"):
        read_volume(tmp_path / f"scan.img{packed}", "CT")


def forms(path: Path, qform: np.ndarray, sform: np.ndarray, codes: tuple[int, int] = (1, 1)) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_qform(qform, codes[0])
    header.set_sform(sform, codes[1])
    nibabel.save(nibabel.Nifti1Image(ramp(4, 5, 6), None, header), path)
    return path


def test_forms_that_disagree_are_told(tmp_path: Path) -> None:
    moved = oblique()
    moved[:3, 3] += [50, -30, 20]
    volume = read_volume(forms(tmp_path / "a.nii", moved, oblique()), "CT")
    np.testing.assert_allclose(volume.affine, oblique(), atol=1e-4)
    assert "disagree by up to 61.6" in volume.notices[0]
    larger = oblique() @ np.diag([2, 2, 2, 1])
    assert (
        "voxels of 3 x 2.5 x 6 and 1.5 x 1.25 x 3 mm"
        in read_volume(forms(tmp_path / "b.nii", oblique(), larger), "CT").notices[0]
    )
    assert "its pixdim says" in read_volume(forms(tmp_path / "c.nii", oblique(), larger, (0, 1)), "CT").notices[0]
    assert read_volume(forms(tmp_path / "d.nii", oblique(), oblique()), "CT").notices == ()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_one_broken_form_gives_way_to_the_other(tmp_path: Path, value: float) -> None:
    path = forms(tmp_path / "a.nii", oblique(), oblique())
    content = bytearray(path.read_bytes())
    content[280:328] = f4(*[value] * 12)
    path.write_bytes(content)
    volume = read_volume(path, "CT")
    np.testing.assert_allclose(volume.affine, oblique(), atol=1e-4)
    assert "sform is broken; its qform was taken" in volume.notices[0]
    write_volume(tmp_path / "out.nii", volume)
    assert (load(tmp_path / "out.nii").header["sform_code"], load(tmp_path / "out.nii").header["qform_code"]) == (0, 1)
    np.testing.assert_allclose(load(tmp_path / "out.nii").affine, oblique(), atol=1e-4)


def test_a_broken_qform_is_told(tmp_path: Path) -> None:
    path = forms(tmp_path / "a.nii", oblique(), oblique())
    content = bytearray(path.read_bytes())
    content[256:268] = f4(1, 1, 1)
    path.write_bytes(content)
    volume = read_volume(path, "CT")
    np.testing.assert_allclose(volume.affine, oblique(), atol=1e-4)
    assert "qform is broken; its sform was taken" in volume.notices[0]


def test_a_header_without_codes_has_no_known_orientation(tmp_path: Path) -> None:
    volume = read_volume(forms(tmp_path / "a.nii", oblique(), oblique(), (0, 0)), "CT")
    assert volume.source is not None
    assert not volume.source.orientation_known
    assert "it is unknown" in volume.notices[0]


def test_a_result_whose_source_does_not_say_how_it_lies_says_so(tmp_path: Path) -> None:
    data = torch.arange(120.0).reshape(6, 5, 4)
    source = Source(tmp_path, "numpy", np.eye(4), (4, 5, 6), spacing_known=False, orientation_known=False)
    write_volume(tmp_path / "out.nii", Volume(data, np.eye(4), "MR", source))
    header = load(tmp_path / "out.nii").header
    assert (header["sform_code"], header["qform_code"]) == (0, 0)
    assert header.get_xyzt_units()[0] == "unknown"

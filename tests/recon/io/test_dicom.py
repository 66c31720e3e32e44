"""DICOM series in and out, on series made here with pydicom."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import MPEG2MPML, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from recon.errors import InputError
from recon.io.dicom import read_series, write_series
from recon.scan.volume import Volume

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
HU = np.random.default_rng(0).integers(-1000, 2000, (4, 5, 6))  # slices, rows, columns


def write_slices(
    folder: Path,
    values: np.ndarray = HU,
    orientation: tuple[float, ...] = AXIAL,
    uid: str | None = None,
    positions: np.ndarray | None = None,
    **tags: Any,
) -> list[Path]:
    """A CT series: stored = HU + 1024, file names in an order other than that of the slices."""
    folder.mkdir(exist_ok=True, parents=True)
    uid = uid or generate_uid(entropy_srcs=["series"])
    normal = np.cross(orientation[:3], orientation[3:])
    if positions is None:
        positions = np.array([-10.0, 20.0, 30.0]) + 2.5 * np.arange(len(values))[:, None] * normal
    paths = []
    for index, (pixels, position) in enumerate(zip(values, positions, strict=True)):
        dataset = slice_dataset(pixels, uid, index)
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = list(orientation), list(position)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        paths.append(folder / f"{uid[-4:]}-{(index * 7) % 11:02d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def slice_dataset(pixels: np.ndarray, uid: str, index: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(index)])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = uid, generate_uid(entropy_srcs=["study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    dataset.PatientName, dataset.PatientID = "Phantom^A", "P1"
    dataset.Modality, dataset.SeriesDescription, dataset.SeriesNumber = "CT", "Abdomen", 3
    dataset.ImageType, dataset.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], index + 1
    dataset.PixelSpacing, dataset.SliceThickness = [0.75, 1.5], 5.0  # (rows' distance y, columns' distance x)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = (pixels + 1024).astype("<u2").tobytes()
    return dataset


def edit(path: Path, **tags: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def voxel_at(volume: Volume, ras: np.ndarray) -> float:
    x, y, z = np.rint(np.linalg.solve(volume.affine, [*ras, 1])[:3]).astype(int)
    return float(volume.data[z, y, x])


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, (-1, 0, 0, 0, -1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_every_pixel_lands_where_its_header_puts_it(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    write_slices(tmp_path / "s", orientation=orientation)
    volume = read_series(tmp_path / "s", "CT")
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    for k, j, i in [(0, 0, 0), (3, 4, 5), (1, 2, 4), (2, 0, 3)]:
        lps = np.array([-10.0, 20, 30]) + 2.5 * k * np.cross(row, column) + 1.5 * i * row + 0.75 * j * column
        assert voxel_at(volume, lps * [-1, -1, 1]) == HU[k, j, i]
    assert sorted(volume.spacing) == pytest.approx([0.75, 1.5, 2.5])
    diagonal = np.diag(volume.affine)[:3]
    assert (diagonal > 0).all()


def test_rescale_is_each_slices_own_and_padding_is_air(tmp_path: Path) -> None:
    paths = write_slices(tmp_path / "s", PixelPaddingValue=int(HU[0, 0, 0]) + 1024)
    edit(paths[1], RescaleSlope=2, RescaleIntercept=-500)
    volume = read_series(tmp_path / "s", "CT")
    stored = np.flip(volume.data.numpy(), (1, 2))  # LPS in-plane back from RAS
    np.testing.assert_array_equal(stored[1], np.where(HU[1] == HU[0, 0, 0], -1024, 2 * (HU[1] + 1024) - 500))
    assert stored[0, 0, 0] == -1024
    np.testing.assert_array_equal(stored[3][HU[3] != HU[0, 0, 0]], HU[3][HU[3] != HU[0, 0, 0]])


def test_monochrome1_ct_keeps_its_hu_and_mr_is_refused(tmp_path: Path) -> None:
    write_slices(tmp_path / "s", PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(np.flip(read_series(tmp_path / "s", "CT").data.numpy(), (1, 2)), HU)
    write_slices(tmp_path / "m", PhotometricInterpretation="MONOCHROME1", Modality="MR")
    with pytest.raises(InputError, match="MONOCHROME1"):
        read_series(tmp_path / "m", "MR")


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    write_slices(tmp_path / "s", uid="1.2.3.11111111", SeriesNumber=4, SeriesDescription="Lung")
    write_slices(tmp_path / "s", HU[:3] + 1, uid="1.2.3.22222222", SeriesNumber=5, SeriesDescription="Soft")
    with pytest.raises(InputError) as caught:
        read_series(tmp_path / "s", "CT")
    for words in ("--series", "11111111 (CT, Lung, 4 slices)", "22222222 (CT, Soft, 3 slices)"):
        assert words in str(caught.value)
    for choice in ("22222222", "222", "5", "1.2.3.22222222"):
        assert read_series(tmp_path / "s", "CT", choice).data.shape == (3, 5, 6)
    for choice in ("999", ".99"):
        with pytest.raises(InputError, match="fits 0"):
            read_series(tmp_path / "s", "CT", choice)


def test_copies_scouts_and_other_files_are_passed_over(tmp_path: Path) -> None:
    paths = write_slices(tmp_path / "s")
    shutil.copy(paths[0], tmp_path / "s" / "copy.dcm")
    (tmp_path / "s" / "README.txt").write_text("not DICOM")
    write_slices(
        tmp_path / "s" / "scout", HU[:1], CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SOPInstanceUID="1.9"
    )
    assert read_series(tmp_path / "s", "CT").data.shape == (4, 5, 6)


def gap(folder: Path) -> None:
    write_slices(folder, np.concatenate([HU, HU]))[5].unlink()


def tilt(folder: Path) -> None:
    write_slices(folder, positions=np.array([[0, 0.9 * k, 2.5 * k] for k in range(4)]))


def duplicate(folder: Path) -> None:
    write_slices(folder, positions=np.array([[0, 0, 2.5 * k] for k in (0, 1, 1, 2)]))


def edited(**tags: Any) -> Any:
    return lambda folder: edit(write_slices(folder)[1], **tags)


def truncated(folder: Path) -> None:
    path = write_slices(folder)[2]
    path.write_bytes(path.read_bytes()[:-30])


def compressed(folder: Path) -> None:
    for path in write_slices(folder):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML  # video: pydicom has no decoder for it
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 16])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)


BAD = {
    "gap": (gap, "5.00 mm between"),
    "tilt": (tilt, "gantry tilt of 19.8"),
    "duplicate": (duplicate, "same position (2.50 mm)"),
    "multi_frame": (edited(NumberOfFrames=3), "multi-frame"),
    "colour": (edited(SamplesPerPixel=3), "colour"),
    "another_modality": (lambda f: write_slices(f, Modality="PT"), "PT, not CT"),
    "other_size": (edited(Rows=4), "Rows differs"),
    "other_orientation": (edited(ImageOrientationPatient=list(CORONAL)), "ImageOrientationPatient differs"),
    "no_position": (edited(ImagePositionPatient=None), "no valid ImagePositionPatient"),
    "no_spacing": (edited(PixelSpacing=None), "no valid PixelSpacing"),
    "zero_spacing": (lambda f: write_slices(f, PixelSpacing=[0, 1]), "must be positive"),
    "no_rescale": (edited(RescaleSlope=None), "without RescaleSlope"),
    "zero_slope": (edited(RescaleSlope=0), "RescaleSlope is 0"),
    "constant": (lambda f: write_slices(f, np.zeros((3, 4, 5), int)), "constant"),
    "truncated": (truncated, "damaged"),
    "compressed": (compressed, "no decoder"),
    "no_image": (lambda f: f.mkdir(), "no DICOM image"),
    "missing": (lambda f: None, "no such folder"),
    "single_slice_of_unknown_depth": (
        lambda f: edit(write_slices(f, HU[:1])[0], SliceThickness=None),
        "SliceThickness",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_get_one_line(tmp_path: Path, case: str) -> None:
    make, words = BAD[case]
    make(tmp_path / "s")
    with pytest.raises(InputError) as caught:
        read_series(tmp_path / "s", "CT")
    assert words in str(caught.value)
    assert str(tmp_path / "s") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rounded_positions_are_no_gap(tmp_path: Path) -> None:
    positions = np.array([[0, 0, round(0.625 * k, 1)] for k in range(12)])
    write_slices(tmp_path / "s", np.concatenate([HU, HU, HU]), positions=positions)
    assert read_series(tmp_path / "s", "CT").spacing[0] == pytest.approx(0.625, abs=0.01)


def test_a_damaged_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = write_slices(tmp_path / "s")[1]
    whole = path.read_bytes()
    for end in range(140, len(whole), 37):
        path.write_bytes(whole[:end])
        try:
            volume = read_series(tmp_path / "s", "CT")
        except InputError:
            continue
        assert volume.data.shape == (4, 5, 6)


def test_a_derived_series_comes_back_with_its_headers_and_new_identity(tmp_path: Path) -> None:
    paths = write_slices(tmp_path / "s", orientation=CORONAL, PixelPaddingValue=0, SmallestImagePixelValue=0)
    volume = read_series(tmp_path / "s", "CT")
    result = volume.like(volume.data + 0.4)
    write_series(tmp_path / "out", result, "TV reconstruction from 40 views")
    back = read_series(tmp_path / "out", "CT")
    np.testing.assert_array_equal(back.data, volume.data)  # 0.4 HU rounds away
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-6)

    written = sorted((tmp_path / "out").iterdir())
    slices = [pydicom.dcmread(path) for path in written]
    originals = {str(pydicom.dcmread(path).SOPInstanceUID) for path in paths}
    assert len({s.SOPInstanceUID for s in slices} | originals) == 2 * len(paths)
    assert {str(s.SourceImageSequence[0].ReferencedSOPInstanceUID) for s in slices} == originals
    for s in slices:
        assert list(s.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert s.DerivationDescription == s.SeriesDescription == "TV reconstruction from 40 views"
        assert (s.PatientID, s.RescaleType, s.SeriesInstanceUID) == ("P1", "HU", slices[0].SeriesInstanceUID)
        assert s.FrameOfReferenceUID == generate_uid(entropy_srcs=["frame"])
        assert s.file_meta.MediaStorageSOPInstanceUID == s.SOPInstanceUID
        assert "PixelPaddingValue" not in s
        assert "SmallestImagePixelValue" not in s
    assert slices[0].SeriesInstanceUID != pydicom.dcmread(paths[0]).SeriesInstanceUID

    write_series(tmp_path / "again", result, "TV reconstruction from 40 views")
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in sorted((tmp_path / "again").iterdir())]


def test_derived_from_implicit_vr_with_private_tags_and_metal(tmp_path: Path) -> None:
    for path in write_slices(tmp_path / "s"):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.private_block(0x0011, "VENDOR", create=True).add_new(1, "LO", "secret")
        dataset.add_new(0x60003000, "OW", b"\0" * 4)
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    volume = read_series(tmp_path / "s", "CT")
    data = volume.data.clone()
    data[0, 0, 0], data[0, 0, 1] = 50000.0, -50000.0
    write_series(tmp_path / "out", volume.like(data), "x")
    back = read_series(tmp_path / "out", "CT").data
    assert (back[0, 0, 0], back[0, 0, 1]) == (32767, -32768)
    written = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    assert not [e for e in written if e.tag.is_private or e.tag.group == 0x6000]


def test_mr_with_small_values_keeps_its_precision(tmp_path: Path) -> None:
    write_slices(tmp_path / "s", Modality="MR", RescaleSlope=1, RescaleIntercept=0)
    volume = read_series(tmp_path / "s", "MR")
    small = volume.like(volume.data / volume.data.max())
    write_series(tmp_path / "out", small, "x")
    assert float((read_series(tmp_path / "out", "MR").data - small.data).abs().max()) < 1 / 32767


def test_dicom_output_needs_dicom_input_that_is_still_there(tmp_path: Path) -> None:
    paths = write_slices(tmp_path / "s")
    volume = read_series(tmp_path / "s", "CT")
    with pytest.raises(InputError, match="needs DICOM input"):
        write_series(tmp_path / "out", Volume(volume.data, volume.affine, "CT"), "x")
    paths[2].unlink()
    with pytest.raises(InputError, match="gone"):
        write_series(tmp_path / "out", volume, "x")

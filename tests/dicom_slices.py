"""DICOM series made here with pydicom, for the tests of what reads and writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

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

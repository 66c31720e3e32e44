"""The deviation as a DICOM Parametric Map, held against what the modules of its IOD require (PS3.3, A.75)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from dicom_slices import AXIAL, CORONAL, SAGITTAL, edit, write_slices
from pydicom.sr.codedict import codes
from pydicom.uid import ParametricMapStorage, generate_uid

from recon.errors import InputError
from recon.io.detect import describe
from recon.io.dicom.parametric_map import write_map
from recon.io.dicom.series import read_series
from recon.scan.volume import Volume

SHARED, OWN = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

# Elements of type 1 (with a value) of the modules that are mandatory, or that the pixels make so.
WITH_VALUE = {
    "General Study": ["StudyInstanceUID"],
    "General Series, Parametric Map Series": ["Modality", "SeriesInstanceUID", "SeriesNumber"],
    "Frame of Reference": ["FrameOfReferenceUID"],
    "Enhanced General Equipment": ["Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"],
    "Floating Point Image Pixel": [
        *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "FloatPixelData")
    ],
    "Parametric Map Image": [
        *("ImageType", "ContentQualification", "InstanceNumber", "ContentLabel", "BurnedInAnnotation"),
        *("RecognizableVisualFeatures", "LossyImageCompression", "PresentationLUTShape"),
    ],
    "Multi-frame Functional Groups": ["ContentDate", "ContentTime", "NumberOfFrames", SHARED, OWN],
    "Multi-frame Dimension": ["DimensionOrganizationSequence", "DimensionIndexSequence"],
    "Common Instance Reference": ["ReferencedSeriesSequence"],
    "SOP Common": ["SOPClassUID", "SOPInstanceUID"],
}
# Elements of type 2: present, perhaps empty.
PRESENT = {
    "Patient": ["PatientName", "PatientID", "PatientBirthDate", "PatientSex"],
    "General Study": ["StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"],
    "Frame of Reference": ["PositionReferenceIndicator"],
    "Parametric Map Image": ["ContentDescription", "ContentCreatorName"],
    "Acquisition Context": ["AcquisitionContextSequence"],
}
# Elements of type 1 in the functional groups of the IOD; "/" goes into the one item of a sequence.
IN_SHARED_GROUP = [
    *("PixelMeasuresSequence/PixelSpacing", "PixelMeasuresSequence/SliceThickness"),
    "PlaneOrientationSequence/ImageOrientationPatient",
    "ParametricMapFrameTypeSequence/FrameType",
    *(f"PixelValueTransformationSequence/Rescale{name}" for name in ("Intercept", "Slope", "Type")),
    *("FrameVOILUTSequence/WindowCenter", "FrameVOILUTSequence/WindowWidth"),
    *(f"RealWorldValueMappingSequence/{name}" for name in ("LUTExplanation", "LUTLabel")),
    "RealWorldValueMappingSequence/MeasurementUnitsCodeSequence/CodeMeaning",
    *(f"RealWorldValueMappingSequence/DoubleFloatRealWorldValue{name}ValueMapped" for name in ("First", "Last")),
    *(f"RealWorldValueMappingSequence/RealWorldValue{name}" for name in ("Intercept", "Slope")),
]
IN_OWN_GROUP = [
    *(f"FrameContentSequence/{name}" for name in ("DimensionIndexValues", "StackID", "InStackPositionNumber")),
    "PlanePositionSequence/ImagePositionPatient",
    "DerivationImageSequence/DerivationCodeSequence/CodeMeaning",
    "DerivationImageSequence/SourceImageSequence/ReferencedSOPClassUID",
    "DerivationImageSequence/SourceImageSequence/ReferencedSOPInstanceUID",
    "DerivationImageSequence/SourceImageSequence/PurposeOfReferenceCodeSequence/CodeValue",
]


def deviations(folder: Path, modality: Any = "CT") -> Volume:
    """A volume of small positive values on the grid of a series."""
    volume = read_series(folder, modality)
    return volume.like(torch.linspace(0.1, 9.7, volume.data.numel()).reshape(volume.data.shape))


def at(dataset: Any, path: str) -> Any:
    """The value under a path of keywords."""
    *sequences, keyword = path.split("/")
    for sequence in sequences:
        (dataset,) = dataset[sequence].value
    return dataset[keyword].value


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """The map of an axial CT series, as pydicom reads it."""
    write_slices(tmp_path / "s", SeriesNumber=4)
    write_map(tmp_path / "out", deviations(tmp_path / "s"), "Standard deviation of TV", 2)
    return pydicom.dcmread(tmp_path / "out" / "IM00001.dcm")


def test_what_the_modules_require_is_there(written: Any) -> None:
    for module, keywords in WITH_VALUE.items():
        for keyword in keywords:
            assert written[keyword].value not in (None, "", b""), f"{module}: {keyword}"
            assert written[keyword].VM > 0, f"{module}: {keyword}"
    for module, keywords in PRESENT.items():
        assert [keyword for keyword in keywords if keyword not in written] == [], module
    for path in IN_SHARED_GROUP:
        assert at(written[SHARED][0], path) not in (None, ""), path
    for group in written[OWN]:
        for path in IN_OWN_GROUP:
            assert at(group, path) not in (None, ""), path
    assert written.SOPClassUID == written.file_meta.MediaStorageSOPClassUID == ParametricMapStorage
    assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID
    assert "PixelData" not in written
    assert [at(index, "DimensionIndexPointer") for index in written.DimensionIndexSequence] == [0x00209056, 0x00209057]


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_it_lies_where_the_series_lies_and_keeps_every_value(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    write_slices(tmp_path / "s", orientation=orientation)
    spread = deviations(tmp_path / "s")
    write_map(tmp_path / "out", spread, "x")
    back = read_series(tmp_path / "out", "CT")
    torch.testing.assert_close(back.data, spread.data, atol=0, rtol=0)
    np.testing.assert_allclose(back.affine, spread.affine, atol=1e-6)


def test_it_refers_to_the_series_and_its_frames_to_the_slices(written: Any, tmp_path: Path) -> None:
    slices = {str(header.SOPInstanceUID): header for header in map(pydicom.dcmread, (tmp_path / "s").iterdir())}
    first = next(iter(slices.values()))
    assert written.FrameOfReferenceUID == first.FrameOfReferenceUID == generate_uid(entropy_srcs=["frame"])
    assert (written.StudyInstanceUID, written.PatientID, written.SeriesNumber) == (first.StudyInstanceUID, "P1", 402)
    (series,) = written.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == first.SeriesInstanceUID != written.SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} == set(slices)
    for group in written[OWN]:
        source = slices[at(group, "DerivationImageSequence/SourceImageSequence/ReferencedSOPInstanceUID")]
        assert at(group, "PlanePositionSequence/ImagePositionPatient") == source.ImagePositionPatient
    assert list(written.ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "STD_DEVIATION"]
    assert written.DerivationDescription == "Standard deviation of TV"


def test_its_values_are_hounsfield_units_without_a_conversion(written: Any) -> None:
    (mapping,) = written[SHARED][0].RealWorldValueMappingSequence
    (units,) = mapping.MeasurementUnitsCodeSequence
    assert (units.CodeValue, units.CodingSchemeDesignator) == ("[hnsf'U]", "UCUM")
    assert (mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope) == (0, 1)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == pytest.approx(written.pixel_array.min())
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == pytest.approx(written.pixel_array.max())
    quantity, derivation = mapping.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeValue == codes.DCM.AttenuationCoefficient.value
    assert derivation.ConceptCodeSequence[0].CodeValue == codes.SCT.StandardDeviation.value


def test_mr_has_no_units_and_a_source_without_frame_of_reference_or_dates_gets_what_is_required(tmp_path: Path) -> None:
    for path in write_slices(tmp_path / "s", Modality="MR", RescaleSlope=1, RescaleIntercept=0, StudyDate="20200102"):
        edit(path, FrameOfReferenceUID=None)
    write_map(tmp_path / "out", deviations(tmp_path / "s", "MR"), "x")
    written = pydicom.dcmread(tmp_path / "out" / "IM00001.dcm")
    (units,) = at(written[SHARED][0], "RealWorldValueMappingSequence/MeasurementUnitsCodeSequence")
    assert (units.CodeValue, units.CodeMeaning) == ("1", "no units")
    assert written.FrameOfReferenceUID
    assert (written.ContentDate, written.ContentTime) == ("20200102", "000000")


def test_the_same_map_is_the_same_file(written: Any, tmp_path: Path) -> None:
    write_map(tmp_path / "again", deviations(tmp_path / "s"), "Standard deviation of TV", 2)
    assert (tmp_path / "again" / "IM00001.dcm").read_bytes() == (tmp_path / "out" / "IM00001.dcm").read_bytes()


def test_recon_info_says_what_it_is(written: Any, tmp_path: Path) -> None:
    info = describe(tmp_path / "out")
    assert (info.kind, info.shape, info.modality) == ("DICOM parametric map", (6, 5, 4), "CT")
    assert "no scan" in info.would


def test_a_map_needs_a_dicom_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs DICOM input"):
        write_map(tmp_path / "out", Volume(torch.ones(2, 3, 4), np.eye(4), "CT"), "x")

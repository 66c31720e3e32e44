"""The deviation of each voxel as one DICOM Parametric Map of floating-point frames (PS3.3, A.75 and C.8.32)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.dicom.codes import PROGRAM, code, program_version, source_image
from recon.io.dicom.export import on_source_slices, save_file, series_number
from recon.io.dicom.files import read_file
from recon.io.dicom.windows import set_windows, window_from_zero

if TYPE_CHECKING:
    from recon.scan.volume import Modality, Volume

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"

_MOST_BYTES = 2**32 - 2  # of one element
_EMPTY_IF_UNKNOWN = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID", "PositionReferenceIndicator"),
)
_WHERE_STATED = (
    *(
        "SpecificCharacterSet",
        "TimezoneOffsetFromUTC",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "IssuerOfPatientID",
    ),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyDescription"),
    *("BodyPartExamined", "Laterality", "PatientPosition", "AnatomicalOrientationType", "ProtocolName"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
_DATES = ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate")
_TIMES = ("ContentTime", "AcquisitionTime", "SeriesTime", "StudyTime")
_NO_DATE, _NO_TIME = "19000101", "000000"
_UNITS = {"CT": ("[hnsf'U]", "UCUM", "Hounsfield unit"), "MR": ("1", "UCUM", "no units")}
_QUANTITIES = {"CT": ("112031", "DCM", "Attenuation Coefficient"), "MR": ("110852", "DCM", "MR signal intensity")}
_STACK, _PLACE, _FRAME_CONTENT = 0x00209056, 0x00209057, 0x00209111


def write_map(folder: Path, volume: Volume, description: str, number: int = 1) -> None:
    """Write a volume of standard deviations as ``IM00001.dcm``, a multi-frame Parametric Map beside its source.

    The frames are float32 in the order of the source's slices, in its frame of reference and at its positions. The
    values are what they say: the real-world value mapping is the identity, in HU for CT and without units for MR.
    Patient and study are the source's; series, instance and number are new, as in
    :func:`recon.io.dicom.export.write_series`. The same volume gives the same file: as its date it states the source's.

    Args:
        folder: made if need be.
        volume: the standard deviations, on the grid of its DICOM source.
        description: SeriesDescription and DerivationDescription.
        number: place of the series, from 1, among those that are derived from the source.

    Raises:
        InputError: the volume was not read from DICOM, the source's files are gone, or it is too large for one file.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    slices, files = on_source_slices(volume)
    frames = slices.astype("<f4")
    if frames.nbytes > _MOST_BYTES:
        raise InputError(f"{files[0].parent}: a map of {frames.nbytes / 2**30:.1f} GiB; one DICOM file holds up to 4")
    headers = [read_file(path) for path in files]
    dataset = FileDataset("", {}, preamble=b"\0" * 128, file_meta=FileMetaDataset())
    _identify(dataset, headers, frames, description)
    dataset.SeriesNumber = series_number(headers[0].get("SeriesNumber"), number)
    _describe(dataset, headers[0], volume.modality, description)
    _place(dataset, headers, float(np.linalg.norm(_affine(volume)[:3, 2])), description)
    _shared(dataset, frames, volume.modality)
    _set_frames(dataset, frames)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dataset, folder / "IM00001.dcm")


def _affine(volume: Volume) -> np.ndarray:
    assert volume.source is not None
    return volume.source.affine


def _identify(dataset: Any, headers: list[Any], frames: np.ndarray, description: str) -> None:
    """Patient, study, frame of reference, series and instance, and the source that is referred to."""
    from pydicom.uid import generate_uid

    first = headers[0]
    for keyword in _EMPTY_IF_UNKNOWN:
        setattr(dataset, keyword, first.get(keyword, ""))
    for keyword in _WHERE_STATED:
        if keyword in first:
            dataset[keyword] = first[keyword]
    content = hashlib.sha256(frames.tobytes() + description.encode()).hexdigest()
    series = str(first.SeriesInstanceUID)
    dataset.SOPClassUID, dataset.StudyInstanceUID = PARAMETRIC_MAP, first.StudyInstanceUID
    dataset.FrameOfReferenceUID = first.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[series, "frame"])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(first.SOPInstanceUID), content, "map"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[series, content, "map"])
    dataset.ReferencedSeriesSequence = [_referenced(series, headers)]


def _referenced(series: str, headers: list[Any]) -> Any:
    from pydicom.dataset import Dataset

    item, instances = Dataset(), []
    for header in headers:
        instance = Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        instances.append(instance)
    item.SeriesInstanceUID, item.ReferencedInstanceSequence = series, instances
    return item


def _describe(dataset: Any, first: Any, modality: Modality, description: str) -> None:
    """What the image is, who made it, and when (C.8.32.2, C.7.5.1, C.7.5.2)."""
    dataset.Modality, dataset.InstanceNumber = modality, 1
    dataset.SeriesDescription, dataset.DerivationDescription = description[:64], description[:1024]
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "STD_DEVIATION"]
    dataset.ContentQualification = "RESEARCH"
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "STD", description[:64], ""
    dataset.ContentDate = next((first.get(keyword) for keyword in _DATES if first.get(keyword)), _NO_DATE)
    dataset.ContentTime = next((first.get(keyword) for keyword in _TIMES if first.get(keyword)), _NO_TIME)
    dataset.BurnedInAnnotation = first.get("BurnedInAnnotation") or "NO"
    dataset.RecognizableVisualFeatures = first.get("RecognizableVisualFeatures") or "YES"
    dataset.LossyImageCompression = first.get("LossyImageCompression") or "00"
    dataset.PresentationLUTShape, dataset.AcquisitionContextSequence = "IDENTITY", []
    dataset.Manufacturer, dataset.ManufacturerModelName = PROGRAM, PROGRAM
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "none", program_version()


def _place(dataset: Any, headers: list[Any], distance: float, description: str) -> None:
    """Where the frames lie: one stack of planes (C.7.6.16, C.7.6.17), each with the slice that it is derived from."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    organization = Dataset()
    organization.DimensionOrganizationUID = generate_uid(entropy_srcs=[str(dataset.SOPInstanceUID), "dimensions"])
    dataset.DimensionOrganizationSequence, dataset.DimensionOrganizationType = [organization], "3D"
    dataset.DimensionIndexSequence = []
    for pointer in (_STACK, _PLACE):
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, _FRAME_CONTENT
        dataset.DimensionIndexSequence.append(index)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SpacingBetweenSlices = headers[0].PixelSpacing, f"{distance:.8g}"
    measures.SliceThickness = headers[0].get("SliceThickness") or f"{distance:.8g}"
    orientation.ImageOrientationPatient = headers[0].ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _own(place, header, description) for place, header in enumerate(headers, start=1)
    ]


def _own(place: int, header: Any, description: str) -> Any:
    """What holds for one frame."""
    from pydicom.dataset import Dataset

    group, content, position, derivation = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues, content.StackID, content.InStackPositionNumber = [1, place], "1", place
    position.ImagePositionPatient = header.ImagePositionPatient
    derivation.DerivationDescription = description[:1024]
    derivation.DerivationCodeSequence = [code("113061", "DCM", "Standard Deviation")]
    derivation.SourceImageSequence = [source_image(header)]
    group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
    group.DerivationImageSequence = [derivation]
    return group


def _shared(dataset: Any, frames: np.ndarray, modality: Modality) -> None:
    """What the values of all frames mean, and the window that they are shown in."""
    from pydicom.dataset import Dataset

    (shared,) = dataset.SharedFunctionalGroupsSequence
    kind, identity, window = Dataset(), Dataset(), Dataset()
    kind.FrameType = dataset.ImageType
    identity.RescaleIntercept, identity.RescaleSlope, identity.RescaleType = "0", "1", "US"
    set_windows(window, [window_from_zero(frames)])
    shared.ParametricMapFrameTypeSequence, shared.PixelValueTransformationSequence = [kind], [identity]
    shared.FrameVOILUTSequence = [window]
    shared.RealWorldValueMappingSequence = [_real_world(frames, modality)]


def _real_world(frames: np.ndarray, modality: Modality) -> Any:
    """The values are the quantity itself: intercept 0, slope 1, with its units (C.7.6.16.2.11)."""
    from pydicom.dataset import Dataset

    item, quantity, derivation = Dataset(), Dataset(), Dataset()
    item.LUTExplanation, item.LUTLabel = "standard deviation of the reconstruction", "STD"
    item.MeasurementUnitsCodeSequence = [code(*_UNITS[modality])]
    item.DoubleFloatRealWorldValueFirstValueMapped = float(frames.min())
    item.DoubleFloatRealWorldValueLastValueMapped = float(frames.max())
    item.RealWorldValueIntercept, item.RealWorldValueSlope = 0.0, 1.0
    quantity.ValueType = derivation.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [code("246205007", "SCT", "Quantity")]
    quantity.ConceptCodeSequence = [code(*_QUANTITIES[modality])]
    derivation.ConceptNameCodeSequence = [code("121401", "DCM", "Derivation")]
    derivation.ConceptCodeSequence = [code("386136009", "SCT", "Standard Deviation")]
    item.QuantityDefinitionSequence = [quantity, derivation]
    return item


def _set_frames(dataset: Any, frames: np.ndarray) -> None:
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.BitsAllocated = 1, "MONOCHROME2", 32
    dataset.FloatPixelData = frames.tobytes()

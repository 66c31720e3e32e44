"""What derived DICOM objects say in codes (PS3.16): units, quantities, derivations, and the program that made them."""

from __future__ import annotations

import importlib.metadata
from typing import Any

PROGRAM = "meddiffusion-recon"


def code(value: str, scheme: str, meaning: str) -> Any:
    """The item of a code sequence."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def program_version() -> str:
    """The version of the suite, as SoftwareVersions states it."""
    try:
        return importlib.metadata.version(PROGRAM)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def processing_equipment() -> Any:
    """The item of ContributingEquipmentSequence that names this program beside the scanner (PS3.3, C.12.1.1.5)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109102", "DCM", "Processing Equipment")]
    item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions = PROGRAM, PROGRAM, program_version()
    item.ContributionDescription = "reconstruction from few measurements; research only, not for diagnosis"
    return item


def source_image(header: Any) -> Any:
    """The item of SourceImageSequence that refers to the image of a header."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [code("121322", "DCM", "Source image for image processing operation")]
    return item

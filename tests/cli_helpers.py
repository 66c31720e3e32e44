"""Small scans on disk, and the command line run in this process or in one of its own."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import h5py
import nibabel
import numpy as np
import pydicom
from click.testing import CliRunner
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from recon.cli import main

ROOT = Path(__file__).resolve().parents[1]
LPS = np.diag([-2.0, -2.0, 3.0, 1.0])


@dataclass(frozen=True)
class Run:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def run_recon(*arguments: object) -> Run:
    """``recon ARGUMENTS`` in this process, in the working folder, through the real ``main``."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with (
            mock.patch.object(sys, "argv", ["recon", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Run(code, out.getvalue(), err.getvalue())


def run_benchmarks(*arguments: object) -> Run:
    """``benchmarks ARGUMENTS`` in this process."""
    from benchmarks.cli import main as benchmarks

    result = CliRunner().invoke(benchmarks, [str(argument) for argument in arguments])
    return Run(result.exit_code, result.stdout, result.stderr)


def train(*arguments: object) -> Path:
    """``recon train ARGUMENTS``, which must succeed, to the weights file that it names."""
    run = run_recon("train", *arguments)
    assert run.code == 0, run.err
    return Path(run.out.strip())


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """``python -m recon ARGUMENTS`` as a process of its own in ``folder``, one thread."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "recon", *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """Undo what a shell does to what it runs in the background: it makes SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def load(path: Path | str) -> nibabel.Nifti1Image:
    """A NIfTI file."""
    return nibabel.Nifti1Image.from_filename(path)


def listing(folder: Path) -> dict[str, str]:
    """Everything below ``folder``, hidden files too: name to checksum."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def body(shape: tuple[int, int, int] = (32, 28, 4)) -> np.ndarray:
    """(i, j, k) int16 HU: an ellipse of water in air, with an insert of bone off the axes of symmetry."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    values = np.where(i**2 + j**2 < 0.7, 20, -1000)
    values[(i - 0.3) ** 2 + (j + 0.2) ** 2 + 0.1 * k**2 < 0.06] = 700
    return values.astype(np.int16)


def write_ct(path: Path, values: np.ndarray | None = None, affine: np.ndarray = LPS) -> Path:
    """A CT volume as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(body() if values is None else values, affine), path)
    return path


def write_mr(path: Path, affine: np.ndarray = LPS) -> Path:
    """A magnitude volume, 48 x 40 x 3, as NIfTI."""
    return write_ct(path, (body((48, 40, 3)) + 1000).astype(np.int16), affine)


def kspace(coils: int | None = None) -> np.ndarray:
    """(3, y, x) or (3, coils, y, x) centred orthonormal k-space of a smooth complex image, 40 x 48."""
    image = (body((48, 40, 3)).T + 1000.0) * np.exp(1j * np.linspace(0, 1, 48))
    if coils is not None:
        profiles = [np.exp(-((np.linspace(-1, 1, 48) - c) ** 2)) for c in np.linspace(-1, 1, coils)]
        image = image[:, None] * np.array(profiles)[:, None, :]
    shifted = np.fft.ifftshift(image, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1)).astype(np.complex64)


def write_fastmri(path: Path, coils: int | None = None) -> Path:
    """Fully sampled k-space in fastMRI's layout, with its reference image."""
    data = kspace(coils)
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    with h5py.File(path, "w") as file:
        file["kspace"] = data
        file["reconstruction_esc" if coils is None else "reconstruction_rss"] = (
            np.abs(image) if coils is None else np.sqrt((np.abs(image) ** 2).sum(1))
        ).astype(np.float32)
        file.attrs["acquisition"] = "CORPD_FBK"
    return path


def write_dicom(folder: Path, uid: str = "1.2.3.4567") -> Path:
    """An axial CT series of :func:`body`, 2 x 2 x 3 mm, stored = HU + 1024."""
    folder.mkdir(exist_ok=True)
    for index, pixels in enumerate(body().transpose(2, 1, 0)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(index)])
        slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.SeriesInstanceUID, slice_.StudyInstanceUID = uid, "1.2.3"
        slice_.Modality, slice_.PatientName, slice_.InstanceNumber = "CT", "Phantom^A", index + 1
        slice_.ImageOrientationPatient, slice_.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-31, -27, 3 * index]
        slice_.PixelSpacing, slice_.SliceThickness = [2, 2], 3
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
        slice_.Rows, slice_.Columns = pixels.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
        slice_.PixelData = (pixels + 1024).astype("<u2").tobytes()
        pydicom.dcmwrite(folder / f"{uid[-4:]}-{index}.dcm", slice_, enforce_file_format=True)
    return folder

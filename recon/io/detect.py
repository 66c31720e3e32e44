"""What a file is, by its content; what the suite would do with it; and one reader for whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recon.errors import InputError
from recon.io.checks import require_file
from recon.io.hdf5 import held, is_hdf5, open_hdf5
from recon.io.intensity import NaNs
from recon.io.kspace.request import KSpaceRequest
from recon.io.orientation import axis_codes, spacing_of

if TYPE_CHECKING:
    from recon.io.sinogram import Sinogram
    from recon.scan.kspace import KSpace
    from recon.scan.non_cartesian_kspace import NonCartesianKSpace
    from recon.scan.volume import Modality, Volume

Kind = Literal["nifti", "dicom", "sinogram", "kspace", "numpy", "weights"]
Step = Callable[[int, int], None]
"""Called with the number of files looked at and that of all."""

_READABLE = (
    "NIfTI (.nii, .nii.gz), a folder of DICOM slices, a sinogram in HDF5, k-space (fastMRI or ISMRMRD HDF5, BART .cfl, "
    "Siemens .dat, .npy, .npz, .mat)"
)
_KSPACE_FORMATS = {
    "fastmri": "fastMRI HDF5",
    "ismrmrd": "ISMRMRD HDF5",
    "bart": "BART .cfl",
    "twix": "Siemens raw data",
}
_HU_LIKE = -500.0  # MR magnitudes are not negative; air in CT is near -1000


@dataclass(frozen=True)
class FileInfo:
    """What ``recon info`` tells of a file. Plain values throughout: ``dataclasses.asdict`` gives JSON.

    Attributes:
        path: the file or folder.
        kind: what it is, in words.
        format: the file format, in words.
        shape: size along the axes as stored.
        axes: names of these axes.
        orientation: directions in which a volume's axes grow, such as ``"LPS"``; None if the file does not say.
        spacing_mm: voxel size along i, j, k (volumes as stored) or x, y, z (images of raw data), mm.
        dtype: type of the stored values; None where formats rescale them.
        value_range: lowest and highest value (of a complex array: magnitude).
        modality: ``CT`` or ``MR``, and whether this is a guess.
        details: what else the file says.
        would: one sentence on what the suite would do with it.
        problem: why it cannot be used, or None.
    """

    path: str
    kind: str
    format: str
    shape: tuple[int, ...] = ()
    axes: str = ""
    orientation: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    dtype: str | None = None
    value_range: tuple[float, float] | None = None
    modality: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    would: str = ""
    problem: str | None = None


def describe(path: Path | str, step: Step = lambda done, total: None) -> FileInfo:
    """What ``path`` is. A file that is known but cannot be used is described with its ``problem``.

    Of a folder only headers are read.

    Args:
        path: the file or folder.
        step: called as the files of a folder are looked at.

    Raises:
        InputError: it does not exist, or is of no known kind.
    """
    kind = detect(Path(path))
    describers: dict[Kind, tuple[FileInfo, Callable[[FileInfo], FileInfo]]] = {
        "nifti": (FileInfo(str(path), "volume", "NIfTI"), _describe_nifti),
        "dicom": (FileInfo(str(path), "DICOM folder", "DICOM"), lambda info: _describe_folder(info, step)),
        "sinogram": (FileInfo(str(path), "sinogram", "HDF5", modality="CT"), _describe_sinogram),
        "kspace": (FileInfo(str(path), "k-space", "HDF5", modality="MR"), _describe_kspace),
        "numpy": (FileInfo(str(path), "array", "NumPy", modality="MR (a guess)"), _describe_numpy),
        "weights": (FileInfo(str(path), "weights of a network", "safetensors"), _describe_weights),
    }
    blank, describer = describers[kind]
    try:
        return describer(blank)
    except InputError as error:
        return replace(blank, problem=str(error), would="Nothing: it cannot be read as it is.")


def read_any(
    path: Path | str,
    modality: Modality,
    *,
    axes: str | None = None,
    series: str | None = None,
    nan: NaNs = "refuse",
    resample: bool = False,
    kspace: KSpaceRequest | None = None,
) -> Volume | KSpace | NonCartesianKSpace | Sinogram:
    """Whatever ``path`` holds, read by the reader for it.

    Args:
        path: the file or folder.
        modality: ``CT`` takes volumes and sinograms, ``MR`` volumes and k-space.
        axes: axis order of an .npy or .npz array.
        series: the end of the UID of the DICOM series to take, as for :func:`recon.io.dicom.series.read_series`.
        nan: what becomes of the NaN of a volume, as :func:`recon.io.nifti.volume.read_volume`.
        resample: whether a DICOM series of uneven or shifted slices is resampled, as :func:`read_series`.
        kspace: what the user says of k-space besides its axis order; None for nothing.

    Raises:
        InputError: an unusable file, a kind that does not go with ``modality``, or an option that does not go
            with the kind.
    """
    path = Path(path)
    kind = detect(path)
    _check_options(path, kind, modality, axes, series)
    _check_volume_options(path, kind, nan, resample)
    request = replace(kspace or KSpaceRequest(), axes=axes)
    _check_kspace_request(path, kind, request)
    if kind == "nifti":
        from recon.io.nifti.volume import read_volume

        return read_volume(path, modality, nan)
    if kind == "dicom":
        from recon.io.dicom.series import read_series

        return read_series(path, modality, series, resample, nan)
    if kind == "sinogram":
        from recon.io.sinogram import read_sinogram

        return read_sinogram(path)
    from recon.io.kspace.file import read_any_kspace

    return read_any_kspace(path, request)


def detect(path: Path) -> Kind:
    """The kind of a file or folder, from its first bytes; of damaged ones, from the name where it is telling.

    Raises:
        InputError: it does not exist, or is of no known kind.
    """
    from datasets.dicom_file import is_dicom
    from recon.io.kspace.bart import bart_pair
    from recon.io.kspace.twix import is_twix
    from recon.io.matlab_files import is_matlab
    from recon.io.nifti.volume import is_nifti
    from recon.io.numpy_files import is_numpy

    if path.is_dir():
        return "dicom"
    require_file(path)
    if is_matlab(path):
        return "numpy"
    if is_hdf5(path):
        return _hdf5_kind(path)
    if bart_pair(path) is not None or is_twix(path):
        return "kspace"
    if is_nifti(path) or path.name.lower().endswith((".nii", ".nii.gz")):
        return "nifti"
    if is_numpy(path) or path.suffix.lower() in (".npy", ".npz"):
        return "numpy"
    if _is_weights(path):
        return "weights"
    if is_dicom(path):
        raise InputError(f"{path}: a single DICOM file; give the folder that holds the series")
    raise InputError(f"{path}: of no known kind; the suite reads {_READABLE}")


def _hdf5_kind(path: Path) -> Kind:
    from recon.io.kspace.file import hdf5_kind

    with open_hdf5(path) as file:
        if hdf5_kind(path, file) is not None:
            return "kspace"
        if "sinogram" in list(file) or str(file.attrs.get("format")) == "recon-sinogram":
            return "sinogram"
        names = held(file)
    raise InputError(
        f"{path}: an HDF5 file with neither 'sinogram' nor 'kspace' nor ISMRMRD data; it holds {names}; "
        "recon import makes a sinogram of measured projections"
    )


def _is_weights(path: Path) -> bool:
    """Whether the file begins like safetensors: a length, then JSON."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def _check_options(path: Path, kind: Kind, modality: Modality, axes: str | None, series: str | None) -> None:
    if kind == "weights":
        raise InputError(f"{path}: weights of a network; give a scan")
    if modality == "CT" and kind in ("kspace", "numpy"):
        raise InputError(
            f"{path}: k-space or a bare array; CT needs a volume (NIfTI, DICOM) or a sinogram; recon import makes one "
            "of arrays"
        )
    if modality == "MR" and kind == "sinogram":
        raise InputError(f"{path}: a CT sinogram; MR needs a volume (NIfTI, DICOM) or k-space")
    if axes is not None and kind not in ("numpy", "kspace"):
        raise InputError(f"`axes` {axes}: is for .npy and .npz files; {path} states its axes itself")
    if series is not None and kind != "dicom":
        raise InputError(f"`series` {series}: is for DICOM folders; {path} is a file")


def _check_volume_options(path: Path, kind: Kind, nan: NaNs, resample: bool) -> None:
    if resample and kind != "dicom":
        raise InputError(f"`resample`: is for DICOM folders; {path} is a file; leave it out")
    if nan != "refuse" and kind not in ("nifti", "dicom"):
        raise InputError(f"`nan` {nan}: is for volumes; {path} is none; leave it out")


def _check_kspace_request(path: Path, kind: Kind, request: KSpaceRequest) -> None:
    for name in ("trajectory", "matrix", "contrast", "repetition"):
        if getattr(request, name) is not None and kind not in ("kspace", "numpy"):
            raise InputError(f"`{name}`: is for k-space; {path} is none; leave it out")


def _describe_nifti(info: FileInfo) -> FileInfo:
    from recon.io.nifti.volume import load_stored

    stored = load_stored(Path(info.path), None)
    low, high = float(stored.array.min()), float(stored.array.max())
    modality = "CT" if low <= _HU_LIKE else "MR" if low >= 0 and high > 1 else None
    return replace(
        info,
        shape=stored.array.shape,
        axes="i, j, k",
        orientation=axis_codes(stored.affine) if stored.grid.placed else None,
        spacing_mm=spacing_of(stored.affine),
        dtype=str(stored.header.get_data_dtype()),
        value_range=(low, high),
        modality=modality and f"{modality} (a guess from the values)",
        details={"notices": list(stored.notices)} if stored.notices else {},
        would=_would_with_volume(modality),
    )


def _describe_folder(info: FileInfo, step: Step) -> FileInfo:
    from recon.io.describe_folder import check_count, dicom_headers, result_facts, weights_facts
    from recon.io.dicom.files import list_series
    from recon.io.dicom.parametric_map import PARAMETRIC_MAP
    from recon.io.dicom.series import grid_of_series

    folder = Path(info.path)
    result = result_facts(folder)
    if result is not None:
        blank = replace(info, kind="result", format="folder of this suite", details=result)
        return replace(blank, would="Nothing: it is a result; open its report.html.")
    weights = weights_facts(folder)
    if weights is not None:
        blank = replace(info, kind="weights of networks", format="folder of safetensors files", details=weights)
        return replace(blank, would="Nothing by itself: methods use them (`weights`, or as a `prior`).")
    check_count(folder)
    found = dicom_headers(folder, step)
    details: dict[str, Any] = {"series": list_series(found)}
    if len(found) > 1:
        return replace(info, details=details, would="Ask which series to take: `series` and the end of its UID.")
    headers = next(iter(found.values()))
    modality = headers[0].get("Modality")
    if modality not in ("CT", "MR"):
        raise InputError(f"{folder}: the series is {modality or 'of no modality'}; the suite takes CT and MR")
    slices, stack, notices = grid_of_series(folder, headers, modality)
    is_map = headers[0].get("SOPClassUID") == PARAMETRIC_MAP
    return replace(
        info,
        kind="DICOM parametric map" if is_map else "DICOM series",
        shape=(int(slices[0].get("Columns")), int(slices[0].get("Rows")), len(slices)),
        axes="columns, rows, slices",
        orientation=axis_codes(stack.affine),
        spacing_mm=spacing_of(stack.affine),
        modality=modality,
        details=details | ({"notices": notices} if notices else {}),
        would="Nothing: it maps a quantity such as a standard deviation, and is no scan."
        if is_map
        else _would_with_volume(modality),
    )


def _describe_weights(info: FileInfo) -> FileInfo:
    from recon.errors import input_errors

    with input_errors("weights"):
        from priors.weights.card import read_card

        card = read_card(info.path)
    details = {"kind": card.kind, "source": card.source, "licence": card.licence, "sha256": card.sha256}
    return replace(info, details=details, would="Nothing by itself: methods and priors use it (`weights`).")


def _describe_sinogram(info: FileInfo) -> FileInfo:
    from physics.ct.scan_geometry import scan_geometry_from_dict
    from recon.io.sinogram import read_sinogram

    sinogram = read_sinogram(Path(info.path))
    return replace(
        info,
        shape=tuple(sinogram.data.shape),
        axes="rows, views, cells" if sinogram.is_cone else "slices, views, cells",
        orientation=axis_codes(sinogram.affine),
        spacing_mm=spacing_of(sinogram.affine),
        value_range=(float(sinogram.data.min()), float(sinogram.data.max())),
        details={"geometry": scan_geometry_from_dict(sinogram.geometry).describe(), "volume (z, y, x)": sinogram.shape}
        | ({"notices": list(sinogram.notices)} if sinogram.notices else {}),
        would="recon svct would reconstruct it as `sinogram`; without a ground truth, it reports the data residual.",
    )


def _describe_kspace(info: FileInfo) -> FileInfo:
    from recon.io.kspace.file import read_any_kspace
    from recon.scan.kspace import KSpace

    kspace = read_any_kspace(Path(info.path))
    assert kspace.source is not None
    magnitude = kspace.data.abs()
    oriented = kspace.meta.get("orientation_known", kspace.source.format == "hdf5")
    info = replace(
        info,
        format=_KSPACE_FORMATS.get(kspace.source.format, "HDF5 of this suite"),
        shape=tuple(kspace.data.shape),
        orientation=axis_codes(kspace.affine) if oriented else None,
        spacing_mm=spacing_of(kspace.affine) if kspace.meta.get("spacing_known") else None,
        dtype="complex64",
        value_range=(float(magnitude.min()), float(magnitude.max())),
    )
    meta = {name: value for name, value in kspace.meta.items() if name != "patient_id"}
    if not isinstance(kspace, KSpace):
        return _describe_off_grid(info, kspace, meta)
    sampled = 1.0 if kspace.mask is None else float(kspace.mask.float().mean())
    return replace(
        info,
        axes="slices, coils, y, x",
        details={"sampled": round(sampled, 4), "image (y, x)": kspace.image_shape, **meta, **_notes(kspace)},
        would=_would_with_kspace(kspace.mask is None, kspace.reference is not None),
    )


def _describe_off_grid(info: FileInfo, kspace: NonCartesianKSpace, meta: dict[str, Any]) -> FileInfo:
    planes, stack = "slices", {}
    if kspace.measured is not None:
        planes, stack = "partitions", {"partitions": f"{int(kspace.measured.sum())} of {len(kspace.measured)} measured"}
    facts = {"image (y, x)": kspace.image_shape, **stack, **meta, **_notes(kspace)}
    return replace(
        info,
        kind=f"k-space along a trajectory ({kspace.kind})",
        axes=f"{planes}, coils, readouts, samples",
        details=facts,
        would=_would_with_kspace(False, kspace.reference is not None),
    )


def _describe_numpy(info: FileInfo) -> FileInfo:
    from recon.io.kspace.arrays import complex_arrays, stored_arrays
    from recon.io.matlab_files import is_matlab

    info = replace(info, format="MATLAB") if is_matlab(Path(info.path)) else info
    arrays = stored_arrays(Path(info.path))
    usable = complex_arrays(arrays)
    details = {name: f"{dtype} {shape}" for name, (shape, dtype) in arrays.items()}
    if not usable:
        problem = f"{info.path}: no complex array, so no k-space; an image must be a NIfTI file"
        return replace(info, modality=None, details=details, would="Nothing: it holds no k-space.", problem=problem)
    if len(usable) > 1 and "kspace" not in usable:
        problem = f"{info.path}: which array is the k-space? name it 'kspace'; there are {', '.join(usable)}"
        return replace(info, details=details, would="Ask which of the arrays to take.", problem=problem)
    shape, dtype = usable.get("kspace", next(iter(usable.values())))
    would = "recon mri would take it as k-space once `axes` states its axis order, such as `axes` cyx."
    kind = "k-space (by its complex values)"
    return replace(info, kind=kind, shape=shape, dtype=str(dtype), details=details, would=would)


def _notes(found: KSpace | NonCartesianKSpace) -> dict[str, Any]:
    return {"notices": list(found.notices)} if found.notices else {}


def _would_with_volume(modality: str | None) -> str:
    ct = "recon svct would simulate sparse-view projections of it and reconstruct these"
    mr = "recon mri would simulate undersampled k-space from it and reconstruct that"
    return {"CT": f"{ct}.", "MR": f"{mr}."}.get(modality or "", f"{ct}; {mr}: say which it is by the command.")


def _would_with_kspace(fully_sampled: bool, has_reference: bool) -> str:
    if fully_sampled:
        return (
            "recon mri would reconstruct it as it is, or undersample it with the mask you choose and reconstruct that."
        )
    sampled = "recon mri would reconstruct it as it was sampled"
    if has_reference:
        return f"{sampled} and compare with the reference image in the file."
    return f"{sampled}; without a ground truth, it reports the data residual."

"""ISMRMRD files, written with the ismrmrd package from known images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from physics.mr.coils import estimate_maps
from recon.acquisition.mr import MaskRequest
from recon.acquisition.mr_measured import ScanRequest, measured_mr
from recon.errors import InputError
from recon.io.kspace.file import read_any_kspace, read_kspace
from recon.io.kspace.request import KSpaceRequest

ROWS, COLUMNS = 24, 16
READ, PHASE, SLICE = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)


def header(partitions: int = 1, trajectory: str = "cartesian", centre: int = COLUMNS // 2) -> bytes:
    def space(x: int, fov: float) -> str:
        return (
            f"<matrixSize><x>{x}</x><y>{COLUMNS}</y><z>{partitions}</z></matrixSize>"
            f"<fieldOfView_mm><x>{fov}</x><y>160</y><z>{3 * partitions}</z></fieldOfView_mm>"
        )

    def limits(step: int, maximum: int, middle: int) -> str:
        name = f"kspace_encoding_step_{step}"
        return f"<{name}><minimum>0</minimum><maximum>{maximum}</maximum><center>{middle}</center></{name}>"

    return (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"<encodedSpace>{space(ROWS, 240)}</encodedSpace><reconSpace>{space(ROWS // 2, 120)}</reconSpace>"
        f"<trajectory>{trajectory}</trajectory><encodingLimits>{limits(1, COLUMNS - 1, centre)}"
        f"{limits(2, partitions - 1, partitions // 2)}</encodingLimits></encoding></ismrmrdHeader>"
    ).encode()


def kspace_of(planes: int, coils: int) -> torch.Tensor:
    return fft2c(torch.rand(planes, coils, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) + 0j)


class File:
    """An ISMRMRD file under construction."""

    def __init__(self, path: Path, **header_options: Any) -> None:
        self.path, self.xml = path, header(**header_options)
        self.lines: list[ismrmrd.Acquisition] = []

    def add(self, line: torch.Tensor, *, flag: int | None = None, **head: Any) -> None:
        """``line`` (coils, samples); ``head`` may name counters of ``idx`` or fields of the header."""
        values = line.numpy().astype(np.complex64)
        acquisition = ismrmrd.Acquisition()
        acquisition.resize(values.shape[1], values.shape[0])
        acquisition.data[:] = values
        acquisition.center_sample = ROWS // 2
        acquisition.read_dir, acquisition.phase_dir, acquisition.slice_dir = READ, PHASE, SLICE
        for name, value in head.items():
            target = acquisition.idx if hasattr(acquisition.idx, name) else acquisition
            setattr(target, name, value)
        if flag is not None:
            acquisition.setFlag(flag)
        self.lines.append(acquisition)

    def save(self, seed: int = 0) -> Path:
        """Write the readouts in a random order."""
        with ismrmrd.Dataset(str(self.path), "dataset", mode="w") as dataset:
            dataset.write_xml_header(self.xml)
            for k in np.random.default_rng(seed).permutation(len(self.lines)):
                dataset.append_acquisition(self.lines[k])
        return self.path


def multi_slice(path: Path, data: torch.Tensor, columns: range | list[int] = range(COLUMNS), **options: Any) -> File:
    file = File(path, **options)
    for z, plane in enumerate(data):
        for step in columns:
            file.add(plane[:, :, step], kspace_encode_step_1=step, slice=z, position=(5.0, 6.0, 7.0 - 4.0 * z))
    return file


def test_slices_in_any_order_with_noise_calibration_and_navigators(tmp_path: Path) -> None:
    data = kspace_of(3, 2)
    file = multi_slice(tmp_path / "r.h5", data)
    for flag in (ismrmrd.ACQ_IS_NOISE_MEASUREMENT, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_NAVIGATION_DATA):
        file.add(100 * torch.ones(2, 40) + 0j, flag=flag)
    kspace = read_kspace(file.save())
    torch.testing.assert_close(kspace.data, data)
    assert kspace.mask is None
    assert kspace.image_shape == (ROWS // 2, COLUMNS)
    assert kspace.meta["readouts_left_out"] == 3
    assert kspace.source is not None
    assert kspace.source.format == "ismrmrd"


def test_calibration_that_is_also_imaging_is_used(tmp_path: Path) -> None:
    data = kspace_of(1, 2)
    file = File(tmp_path / "r.h5")
    for step in range(COLUMNS):
        flag = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING if 6 <= step < 10 else None
        file.add(data[0, :, :, step], kspace_encode_step_1=step, flag=flag)
    torch.testing.assert_close(read_kspace(file.save()).data, data)


def test_the_affine_places_the_field_of_views_centre(tmp_path: Path) -> None:
    kspace = read_kspace(multi_slice(tmp_path / "r.h5", kspace_of(3, 1)).save())
    assert kspace.meta["orientation_known"] is True
    np.testing.assert_allclose(np.linalg.norm(kspace.affine[:3, :3], axis=0), [10, 10, 4])  # phase, read, slices
    for z in range(3):
        centre = kspace.affine @ [COLUMNS // 2, ROWS // 4, z, 1]
        np.testing.assert_allclose(centre[:3], [-5, -6, 7 - 4 * z])  # LPS to RAS
    step_along_read = kspace.affine[:3, 1]
    np.testing.assert_allclose(step_along_read, [0, -10, 0], atol=1e-9)


def test_without_directions_only_the_spacing_is_known(tmp_path: Path) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(2, 1))
    for line in file.lines:
        line.read_dir = line.phase_dir = line.slice_dir = (0, 0, 0)
    kspace = read_kspace(file.save())
    assert kspace.meta["orientation_known"] is False
    np.testing.assert_allclose(kspace.affine, np.diag([10, 10, 3, 1]))


def test_averages_are_averaged(tmp_path: Path) -> None:
    data = kspace_of(1, 2)
    file = File(tmp_path / "r.h5")
    for step in range(COLUMNS):
        for average, factor in enumerate((0.5, 1.0, 1.5)):
            file.add(factor * data[0, :, :, step], kspace_encode_step_1=step, average=average)
    torch.testing.assert_close(read_kspace(file.save()).data, data)


def test_undersampled_lines_become_the_mask(tmp_path: Path) -> None:
    columns = [0, 4, 7, 8, 9, 12]
    data = kspace_of(2, 2)
    kspace = read_kspace(multi_slice(tmp_path / "r.h5", data, columns).save())
    expected = torch.zeros(COLUMNS, dtype=torch.bool)
    expected[columns] = True
    assert kspace.mask is not None
    assert torch.equal(kspace.mask, expected.expand(ROWS, COLUMNS))
    torch.testing.assert_close(kspace.data, data * expected)


def test_the_centre_of_the_encoding_goes_to_the_middle(tmp_path: Path) -> None:
    data = kspace_of(1, 1)
    data[..., :3] = 0
    file = File(tmp_path / "r.h5", centre=COLUMNS // 2 - 3)  # partial Fourier: the first three lines are missing
    for step in range(COLUMNS - 3):
        file.add(data[0, :, :, step + 3], kspace_encode_step_1=step)
    torch.testing.assert_close(read_kspace(file.save()).data, data)


def test_asymmetric_echoes_and_discarded_samples(tmp_path: Path) -> None:
    data = kspace_of(1, 2)
    data[:, :, :7] = 0
    file = File(tmp_path / "r.h5")
    for step in range(COLUMNS):
        line = torch.cat([torch.full((2, 1), 99 + 0j), data[0, :, 7:, step]], dim=1)
        file.add(line, kspace_encode_step_1=step, center_sample=ROWS // 2 - 6, discard_pre=1)
    torch.testing.assert_close(read_kspace(file.save()).data, data)


def test_fully_sampled_partitions_become_slices(tmp_path: Path) -> None:
    image = torch.rand(5, 2, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) + 0j
    along_z = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(image, dim=0), dim=0, norm="ortho"), dim=0)
    data = fft2c(along_z)
    file = File(tmp_path / "r.h5", partitions=5)
    for partition in range(5):
        for step in range(COLUMNS):
            file.add(data[partition, :, :, step], kspace_encode_step_1=step, kspace_encode_step_2=partition)
    kspace = read_kspace(file.save())
    torch.testing.assert_close(ifft2c(kspace.data), image, atol=1e-5, rtol=1e-4)
    for line in file.lines[::3]:
        line.discard_pre = 3
    file.lines = [line for line in file.lines if line.idx.kspace_encode_step_2 != 3]
    with pytest.raises(InputError, match="undersampled along all three axes"):
        read_kspace(file.save())


def volume_lines(path: Path, mask: np.ndarray, flag: int | None = None) -> tuple[File, torch.Tensor]:
    """A file of 3D k-space (partitions, coils, readout, phase encoding) at a (partitions, phase encodings) mask, whose
    image is wider along the readout than what is kept of it; and that image."""
    image = torch.rand(6, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) + 0j
    data = fft2c(torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(image, dim=0), dim=0, norm="ortho"), dim=0))
    file = File(path, partitions=6)
    for partition, step in zip(*np.nonzero(mask), strict=True):
        counters = {"kspace_encode_step_1": int(step), "kspace_encode_step_2": int(partition)}
        file.add(data[partition, :, :, step], flag=flag, position=(5.0, 6.0, 7.0), **counters)
    return file, image


def test_two_undersampled_phase_encodings_become_slices_along_the_readout(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((6, COLUMNS)) < 0.5
    mask[2:4, 6:10] = True
    kspace = read_kspace(volume_lines(tmp_path / "r.h5", mask)[0].save())
    assert kspace.data.shape == (ROWS // 2, 3, 6, COLUMNS)
    assert kspace.mask is not None
    np.testing.assert_array_equal(kspace.mask.numpy(), mask)
    assert "the readout was transformed" in " ".join(kspace.notices)
    whole, image = volume_lines(tmp_path / "whole.h5", np.ones((6, COLUMNS), bool))
    complete = read_kspace(whole.save())
    torch.testing.assert_close(ifft2c(complete.data), image, atol=1e-5, rtol=1e-4)
    # The same voxel has the same place, whichever axis was transformed; columns are x, partitions z or y.
    for readout, partition, column in ((0, 0, 0), (3, 5, 7)):
        along_partitions = complete.affine @ [column, readout, partition, 1]
        along_readout = kspace.affine @ [column, partition, readout, 1]
        np.testing.assert_allclose(along_partitions, along_readout)


def test_an_asymmetric_readout_of_two_phase_encodings_is_zero_filled(tmp_path: Path) -> None:
    mask = np.random.default_rng(1).random((6, COLUMNS)) < 0.6
    file, _ = volume_lines(tmp_path / "r.h5", mask)
    for line in file.lines:
        line.discard_pre = 4
    kspace = read_kspace(file.save())
    assert kspace.mask is not None
    np.testing.assert_array_equal(kspace.mask.numpy(), mask)
    assert "zero-filled" in " ".join(kspace.notices)


def test_calibration_lines_of_3d_data_give_the_coil_maps(tmp_path: Path) -> None:
    mask, centre = np.zeros((6, COLUMNS), bool), np.zeros((6, COLUMNS), bool)
    mask[::2, ::2], centre[1:5, 4:12] = True, True
    file, image = volume_lines(tmp_path / "r.h5", mask)
    apart, _ = volume_lines(tmp_path / "c.h5", centre, flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    file.lines += apart.lines
    kspace = read_kspace(file.save())
    assert kspace.calibration is not None
    expected = fft2c(image.permute(2, 1, 0, 3))[ROWS // 4 : ROWS // 4 + ROWS // 2]
    torch.testing.assert_close(kspace.calibration, expected * torch.from_numpy(centre), atol=1e-5, rtol=1e-4)


def plain(path: Path, **options: Any) -> File:
    return multi_slice(path, kspace_of(2, 1), **options)


def changed(**head: Any) -> Any:
    def make(path: Path) -> File:
        file = plain(path)
        file.add(torch.ones(1, ROWS) + 0j, kspace_encode_step_1=3, **head)
        return file

    return make


def uneven(path: Path) -> File:
    file = plain(path)
    file.lines = [line for line in file.lines if (line.idx.slice, line.idx.kspace_encode_step_1) != (1, 3)]
    return file


def only_noise(path: Path) -> File:
    file = File(path)
    file.add(torch.ones(1, ROWS) + 0j, flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    return file


def more_coils(path: Path) -> File:
    file = plain(path)
    file.add(torch.ones(2, ROWS) + 0j, kspace_encode_step_1=3)
    return file


def long_line(path: Path) -> File:
    file = plain(path)
    file.add(torch.ones(1, ROWS + 1) + 0j, kspace_encode_step_1=3)
    return file


BAD = {
    "repetitions": (changed(repetition=1), "2 different values of repetition"),
    "contrasts": (changed(contrast=1), "2 different values of contrast"),
    "echo_planar": (changed(flag=ismrmrd.ACQ_IS_REVERSE), "without reference lines"),
    "uneven": (uneven, "sampled at different places"),
    "only_noise": (only_noise, "none of the 1 readouts"),
    "more_coils": (more_coils, "number of coils"),
    "long_line": (long_line, "does not fit"),
    "outside": (lambda path: plain(path, centre=2), "outside the header's matrix"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_line(tmp_path: Path, case: str) -> None:
    make, words = BAD[case]
    path = make(tmp_path / "r.h5").save()
    with pytest.raises(InputError, match=words) as caught:
        read_kspace(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_damaged_header_and_table(tmp_path: Path) -> None:
    path = plain(tmp_path / "r.h5").save()
    with h5py.File(path, "r+") as file:
        file["dataset/xml"][0] = b"<rubbish"
    with pytest.raises(InputError, match="header is damaged"):
        read_kspace(path)
    with h5py.File(path, "r+") as file:
        del file["dataset/data"]
        file["dataset/data"] = np.ones(4)
        file["dataset/xml"][0] = header()
    with pytest.raises(InputError, match="no columns"):
        read_kspace(path)


def test_slices_are_sorted_by_position_and_not_by_counter(tmp_path: Path) -> None:
    data = kspace_of(4, 2)
    file = File(tmp_path / "r.h5")
    for counter, z in enumerate([2, 0, 3, 1]):
        for step in range(COLUMNS):
            place = (5.0, 6.0, 7.0 - 4.0 * z)
            file.add(data[z][:, :, step], kspace_encode_step_1=step, slice=counter, position=place)
    kspace = read_kspace(file.save())
    torch.testing.assert_close(kspace.data, data)
    assert np.linalg.norm(kspace.affine[:3, 2]) == pytest.approx(4)
    assert "put in order of position" in kspace.notices[0]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((0, 4, 8, 30), "not evenly spaced: 22.00 mm"),
        ((0, 4, 4, 8), "two slices lie at the same position"),
    ],
)
def test_slices_that_form_no_grid_are_refused(tmp_path: Path, places: tuple[float, ...], words: str) -> None:
    file = File(tmp_path / "r.h5")
    for z, place in enumerate(places):
        for step in range(COLUMNS):
            line = kspace_of(1, 2)[0][:, :, step]
            file.add(line, kspace_encode_step_1=step, slice=z, position=(5.0, 6.0, 7.0 - place))
    with pytest.raises(InputError, match=words):
        read_kspace(file.save())


def test_slices_without_positions_keep_the_counters_order(tmp_path: Path) -> None:
    data = kspace_of(3, 2)
    file = File(tmp_path / "r.h5")
    for z, plane in enumerate(data):
        for step in range(COLUMNS):
            file.add(plane[:, :, step], kspace_encode_step_1=step, slice=z, position=(0.0, 0.0, 0.0))
    kspace = read_kspace(file.save())
    torch.testing.assert_close(kspace.data, data)
    assert "state no slice positions" in kspace.notices[0]


@pytest.mark.parametrize("flag", [19, 23, 24, 26, 27, 28, 29, 30, 31])
def test_readouts_of_other_purposes_are_left_out(tmp_path: Path, flag: int) -> None:
    data = kspace_of(2, 2)
    file = multi_slice(tmp_path / "r.h5", data)
    for step in range(COLUMNS):
        file.add(5 * data[0][:, :, 3], flag=flag, kspace_encode_step_1=step, position=(5.0, 6.0, 7.0))
    file.lines.append(ismrmrd.Acquisition())  # an empty readout
    kspace = read_kspace(file.save())
    torch.testing.assert_close(kspace.data, data)
    assert kspace.meta["readouts_left_out"] == COLUMNS + 1


def test_compressed_readouts_are_refused(tmp_path: Path) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(1, 1))
    file.lines[0].setFlag(ismrmrd.ACQ_COMPRESSION1)
    with pytest.raises(InputError, match="compressed"):
        read_kspace(file.save())


def test_separate_calibration_lines_give_the_coil_maps(tmp_path: Path) -> None:
    data = kspace_of(2, 4)
    file = multi_slice(tmp_path / "r.h5", data, range(0, COLUMNS, 2))
    for z in range(2):
        for step in range(4, 12):
            file.add(
                data[z][:, :, step],
                flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,
                kspace_encode_step_1=step,
                slice=z,
                position=(5.0, 6.0, 7.0 - 4.0 * z),
            )
    kspace = read_kspace(file.save())
    assert kspace.mask is not None
    assert kspace.mask.all(0).tolist() == [step % 2 == 0 for step in range(COLUMNS)]
    assert kspace.calibration is not None
    torch.testing.assert_close(kspace.calibration[..., 4:12], data[..., 4:12])
    scan = measured_mr(kspace, MaskRequest())
    assert scan.measurement.protocol.true_acceleration == 2
    assert scan.truth is None
    lines = torch.zeros_like(data)
    lines[..., 4:12] = data[..., 4:12]
    image = scan.measurement.operator.H(scan.measurement.y)
    expected = CartesianMR(kspace.mask, estimate_maps(lines, 8), 2).H(scan.measurement.y)
    torch.testing.assert_close(image, expected)
    without = replace(kspace, calibration=None)
    with pytest.raises(InputError, match="without calibration lines"):
        measured_mr(without, MaskRequest())


def series(path: Path) -> tuple[File, torch.Tensor]:
    """Two contrasts in three repetitions, with noise readouts."""
    data, file = kspace_of(1, 2), File(path)
    for contrast in range(2):
        for repetition in range(3):
            for step in range(COLUMNS):
                line = (1 + contrast) * (1 + repetition) * data[0, :, :, step]
                file.add(line, kspace_encode_step_1=step, contrast=contrast, repetition=repetition)
    file.add(torch.ones(2, 40) + 0j, flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    return file, data


@pytest.mark.parametrize(
    ("request_", "factor"), [((1, 2), 6.0), ((0, "average"), 2.0), ((1, "average"), 4.0)], ids=["6", "2", "4"]
)
def test_a_contrast_and_a_repetition_are_chosen(tmp_path: Path, request_: Any, factor: float) -> None:
    file, data = series(tmp_path / "r.h5")
    contrast, repetition = request_
    found = read_any_kspace(file.save(), KSpaceRequest(contrast=contrast, repetition=repetition))
    torch.testing.assert_close(found.data, factor * data)
    assert found.noise_readouts is not None
    expected = 3**-0.5 if repetition == "average" else 1.0
    torch.testing.assert_close(found.noise_readouts.abs(), torch.full((2, 40), expected))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"contrast": 0}, "3 different values of repetition; choose one with `repetition`: 0, 1, 2, or average"),
        ({"repetition": 0}, "2 different values of contrast; choose one with `contrast`: 0, 1$"),
        ({"contrast": 4, "repetition": 0}, "`contrast` 4: .* has 0, 1"),
    ],
)
def test_series_that_are_not_chosen_are_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_any_kspace(series(tmp_path / "r.h5")[0].save(), KSpaceRequest(**given))


def test_a_matrix_that_was_computed_is_rounded(tmp_path: Path) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(1, 1))
    file.xml = file.xml.replace(f"<y>{COLUMNS}</y>".encode(), f"<y>{COLUMNS - 0.0004}</y>".encode())
    assert read_kspace(file.save()).data.shape[-1] == COLUMNS


@pytest.mark.parametrize("size", ["15.5", "1e300", "1e9", "nan"])
def test_a_matrix_that_cannot_be(tmp_path: Path, size: str) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(1, 1))
    file.xml = file.xml.replace(f"<y>{COLUMNS}</y>".encode(), f"<y>{size}</y>".encode())
    with pytest.raises(InputError, match="header is damaged"):
        read_kspace(file.save())


@pytest.mark.parametrize("size", ["1e-300", "1e300"])
def test_a_field_of_view_that_cannot_be(tmp_path: Path, size: str) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(1, 1))
    file.xml = file.xml.replace(b"<x>240", f"<x>{size}".encode())
    with pytest.raises(InputError, match="field of view"):
        read_kspace(file.save())


def test_positions_that_are_no_numbers_are_unknown(tmp_path: Path) -> None:
    file = File(tmp_path / "r.h5")
    for step in range(COLUMNS):
        file.add(kspace_of(1, 1)[0][:, :, step], kspace_encode_step_1=step, position=(float("nan"),) * 3)
    kspace = read_kspace(file.save())
    assert kspace.source is not None
    assert not kspace.source.orientation_known


def test_noise_readouts_whiten_the_coils_and_tell_the_noise(tmp_path: Path) -> None:
    """Of another bandwidth and correlated between the coils; the image keeps its scale."""
    random = torch.Generator().manual_seed(1)
    mixing = 0.02 * (torch.eye(3) + 0.5 * torch.rand(3, 3, generator=random)).to(torch.complex64)
    clean = kspace_of(1, 3)
    data = clean + torch.einsum("ij,zjyx->ziyx", mixing, torch.randn(clean.shape, dtype=clean.dtype, generator=random))
    file = multi_slice(tmp_path / "r.h5", data)
    for line in file.lines:
        line.sample_time_us = 4.0
    for _ in range(20):
        noise = mixing @ torch.randn(3, 256, dtype=torch.complex64, generator=random)
        file.add(noise * 2**-0.5, flag=ismrmrd.ACQ_IS_NOISE_MEASUREMENT, sample_time_us=8.0)
    file.add(100 * torch.ones(3, 8) + 0j, flag=ismrmrd.ACQ_IS_PHASE_STABILIZATION)
    kspace = read_kspace(file.save())
    assert kspace.noise_readouts is not None
    assert kspace.noise_readouts.shape == (3, 20 * 256)
    scan = measured_mr(kspace, MaskRequest("gauss1d", 1.5, 8))
    sigma = float((mixing @ mixing.mH).diagonal().real.mean().sqrt())
    assert scan.measurement.sigma == pytest.approx(sigma, rel=0.05)
    sentences = " ".join(scan.measurement.protocol.sentences)
    assert "The 3 coils were prewhitened" in sentences
    assert "from 5120 noise-only samples a coil" in sentences
    stated = measured_mr(kspace, MaskRequest("gauss1d", 1.5, 8), ScanRequest(level=0.1))
    assert "as stated" in " ".join(stated.measurement.protocol.sentences)


@pytest.mark.parametrize(("before", "after"), [(60000, 60000), (0, 41), (20, 20)])
def test_readouts_of_which_nothing_is_left_are_refused(tmp_path: Path, before: int, after: int) -> None:
    file = multi_slice(tmp_path / "r.h5", kspace_of(1, 1))
    for line in file.lines:
        line.discard_pre, line.discard_post = before, after
    with pytest.raises(InputError, match=f"of which {before} \\+ {after} are to be discarded"):
        read_kspace(file.save())

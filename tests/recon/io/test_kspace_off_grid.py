"""k-space along a trajectory, in every format that holds it: from files to a phantom's image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from physics.mr.birdcage import birdcage_maps
from physics.mr.non_cartesian import NonCartesian
from physics.mr.stack_of_stars import fft1c
from physics.mr.trajectories import radial
from recon.acquisition.measured_off_grid import measured_off_grid
from recon.acquisition.mr_measured import ScanRequest
from recon.errors import InputError
from recon.io.detect import describe
from recon.io.kspace.file import read_any_kspace, read_kspace
from recon.io.kspace.off_grid_files import write_off_grid
from recon.io.kspace.request import KSpaceRequest
from recon.methods import get_method
from recon.scan.measurement import RunContext
from recon.scan.non_cartesian_kspace import NonCartesianKSpace

SIZE, SPOKES = 32, 40
SPOKE = radial(SPOKES, 2 * SIZE)
READ, PHASE, SLICE = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)


def volume(depth: int) -> torch.Tensor:
    """(z, y, x) discs that differ from slice to slice, brighter towards one side."""
    y = torch.linspace(-1, 1, SIZE)
    discs = torch.sigmoid(20 * (0.7 - torch.hypot(y[:, None] * 1.1, y)))
    return torch.stack([discs * (1 + 0.3 * y + 0.2 * k * y[:, None]) for k in range(depth)]).to(torch.complex64)


def samples(depth: int, coils: int = 1, trajectory: torch.Tensor = SPOKE) -> torch.Tensor:
    """(z, coils, readouts, samples) data of that volume."""
    maps = birdcage_maps(coils, (SIZE, SIZE)).expand(depth, -1, -1, -1).contiguous() if coils > 1 else None
    return NonCartesian(trajectory, (SIZE, SIZE), maps, depth)(volume(depth))


def header(trajectory: str = "radial", partitions: int = 1, matrix: int = 2 * SIZE) -> bytes:
    def space(size: int, fov: float) -> str:
        return (
            f"<matrixSize><x>{size}</x><y>{size}</y><z>{partitions}</z></matrixSize>"
            f"<fieldOfView_mm><x>{fov}</x><y>{fov}</y><z>{3 * partitions}</z></fieldOfView_mm>"
        )

    limits = "".join(
        f"<kspace_encoding_step_{step}><minimum>0</minimum><maximum>{most - 1}</maximum><center>{most // 2}</center>"
        f"</kspace_encoding_step_{step}>"
        for step, most in ((1, SPOKES), (2, partitions))
    )
    return (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"<encodedSpace>{space(matrix, 240.0)}</encodedSpace><reconSpace>{space(SIZE, 240.0 * SIZE / matrix)}"
        f"</reconSpace><trajectory>{trajectory}</trajectory><encodingLimits>{limits}</encodingLimits>"
        "</encoding></ismrmrdHeader>"
    ).encode()


class File:
    """An ISMRMRD file of readouts along a trajectory, under construction."""

    def __init__(self, path: Path, xml: bytes) -> None:
        self.path, self.xml = path, xml
        self.lines: list[ismrmrd.Acquisition] = []

    def add(self, line: torch.Tensor, points: torch.Tensor | None, **head: Any) -> None:
        values = line.numpy().astype(np.complex64)
        acquisition = ismrmrd.Acquisition()
        acquisition.resize(values.shape[1], values.shape[0], 0 if points is None else points.shape[1])
        acquisition.data[:] = values
        if points is not None:
            acquisition.traj[:] = points.numpy().astype(np.float32)
        acquisition.read_dir, acquisition.phase_dir, acquisition.slice_dir = READ, PHASE, SLICE
        for name, value in head.items():
            target = acquisition.idx if hasattr(acquisition.idx, name) else acquisition
            setattr(target, name, value)
        self.lines.append(acquisition)

    def add_noise(self, line: torch.Tensor) -> None:
        self.add(line, None)
        self.lines[-1].setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)

    def save(self) -> Path:
        with ismrmrd.Dataset(str(self.path), "dataset", mode="w") as dataset:
            dataset.write_xml_header(self.xml)
            for k in np.random.default_rng(0).permutation(len(self.lines)):
                dataset.append_acquisition(self.lines[k])
        return self.path


def scan(path: Path, data: torch.Tensor, points: torch.Tensor | None = SPOKE, **options: Any) -> File:
    file = File(path, header(**options))
    for z, plane in enumerate(data):
        for spoke in range(data.shape[2]):
            each = None if points is None else points[spoke]
            file.add(plane[:, spoke], each, kspace_encode_step_1=spoke, slice=z, position=(5.0, 6.0, 7.0 - 4.0 * z))
    return file


def read(path: Path, **request: Any) -> NonCartesianKSpace:
    found = read_any_kspace(path, KSpaceRequest(**request))
    assert isinstance(found, NonCartesianKSpace)
    return found


def reconstructed(kspace: NonCartesianKSpace, method: str = "cg-sense") -> torch.Tensor:
    chosen = get_method("MR", method)
    return chosen.run(measured_off_grid(kspace).measurement, chosen.options(), RunContext()).mean


def assert_image(kspace: NonCartesianKSpace, depth: int, largest: float = 0.1) -> None:
    found, expected = reconstructed(kspace).abs(), volume(depth).abs()
    assert float((found - expected).norm() / expected.norm()) < largest


def test_readouts_of_which_nothing_is_left_are_refused(tmp_path: Path) -> None:
    file = scan(tmp_path / "r.h5", samples(1, 1))
    for line in file.lines:
        line.discard_post = 60000
    with pytest.raises(InputError, match="0 \\+ 60000 are to be discarded"):
        read(file.save())


def test_slices_in_an_ismrmrd_file(tmp_path: Path) -> None:
    data = samples(2, 3)
    kspace = read(scan(tmp_path / "r.h5", data).save())
    torch.testing.assert_close(kspace.data, data)
    torch.testing.assert_close(kspace.trajectory, SPOKE, rtol=1e-6, atol=1e-7)
    assert (kspace.kind, kspace.image_shape, kspace.measured) == ("radial", (SIZE, SIZE), None)
    np.testing.assert_allclose(np.linalg.norm(kspace.affine[:3, :3], axis=0), [3.75, 3.75, 4])
    centre = kspace.affine @ [SIZE // 2, SIZE // 2, 1, 1]
    np.testing.assert_allclose(centre[:3], [-5, -6, 3])  # LPS to RAS
    assert_image(kspace, 2)


def test_coordinates_in_cycles_per_field_of_view(tmp_path: Path) -> None:
    kspace = read(scan(tmp_path / "r.h5", samples(1), 2 * SIZE * SPOKE).save())
    torch.testing.assert_close(kspace.trajectory, SPOKE, rtol=1e-6, atol=1e-7)


def test_discarded_samples_and_noise_readouts(tmp_path: Path) -> None:
    data = samples(1, 3)
    file = scan(tmp_path / "r.h5", data)
    for line in file.lines:
        line.discard_pre, line.discard_post, line.sample_time_us = 2, 1, 4.0
    noise = 0.01 * torch.randn(3, 4000, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    file.add_noise(noise)
    file.lines[-1].sample_time_us = 4.0
    kspace = read(file.save())
    torch.testing.assert_close(kspace.data, data[..., 2:-1])
    assert kspace.trajectory.shape == (SPOKES, 2 * SIZE - 3, 2)
    measurement = measured_off_grid(kspace).measurement
    assert measurement.noise_level == pytest.approx(0.01, rel=0.05)
    assert "The 3 coils were prewhitened" in " ".join(measurement.protocol.sentences)


@pytest.mark.parametrize("missing", [(), (0, 5)], ids=["whole", "partial"])
def test_a_stack_of_stars_in_an_ismrmrd_file(tmp_path: Path, missing: tuple[int, ...]) -> None:
    data = fft1c(samples(6, 3), 0)
    file = File(tmp_path / "r.h5", header(partitions=6))
    for partition in sorted(set(range(6)) - set(missing)):
        for spoke in range(SPOKES):
            counters = {"kspace_encode_step_1": spoke, "kspace_encode_step_2": partition}
            file.add(data[partition, :, spoke], SPOKE[spoke], **counters)
    kspace = read(file.save())
    assert (kspace.measured is None) == (not missing)
    if missing:
        assert kspace.measured is not None
        assert kspace.measured.tolist() == [k not in missing for k in range(6)]
        assert "4 of 6 measured" in str(describe(file.path).details)
    assert_image(kspace, 6, 0.15 if missing else 0.1)


def test_a_stack_whose_planes_are_turned_against_one_another(tmp_path: Path) -> None:
    turned = torch.stack([radial(8 * SPOKES, 2 * SIZE)[k * SPOKES : (k + 1) * SPOKES] for k in range(4)])
    waves = fft1c(volume(4), 0)
    data = NonCartesian(turned, (SIZE, SIZE))(waves)
    file = File(tmp_path / "r.h5", header(partitions=4))
    for partition in range(4):
        for spoke in range(SPOKES):
            counters = {"kspace_encode_step_1": spoke, "kspace_encode_step_2": partition}
            file.add(data[partition, :, spoke], turned[partition, spoke], **counters)
    kspace = read(file.save())
    assert kspace.trajectory.shape[0] == 4
    assert_image(kspace, 4)


def test_our_own_file_keeps_everything(tmp_path: Path) -> None:
    kspace = read(scan(tmp_path / "r.h5", samples(2, 3)).save())
    kept = replace(kspace, reference=volume(2).abs(), meta={"noise_std": 0.5}, measured=torch.tensor([True, False]))
    write_off_grid(tmp_path / "own.h5", kept)
    found = read(tmp_path / "own.h5")
    for name in ("data", "trajectory", "reference", "measured"):
        assert torch.equal(getattr(found, name), getattr(kept, name))
    assert (found.kind, found.image_shape, found.meta["noise_std"]) == ("radial", (SIZE, SIZE), 0.5)
    np.testing.assert_allclose(found.affine, kept.affine)
    with pytest.raises(InputError, match="along a trajectory; k-space on a grid"):
        read_kspace(tmp_path / "own.h5")


def write_bart(path: Path, array: np.ndarray) -> Path:
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, array.shape))}\n")
    array.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))
    return path.with_suffix(".cfl")


def bart_files(tmp_path: Path, data: torch.Tensor, heights: list[int] | None = None) -> tuple[Path, Path]:
    """k-space and trajectory; with ``heights`` the planes are partitions there, one readout after the other."""
    points = torch.zeros(SPOKES, 2 * SIZE, 3, dtype=torch.float64)
    points[..., :2] = SIZE * SPOKE
    stored = data.permute(3, 2, 1, 0).reshape(1, 2 * SIZE, SPOKES, -1, *([1] * 9), len(data))
    if heights is not None:
        points = torch.cat([points + torch.tensor([0, 0, height]) for height in heights])
        stored = data.permute(3, 0, 2, 1).reshape(1, 2 * SIZE, len(data) * SPOKES, -1)
    return write_bart(tmp_path / "k", stored.numpy()), write_bart(tmp_path / "t", points.permute(2, 1, 0).numpy())


def test_barts_files(tmp_path: Path) -> None:
    data = samples(2, 3)
    path, trajectory = bart_files(tmp_path, data)
    kspace = read(path, trajectory=trajectory)
    torch.testing.assert_close(kspace.data, data)
    assert kspace.image_shape == (SIZE, SIZE)
    assert_image(kspace, 2)
    assert read(path, trajectory=trajectory, matrix=(40, 36)).image_shape == (40, 36)
    with pytest.raises(InputError, match="`matrix` 32,32 would hold it"):
        read(path, trajectory=trajectory, matrix=(16, 16))


@pytest.mark.parametrize("heights", [[-2, -1, 0, 1], [-2, 0, 1]], ids=["whole", "partial"])
def test_a_stack_in_barts_files(tmp_path: Path, heights: list[int]) -> None:
    data = fft1c(samples(4, 3), 0)[[height + 2 for height in heights]]
    path, trajectory = bart_files(tmp_path, data, heights)
    kspace = read(path, trajectory=trajectory)
    assert kspace.data.shape == (4, 3, SPOKES, 2 * SIZE)
    assert_image(kspace, 4, 0.1 if len(heights) == 4 else 0.3)


@pytest.mark.parametrize("axes", ["zcrs", "srcz", "crs"])
def test_arrays(tmp_path: Path, axes: str) -> None:
    data = samples(1 if len(axes) == 3 else 2, 3)
    full = data[0] if len(axes) == 3 else data
    stored = full.permute(["zcrs"[-len(axes) :].index(axis) for axis in axes]).numpy()
    np.savez(tmp_path / "k.npz", kspace=stored, trajectory=SPOKE.numpy(), matrix=[SIZE, SIZE])
    torch.testing.assert_close(read(tmp_path / "k.npz", axes=axes).data, data)
    np.save(tmp_path / "k.npy", stored)
    np.save(tmp_path / "t.npy", SPOKE.numpy())
    given = {"trajectory": tmp_path / "t.npy", "matrix": (SIZE, SIZE)}
    torch.testing.assert_close(read(tmp_path / "k.npy", axes=axes, **given).data, data)
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"], file["trajectory"], file.attrs["matrix"] = full.numpy(), SPOKE.numpy(), [SIZE, SIZE]
    if len(axes) == 4:
        torch.testing.assert_close(read(tmp_path / "k.h5").data, data)


def test_what_the_noise_is_taken_from(tmp_path: Path) -> None:
    noise = torch.randn(2, 1, SPOKES, 2 * SIZE, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    kspace = read(scan(tmp_path / "r.h5", samples(2) + 0.2 * noise).save())
    found = measured_off_grid(kspace).measurement
    assert found.noise_level == pytest.approx(0.2, rel=0.15)
    assert "estimated from outer k-space" in found.protocol.sentences[-1]
    assert "as stated" in measured_off_grid(kspace, ScanRequest(level=0.1)).measurement.protocol.sentences[-1]


def test_coils_are_compressed(tmp_path: Path) -> None:
    kspace = read(scan(tmp_path / "r.h5", samples(1, 8)).save())
    measurement = measured_off_grid(kspace, ScanRequest(coils=4)).measurement
    assert measurement.y.shape[1] == 4
    assert "The 8 coils were compressed to 4" in " ".join(measurement.protocol.sentences)
    with pytest.raises(InputError, match="`coils_compressed` 9"):
        measured_off_grid(kspace, ScanRequest(coils=9))


def uneven(path: Path) -> Path:
    file = scan(path, samples(2))
    file.lines.pop()
    return file.save()


def lengths(path: Path) -> Path:
    file = scan(path, samples(1))
    file.lines[3].discard_post = 1
    return file.save()


def repetitions(path: Path) -> Path:
    file = scan(path, samples(1))
    file.lines[3].idx.repetition = 1
    return file.save()


def arrays(**given: Any) -> Any:
    def make(path: Path) -> Path:
        target = path.with_suffix(".npz")
        np.savez(target, **({"kspace": samples(1)[0, 0].numpy(), "trajectory": SPOKE.numpy()} | given))
        return target

    return make


BAD = {
    "no_coordinates": (lambda path: scan(path, samples(1), None).save(), {}, "state no coordinates"),
    "uneven": (uneven, {}, "39 to 40 readouts"),
    "lengths": (lengths, {}, "63 to 64 samples"),
    "repetitions": (repetitions, {}, "2 different values of repetition"),
    "axes": (arrays(), {}, "give `axes`"),
    "matrix": (arrays(), {"axes": "rs"}, "give `matrix`"),
    "small_matrix": (arrays(), {"axes": "rs", "matrix": (1, 4)}, "`matrix` 1,4: must be"),
    "bad_matrix": (arrays(matrix=[0, 3]), {"axes": "rs"}, "'matrix' must be two"),
    "other_trajectory": (arrays(trajectory=SPOKE[1:].numpy()), {"axes": "rs", "matrix": (32, 32)}, "must be alike"),
    "nan": (arrays(trajectory=np.full((SPOKES, 2 * SIZE, 2), np.nan)), {"axes": "rs"}, "NaN"),
    "3d": (
        arrays(trajectory=np.random.default_rng(0).random((SPOKES, 2 * SIZE, 3))),
        {"axes": "rs", "matrix": (32, 32)},
        "third coordinate changes along a readout",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_line(tmp_path: Path, case: str) -> None:
    make, request, words = BAD[case]
    with pytest.raises(InputError, match=words) as caught:
        read(make(tmp_path / "r.h5"), **request)
    assert "\n" not in str(caught.value)


def test_what_a_file_is(tmp_path: Path) -> None:
    facts = describe(scan(tmp_path / "r.h5", samples(2, 3)).save())
    assert facts.kind == "k-space along a trajectory (radial)"
    assert (facts.shape, facts.axes) == ((2, 3, SPOKES, 2 * SIZE), "slices, coils, readouts, samples")
    assert facts.details["image (y, x)"] == (SIZE, SIZE)
    assert "as it was sampled" in facts.would

"""Tasks as values, simulated pairs from the cache, prepared volumes: what training is fed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import open_dataset
from datasets.cache import Cache
from physics.ct.geometry import FanBeam, ParallelBeam, circular_angles
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.acquisition.network_scale import NOISE_KEPT, network_scale
from recon.errors import InputError
from recon.io.detect import read_any
from recon.learned.task import Task, task_from_dict
from recon.methods.conditions import base_images, condition, shown
from recon.methods.show import show
from recon.scan.measurement import Protocol, RunContext
from recon.scan.units import network_to_hu
from recon.solvers.data_consistency import agreeing
from recon.training.pairs import simulate_pairs
from recon.training.patches import Augmentation, PatchSource, resampled_along_z
from recon.training.prepared import prepare
from recon.training.slices import SliceSource
from recon.training.sources import load_split, parse_data
from recon.training.stacks import ProjectorCache, StackSource

DATA = "phantom:count=6,size=8x24x24,spacing=8x12x12"


@st.composite
def ct_tasks(draw: st.DrawFn) -> Task:
    arc = draw(st.sampled_from([math.pi / 2, math.pi, 2 * math.pi]))
    angles = circular_angles(draw(st.integers(2, 90)), 0.0, arc)
    if draw(st.booleans()):
        geometry = FanBeam(angles, pitch=draw(st.floats(0.5, 4)), source_isocentre=draw(st.floats(300, 900)))
        geometry = replace(geometry, source_detector=geometry.source_isocentre * 1.8)
    else:
        geometry = ParallelBeam(angles, pitch=draw(st.floats(0.5, 4)))
    views = draw(st.none() | st.tuples(st.integers(2, 20), st.integers(20, 90)))
    return Task(CTAcquisition(geometry, views, draw(st.none() | st.just((1e4, 1e6)))), ("fbp", "sirt"))


@settings(deadline=None, max_examples=30)
@given(ct_tasks())
def test_a_ct_task_survives_a_weights_file_and_knows_its_own_scans(task: Task) -> None:
    again = task_from_dict(json.loads(json.dumps(task.to_dict())))
    assert again == task
    scans = task.acquisition
    assert isinstance(scans, CTAcquisition)
    least = scans.views[0] if scans.views else scans.geometry.views
    own = replace(scans.geometry, angles=circular_angles(least, scans.geometry.angles[0], arc_of(scans)))
    assert again.why_unsuitable(Protocol(geometry=own.to_dict())) is None
    most = scans.views[1] if scans.views else scans.geometry.views
    more = replace(own, angles=circular_angles(most + 1, scans.geometry.angles[0], arc_of(scans)))
    assert again.why_unsuitable(Protocol(geometry=more.to_dict())) is not None


def arc_of(scans: CTAcquisition) -> float:
    angles = scans.geometry.angles
    return (angles[1] - angles[0]) * len(angles)


def test_an_mr_task_survives_and_refuses() -> None:
    task = Task(MRAcquisition(("poisson", "gauss1d"), (4.0, 8.0), 0.01, 1.0), ("zero-filled",))
    again = task_from_dict(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert again.why_unsuitable(Protocol(mask={"kind": "gauss1d", "accel": 6})) is None
    assert "trained for the masks" in str(again.why_unsuitable(Protocol(mask={"kind": "equispaced", "accel": 6})))
    assert "4 to 8, the scan has 12" in str(again.why_unsuitable(Protocol(mask={"kind": "poisson", "accel": 12})))


def test_the_reference_is_the_last_condition_or_a_mean_that_agrees_with_the_data(volumes):
    plain = Task(CTAcquisition(FanBeam(circular_angles(24), pitch=4.0)), ("fbp", "sirt"))
    assert "reference" not in plain.to_dict()
    mixed = replace(plain, reference=("sirt", "cgls"))
    assert task_from_dict(json.loads(json.dumps(mixed.to_dict()))) == mixed
    scan = plain.acquisition.simulate(volumes[0].volume(), 3)
    known = shown(plain, scan)
    assert torch.equal(show(plain, scan, RunContext()).base_image, known[-1].mean)
    others = base_images(mixed, scan, known)
    assert others[0] is known[-1], "not run again"
    found = show(mixed, scan, RunContext()).base_image
    mean = (known[-1].mean + condition("CT", "cgls", scan).mean) / 2
    torch.testing.assert_close(found, agreeing(scan, mean))
    residuals = [float((scan.operator.forward(image) - scan.y).norm()) for image in (found, mean)]
    assert residuals[0] < residuals[1]


@pytest.mark.parametrize(
    "values", [{}, {"task": "svct"}, {"task": "mri", "masks": ["spiral"]}, {"task": "mri", "x": 1}]
)
def test_what_is_no_task_is_said_in_one_line(values):
    with pytest.raises(InputError, match="the weights do not say what they were trained for"):
        task_from_dict(values)


@pytest.fixture
def volumes(tmp_path):
    cases = [case for case in open_dataset(DATA, None).cases() if case.split == "train"][:2]
    return prepare(cases, Cache(tmp_path / "cache"))


def test_the_same_seed_is_the_same_scan_and_another_is_not(volumes):
    task = CTAcquisition(FanBeam(circular_angles(12), pitch=4.0), views=(6, 12), photons=(1e4, 1e5))
    scans = [task.simulate(volumes[0].volume(), seed) for seed in (1, *range(1, 13))]
    assert torch.equal(scans[0].y, scans[1].y)
    assert len({scan.y.shape for scan in scans}) > 3, "views are drawn"
    assert 2 < sum(scan.sigma is None for scan in scans) < 11, "about half are noise-free"


def test_pairs_are_simulated_once_and_anew_for_another_task(volumes, tmp_path, monkeypatch):
    cache, made = Cache(tmp_path / "cache"), []
    simulate = CTAcquisition.simulate
    monkeypatch.setattr(CTAcquisition, "simulate", lambda self, *args: made.append(1) or simulate(self, *args))
    task = Task(CTAcquisition(FanBeam(circular_angles(12), pitch=4.0)), ("fbp",))
    first = simulate_pairs(volumes, task, 2, cache)
    assert len(made) == 4
    second = simulate_pairs(volumes, task, 2, cache)
    assert len(made) == 4
    assert all(np.array_equal(a.images, b.images) for a, b in zip(first, second, strict=True))
    simulate_pairs(volumes, replace(task, conditions=("sirt",)), 1, cache)
    assert len(made) == 6


def test_a_scan_with_an_image_of_nan_ends_the_training(volumes, tmp_path, monkeypatch):
    def broken(task, measurement):
        images = shown(task, measurement)
        return tuple(replace(image, mean=image.mean * float("nan")) for image in images)

    monkeypatch.setattr("recon.training.pairs.shown", broken)
    task = Task(CTAcquisition(FanBeam(circular_angles(12), pitch=4.0)), ("fbp",))
    with pytest.raises(InputError, match="fbp image has NaN or infinity"):
        simulate_pairs(volumes, task, 1, Cache(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["patch", "slice", "pair", "stack"])
def test_samples_are_a_function_of_item_and_seed(volumes, tmp_path, kind):
    augmentation = Augmentation(flip=0.5, scale=0.1, rotation=0.2, noise=0.01, stretch=0.3, shift=0.01)
    if kind == "patch":
        source = PatchSource(volumes, (8, 16, 16), 4, augmentation)
    elif kind == "stack":
        source = StackSource(volumes, 3, 20, augmentation)
    else:
        pairs = simulate_pairs(
            volumes, Task(CTAcquisition(FanBeam(circular_angles(12), pitch=4.0)), ("fbp",)), 1, Cache(tmp_path / "c")
        )
        source = SliceSource(volumes if kind == "slice" else pairs, 20, augmentation)
    one, again, other = (source.sample(len(source) // 2, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    whole = [source.sample(item, 5) for item in range(len(source))]
    assert all(
        {name: value.shape for name, value in each.items()} == {n: v.shape for n, v in one.items()} for each in whole
    )


def test_cubes_are_stretched_along_z_and_shifted_but_air_stays_air(volumes):
    shifted = PatchSource(volumes, (8, 16, 16), 4, Augmentation(flip=0, shift=0.01))
    plain = PatchSource(volumes, (8, 16, 16), 4, Augmentation(flip=0))
    found, wanted = (source.sample(0, 3)["image"] for source in (shifted, plain))
    difference = found - wanted
    assert bool((difference[wanted == -1] == 0).all())
    inside = difference[wanted > -1]
    assert float(inside.std()) < 1e-6, "one shift for all"
    assert 0 < float(inside.abs().max()) <= 0.01
    ramp = torch.arange(12.0)[:, None, None].expand(12, 2, 2)
    torch.testing.assert_close(resampled_along_z(ramp, 23)[:, 0, 0], torch.linspace(0, 11, 23))
    assert resampled_along_z(ramp, 12) is ramp


AXES = [(a, b, c) for a in "LR" for b in "AP" for c in "IS"]


@settings(deadline=None, max_examples=12)
@given(axes=st.sampled_from(AXES), order=st.permutations([0, 1, 2]), spacing=st.tuples(*[st.floats(0.5, 4)] * 3))
def test_prepared_volumes_are_in_hu_and_in_one_orientation(tmp_path_factory, axes, order, spacing) -> None:
    """However a file is stored, X grows to the right, Y to the anterior and Z to the superior."""
    x, y, z = np.meshgrid(np.arange(9), np.arange(10), np.arange(11), indexing="ij")
    values = (10 * x + 20 * y + 30 * z - 500).astype(np.int16)  # grows to R, A and S
    ras = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
    wanted = nibabel.orientations.axcodes2ornt(tuple(axes[i] for i in order))
    turned = ras.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(ras.affine), wanted))
    folder = tmp_path_factory.mktemp("oriented")
    (folder / "train").mkdir()
    nibabel.save(turned, folder / "train" / "case.nii.gz")
    cache = Cache(folder / "cache")
    part = parse_data(str(folder), "folder", "CT", None)
    volume = load_split(part, "train", cache, lambda line: None)[0].volume
    assert volume.data.shape == (11, 9, 10)
    assert np.array_equal(volume.data.transpose(1, 2, 0), values)
    assert volume.spacing == pytest.approx((spacing[2], spacing[0], spacing[1]), rel=1e-5)
    assert float((network_to_hu(volume.network()).permute(1, 2, 0) - torch.from_numpy(values)).abs().max()) < 1e-3
    # a scan's own reader and a prepared volume agree, so that a network sees at work what it saw in training
    read = read_any(folder / "train" / "case.nii.gz", "CT")
    assert torch.equal(read.data, volume.volume().data)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.integers(0, 10_000))
def test_no_subject_is_in_two_splits(count: int, seed: int) -> None:
    dataset = open_dataset(f"phantom:count={count},seed={seed},size=8x16x16,spacing=8x16x16", None)
    splits: dict[str, set[str]] = {}
    for case in dataset.cases():
        splits.setdefault(case.subject, set()).add(case.split)
    assert all(len(found) == 1 for found in splits.values())


def test_fully_sampled_kspace_is_learned_from_as_its_image(tmp_path):
    """fastMRI's files hold k-space; its reference image is what scans are simulated from."""
    from cli_helpers import write_fastmri

    folder = tmp_path / "knee"
    for split in ("train", "val", "test"):
        (folder / f"singlecoil_{split}").mkdir(parents=True)
    write_fastmri(folder / "singlecoil_train" / "file1.h5")
    parts = parse_data(str(folder), "fastmri", None, None)
    found = load_split(parts, "train", Cache(tmp_path / "cache"), lambda line: None)
    assert found[0].volume.modality == "MR"
    assert found[0].volume.data.shape == (3, 48, 40)


def test_the_projector_cache_is_bounded_and_knows_norms(volumes):
    geometry = FanBeam(circular_angles(12), pitch=4.0)
    volume = volumes[0].volume()
    cache = ProjectorCache(max_bytes=1)
    first = cache.projector(volume, geometry, "cpu")
    again = cache.projector(volume, geometry, "cpu")
    assert again.domain == volume.data.shape
    assert again._held is first._held
    second = cache.projector(volume, replace(geometry, pitch=3.0), "cpu")
    assert len(cache._held) == 1
    assert second.norm_bound > first.norm_bound == again.norm_bound > 0


def test_the_noise_that_a_sinogram_leaves_goes_with_pixels_and_views(volumes):
    """σ/(Δ√views): a quarter of it for half the pixel and four times the views, as backprojection has it."""
    task = CTAcquisition(FanBeam(circular_angles(16), pitch=4.0))
    volume = volumes[0].volume()
    clean = task.simulate(volume, 0)
    assert network_scale(clean).grain == 0
    noisy = replace(clean, sigma=torch.full_like(clean.y, 0.01))
    expected = NOISE_KEPT * 0.01 / (noisy.spacing[1] * 4)
    assert network_scale(noisy).grain == pytest.approx(expected)
    assert network_scale(replace(noisy, sigma=0.02)).grain == pytest.approx(2 * expected)

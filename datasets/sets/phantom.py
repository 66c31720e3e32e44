"""Random anatomies as a data set: any number of cases in HU, each computed from a seed and its index when read."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from datasets.anatomy_phantom.constitution import Constitution, constitution
from datasets.case import AGE, CLASS, GENERATED, SEX, Case, of_split
from datasets.entry import Entry
from datasets.patients import OLDEST, details_of
from datasets.splits import split_by_hash
from datasets.whole_file import whole_file

_SEXES = ("female", "male", "mixed")
_TRUNKS = ("torso", "chest", "abdomen")
_ANATOMIES = (*_TRUNKS, "head", "limbs", "mixed")
_VERSION = "phantom-1"
"""Changes whenever the same seed gives other voxels, so that nothing cached of the old ones is taken for the new."""

_MAX_VOXELS = 1 << 28
_MAX_COUNT = 100_000


@dataclass(frozen=True)
class PhantomSet:
    """Cases ``0`` to ``count - 1`` of a seed. Case k is the same whatever the count.

    Attributes:
        count: number of cases.
        seed: the seed of all cases.
        size: (z, y, x) voxels.
        spacing: (z, y, x) mm.
        anatomy: ``torso``, ``chest``, ``abdomen``, ``head``, ``limbs``, or ``mixed``: of every ten, about six torsos,
            two heads and two pairs of limbs. A chest is a torso of which the lungs are seen, an abdomen one of which
            the kidneys are.
        opacities: the share of chests with opacities in the lungs, whose class is then ``abnormal``, and that of the
            others ``normal``; None draws none and names no class.
        age: the lowest and the highest age in years, between which each trunk's is drawn; None tells no age. What ages
            do is in :mod:`datasets.anatomy_phantom.constitution`.
        sex: ``female``, ``male``, or ``mixed`` for as many of both; None tells no sex.
    """

    count: int = 64
    seed: int = 0
    size: tuple[int, int, int] = (64, 256, 256)
    spacing: tuple[float, float, float] = (2.5, 1.5, 1.5)
    anatomy: str = "torso"
    opacities: float | None = None
    age: tuple[float, float] | None = None
    sex: str | None = None
    name: str = "phantom"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MAX_COUNT or self.seed < 0:
            raise ValueError(
                f"phantom: count {self.count} must be from 1 to {_MAX_COUNT}, seed {self.seed} must be 0 or more"
            )
        if len(self.size) != 3 or min(self.size) < 8 or math.prod(self.size) > _MAX_VOXELS:
            raise ValueError(f"phantom: size {self.size} must be (z, y, x), each 8 or more, at most 2^28 voxels in all")
        if len(self.spacing) != 3 or not all(0.2 <= step <= 20 for step in self.spacing):
            raise ValueError(f"phantom: spacing {self.spacing} must be (z, y, x) mm, each 0.2 to 20")
        if self.anatomy not in _ANATOMIES:
            raise ValueError(f"phantom: anatomy {self.anatomy!r}; there are {', '.join(_ANATOMIES)}")
        if self.opacities is not None and not (self.anatomy == "chest" and 0 <= self.opacities <= 1):
            raise ValueError(f"phantom: opacities {self.opacities} must be 0 to 1, and need anatomy=chest")
        self._check_patient()

    def _check_patient(self) -> None:
        if self.age is not None and not 0 <= self.age[0] <= self.age[1] <= OLDEST:
            low, high = self.age
            raise ValueError(f"phantom: age {low:g}-{high:g} must be years from 0 to {OLDEST:g}, the lower one first")
        if self.sex is not None and self.sex not in _SEXES:
            raise ValueError(f"phantom: sex {self.sex!r}; there are {', '.join(_SEXES)}")
        if (self.age or self.sex) and self.anatomy not in _TRUNKS:
            raise ValueError(f"phantom: age and sex need anatomy={', '.join(_TRUNKS)}, not {self.anatomy}")

    @property
    def title(self) -> str:
        """Says that these are no patients."""
        return "generated phantoms"

    @property
    def root(self) -> None:
        """There is no folder."""
        return None

    @property
    def has_splits(self) -> bool:
        """By a hash of the names, which hold seed and index."""
        return True

    def cases(self, split: str | None = None) -> list[Case]:
        """The cases; their details are all that :func:`voxels` needs."""
        return of_split([self._case(index) for index in range(self.count)], split)

    def expected(self) -> list[str]:
        """Nothing can be missing."""
        return []

    def remarks(self) -> list[str]:
        """Nothing."""
        return []

    def _case(self, index: int) -> Case:
        anatomy = _mixed(self.seed, index) if self.anatomy == "mixed" else self.anatomy
        name = f"{anatomy}-{self.seed}-{index:05d}"
        details = {
            GENERATED: _VERSION,
            "anatomy": anatomy,
            "seed": str(self.seed),
            "index": str(index),
            "size": "x".join(map(str, self.size)),
            "spacing": "x".join(f"{step:g}" for step in self.spacing),
        }
        if self.opacities is not None:
            details[CLASS] = "abnormal" if _has_opacities(self.seed, index, self.opacities) else "normal"
        details |= details_of(*_patient(self.seed, index, self.age, self.sex))
        return Case(name, name, "CT", "volume", Path(f"{name}.nii.gz"), split_by_hash(name), details)


def voxels(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A generated case: (z, y, x) int16 HU in RAS+, and its (4, 4) affine, voxel (x, y, z) to mm, centred.

    The same case gives the same voxels on every machine.

    Raises:
        ValueError: the case was not generated by this module, or by another version of it.
    """
    from datasets.anatomy_phantom.render import render

    anatomy, seed, index, size, spacing = _drawn(case)
    data = render(anatomy, seed, index, size, spacing, case.details.get(CLASS) == "abnormal", _constitution(case))
    affine = np.diag([*reversed(spacing), 1.0])
    affine[:3, 3] = [-step * (count - 1) / 2 for step, count in zip(reversed(spacing), reversed(size), strict=True)]
    return data, affine


def label_map(case: Case) -> np.ndarray:
    """The label map of a generated case, (z, y, x) uint8 on the grid of :func:`voxels`.

    The labels are those of :data:`datasets.anatomy_phantom.abdomen.LABELS`; heads and limbs have none.

    Raises:
        ValueError: the case was not generated by this module, or by another version of it.
    """
    from datasets.anatomy_phantom.render import render_labels

    return render_labels(*_drawn(case), _constitution(case))


def _constitution(case: Case) -> Constitution:
    age = case.details.get(AGE)
    return constitution(None if age is None else float(age), case.details.get(SEX))


def _drawn(case: Case) -> tuple[str, int, int, tuple[int, int, int], tuple[float, float, float]]:
    """Anatomy, seed, index, size and spacing of a case."""
    details = case.details
    if (made := details.get(GENERATED)) != _VERSION:
        raise ValueError(f"case {case.id}: generated by {made}; this program has {_VERSION}")
    size, spacing = _sizes(details["size"]), _lengths(details["spacing"])
    return details["anatomy"], int(details["seed"]), int(details["index"]), size, spacing


def write_nifti(case: Case, folder: Path, *, segmentation: bool = False) -> Path:
    """Write a generated case as ``folder/SPLIT/ID.nii.gz``; its bytes depend on the case alone. Returns the file.

    A folder of such files is a data set ``folder`` with the same splits.

    Args:
        case: the generated case.
        folder: the folder of the data set.
        segmentation: whether its label map is written too, as ``ID_seg.nii.gz`` beside it.

    Raises:
        FileExistsError: there is such a file.
    """
    path = folder / case.split / case.path.name
    data, affine = voxels(case)
    _write(path, data, affine)
    if segmentation:
        _write(path.with_name(f"{case.id}_seg.nii.gz"), label_map(case), affine)
    return path


def _write(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    import gzip

    import nibabel

    if path.exists():
        raise FileExistsError(f"{path}: exists already; choose another folder")
    image = nibabel.Nifti1Image(np.ascontiguousarray(data.T), affine)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=4, mtime=0))


def parse_phantom(settings: str) -> PhantomSet:
    """A set from text such as ``count=8,seed=3,size=64x256x256,spacing=2.5x1.5x1.5,anatomy=mixed``; "" for defaults.

    Raises:
        ValueError: an unknown setting (the nearest is named), one given twice, or a value that is none.
    """
    values: dict[str, object] = {}
    for part in filter(None, settings.split(",")):
        name, _, text = part.partition("=")
        if name not in _PARSERS:
            near = difflib.get_close_matches(name, _PARSERS, 1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"phantom: no setting {name!r}; {hint}there are {', '.join(_PARSERS)}")
        if name in values:
            raise ValueError(f"phantom: {name} is given twice")
        try:
            values[name] = _PARSERS[name](text)
        except ValueError as error:
            raise ValueError(f"phantom: {name}={text} is no value; write it as in {_EXAMPLE}") from error
    return PhantomSet(**values)  # type: ignore[arg-type]


def _mixed(seed: int, index: int) -> str:
    draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 1]))).integers(10)
    return "torso" if draw < 6 else "head" if draw < 8 else "limbs"


def _has_opacities(seed: int, index: int, share: float) -> bool:
    return float(np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 2]))).uniform()) < share


def _patient(
    seed: int, index: int, age: tuple[float, float] | None, sex: str | None
) -> tuple[float | None, str | None]:
    """Age in whole years and sex of a case; both are drawn whatever is told, so that neither changes the other."""
    draw, coin = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 4]))).uniform(size=2)
    years = None if age is None else float(np.rint(age[0] + draw * (age[1] - age[0])))
    drawn = "female" if coin < 0.5 else "male"
    return years, drawn if sex == "mixed" else sex


def _ages(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def _sizes(text: str) -> tuple[int, int, int]:
    z, y, x = (int(part) for part in text.split("x"))
    return z, y, x


def _lengths(text: str) -> tuple[float, float, float]:
    z, y, x = (float(part) for part in text.split("x"))
    return z, y, x


_PARSERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "count": int,
        "seed": int,
        "size": _sizes,
        "spacing": _lengths,
        "anatomy": str,
        "opacities": float,
        "age": _ages,
        "sex": str,
    }
)
_EXAMPLE = "count=8,seed=0,size=64x256x256,spacing=2.5x1.5x1.5,anatomy=torso"


ENTRY = Entry(
    title="generated phantoms",
    open=lambda given: parse_phantom(given.settings),
    modality="CT",
    about="phantom: random anatomies in HU, computed when they are read; no one's scan is in it.",
    get="Nothing to get, nothing to ask.",
    layout="None; 'benchmarks data write phantom:count=4 DIR' writes them as NIfTI files,\n"
    "if asked with their label maps: 1 kidney, 2 tumour, 3 cyst (torso, abdomen).",
    terms="None: use as you like. Figures on phantoms say how a method behaves, not how it does on patients.",
    splits="By a hash of the case's name, which holds seed and index.",
    check="phantom:count=4",
    more={
        "Settings": "phantom:count=64,seed=0,size=64x256x256,spacing=2.5x1.5x1.5,anatomy=torso\n"
        "    (z, y, x; mm; torso, chest, abdomen, head, limbs, mixed)\n"
        "anatomy=chest,opacities=0.5    (half with opacities in the lungs: class abnormal, the others normal)\n"
        "anatomy=abdomen    (the kidneys are seen, for segmentations)\n"
        "age=20-90,sex=mixed    (trunks of people: size and bone follow age and sex; or age=60, sex=female, male)"
    },
    needs_folder=False,
    takes_settings=True,
)

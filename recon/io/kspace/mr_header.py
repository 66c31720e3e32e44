"""The ISMRMRD header (XML), which ISMRMRD and fastMRI files carry: matrix, field of view, trajectory.

Schema: https://github.com/ismrmrd/ismrmrd (schema/ismrmrd.xsd). Documents with a DOCTYPE are refused, so no
entity is ever expanded and nothing outside the file is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from recon.errors import InputError
from recon.io.kspace.epi import Ramp

Triple = tuple[float, float, float]

_LARGEST = 1 << 16
_ROUNDING = 0.01
_FIELD_OF_VIEW = (0.1, 1e4)  # mm: from less than a cell culture to more than a patient


@dataclass(frozen=True)
class Encoding:
    """The first encoding of a header. In every triple: readout, phase encoding, partition or slice.

    Attributes:
        matrix: samples of the encoded k-space.
        field_of_view: the field of view of the encoded k-space, mm.
        image_field_of_view: the field of view of the image to reconstruct, mm: smaller where readout or phase were
            oversampled.
        trajectory: ``"cartesian"``, ``"radial"``, …
        centre: (phase encoding, partition) step of zero frequency; None where not stated.
        stated_image: voxels of the image to reconstruct; None where not stated.
        ramp: the readout gradient, where samples were taken on its ramps and the header describes it.
    """

    matrix: tuple[int, int, int]
    field_of_view: Triple
    image_field_of_view: Triple
    trajectory: str
    centre: tuple[int | None, int | None]
    stated_image: tuple[int, int, int] | None = None
    ramp: Ramp | None = None

    @property
    def image_matrix(self) -> tuple[int, int]:
        """(y, x) voxels of the image to reconstruct, along the readout and the phase encoding."""
        return self.image_shape(*self.matrix[:2]) if self.stated_image is None else self.stated_image[:2]

    def voxels_of_the_image(self, voxels: tuple[int, int]) -> tuple[Encoding, tuple[float, float]]:
        """The encoding with the image's field of view and (y, x) voxels, for its geometry; and the (y, x) encoded field
        of view in such voxels, by which cycles per field of view are divided."""
        y, x = (length / count for length, count in zip(self.image_field_of_view[:2], voxels, strict=True))
        image = replace(
            self,
            matrix=(*voxels, self.matrix[2]),
            field_of_view=(*self.image_field_of_view[:2], self.field_of_view[2]),
        )
        return image, (self.field_of_view[0] / y, self.field_of_view[1] / x)

    def pixel_size(self, rows: int, columns: int) -> tuple[float, float]:
        """(y, x) in mm of the image of k-space with ``rows`` readout samples and ``columns`` phase encodings."""
        return self.field_of_view[0] / rows, self.field_of_view[1] / columns

    def image_shape(self, rows: int, columns: int) -> tuple[int, int]:
        """(y, x) pixels, at that size, of the image's field of view."""
        y, x = self.pixel_size(rows, columns)
        return max(round(self.image_field_of_view[0] / y), 1), max(round(self.image_field_of_view[1] / x), 1)


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a DOCTYPE is not allowed")


def parse_encoding(path: Path, xml: bytes | str) -> Encoding:
    """The first encoding in an ISMRMRD header; :class:`InputError` if it is not one."""
    try:
        root = ElementTree.fromstring(xml, parser=ElementTree.XMLParser(target=_NoDoctype()))
        encoding = _child(root, "encoding")
        encoded, recon = _child(encoding, "encodedSpace"), _child(encoding, "reconSpace")
        result = Encoding(
            matrix=_integers(_child(encoded, "matrixSize")),
            field_of_view=_triple(_child(encoded, "fieldOfView_mm")),
            image_field_of_view=_triple(_child(recon, "fieldOfView_mm")),
            trajectory=(_child(encoding, "trajectory").text or "").strip().lower(),
            centre=(_centre(encoding, "kspace_encoding_step_1"), _centre(encoding, "kspace_encoding_step_2")),
            ramp=_ramp(encoding),
            stated_image=None if recon.find("{*}matrixSize") is None else _integers(_child(recon, "matrixSize")),
        )
    except (ElementTree.ParseError, ValueError, UnicodeError, RecursionError, LookupError) as error:
        raise InputError(f"{path}: the ISMRMRD header is damaged ({error})") from error
    sizes = (*result.field_of_view, *result.image_field_of_view)
    if min((*result.matrix, *(result.stated_image or ()))) < 1 or min(sizes) <= 0:
        raise InputError(f"{path}: the ISMRMRD header has a matrix or field of view that is not positive")
    if min(sizes) < _FIELD_OF_VIEW[0] or max(sizes) > _FIELD_OF_VIEW[1]:
        raise InputError(f"{path}: the ISMRMRD header has a field of view of {min(sizes):g} to {max(sizes):g} mm")
    return result


def image_affine(spacing: Triple) -> np.ndarray:
    """(4, 4) affine of an image whose voxel size (x, y, z) in mm is all that is known of its place."""
    return np.diag([*spacing, 1.0])


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = element.find(f"{{*}}{name}")
    if found is None:
        raise ValueError(f"no {name}")
    return found


def _triple(element: ElementTree.Element) -> Triple:
    x, y, z = (float(_child(element, axis).text or "") for axis in "xyz")
    if not np.isfinite((x, y, z)).all():
        raise ValueError(f"a size of {x} x {y} x {z}")
    return x, y, z


def _ramp(encoding: ElementTree.Element) -> Ramp | None:
    """The gradient that a trajectory description tells, as converters of echo-planar data write it; None without one,
    or with samples on its flat top alone."""
    parameters = {
        (entry.findtext("{*}name") or "").strip(): float(entry.findtext("{*}value") or "")
        for kind in ("userParameterLong", "userParameterDouble")
        for entry in encoding.iterfind(f"{{*}}trajectoryDescription/{{*}}{kind}")
    }
    if not {"rampUpTime", "flatTopTime", "rampDownTime", "dwellTime", "numSamples"} <= set(parameters):
        return None
    up, flat, down, dwell = (parameters[name] for name in ("rampUpTime", "flatTopTime", "rampDownTime", "dwellTime"))
    delay, samples = parameters.get("acqDelayTime", 0.0), _whole(parameters["numSamples"])
    if up <= delay and delay + samples * dwell <= up + flat:
        return None
    return Ramp(up, flat, down, delay, dwell, samples)


def _integers(element: ElementTree.Element) -> tuple[int, int, int]:
    """Matrix sizes; some converters compute them and write 7.9996 for 8."""
    x, y, z = (_whole(value) for value in _triple(element))
    return x, y, z


def _whole(value: float) -> int:
    if not abs(value) <= _LARGEST or abs(value - round(value)) > _ROUNDING:
        raise ValueError(f"{value:g} is no number of samples")
    return round(value)


def _centre(encoding: ElementTree.Element, step: str) -> int | None:
    limits = encoding.find(f"{{*}}encodingLimits/{{*}}{step}")
    return None if limits is None else _whole(float(_child(limits, "center").text or ""))

"""Protocol files: presets, a user's own YAML, and one clear line for everything that is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from geometries import geometries
from hypothesis import given, settings

from physics.ct.geometry import FanBeam, Geometry, ParallelBeam, circular_angles, golden_angles
from physics.ct.protocol import (
    dump_protocol,
    load_protocol,
    load_scan_protocol,
    parse_protocol,
    preset_names,
    protocol_values,
)

FAN = {
    "type": "fan",
    "source_isocentre_mm": 500,
    "source_detector_mm": 900.0,
    "pitch_mm": 1.5,
    "angles": {"views": 12},
}
PARALLEL = {"type": "parallel", "pitch_mm": 0.7, "angles": [0, 45.0, 90]}


@pytest.mark.parametrize(("name", "views", "arc"), [("paper40", 40, 360), ("sparse20", 20, 360), ("limited90", 90, 90)])
def test_presets(name: str, views: int, arc: float) -> None:
    expected = FanBeam(circular_angles(views, 0.0, math.radians(arc)), 1.2858)
    assert load_protocol(name) == expected
    assert (expected.source_isocentre, expected.source_detector) == (595.0, 1086.5)


def test_every_preset_is_listed_and_loads() -> None:
    assert preset_names() == ["cone180", "limited90", "paper40", "sparse20"]
    for name in preset_names():
        assert load_scan_protocol(name).cells is None


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scanner.yaml"
    path.write_text(
        "type: parallel\npitch_mm: 0.7\ncells: 300\noffset_mm: -1\n"
        "angles: {views: 6, start_deg: 30, arc_deg: 180, order: uniform}\n"
    )
    expected = ParallelBeam(circular_angles(6, math.radians(30), math.pi), 0.7, 300, -1.0)
    assert load_protocol(str(path)) == expected


def test_angles() -> None:
    np.testing.assert_allclose(np.degrees(parse_protocol(PARALLEL).angles), [0, 45, 90])
    golden = parse_protocol(FAN | {"angles": {"views": 9, "start_deg": 90, "order": "golden"}})
    assert golden.angles == golden_angles(9, math.pi / 2)


@pytest.mark.parametrize(("unit", "millimetres"), [("um", 1e-3), ("cm", 10.0), ("m", 1e3)])
def test_the_end_of_a_key_is_its_unit(unit: str, millimetres: float) -> None:
    lengths = {"source_isocentre": 500.0, "source_detector": 900.0, "pitch": 1.5, "offset": -3.0}
    values = {"type": "fan", "angles": [0, 90]} | {f"{k}_{unit}": v / millimetres for k, v in lengths.items()}
    found = parse_protocol(values)
    assert isinstance(found, FanBeam)
    lengths_found = (found.source_isocentre, found.source_detector, found.pitch, found.offset)
    np.testing.assert_allclose(lengths_found, list(lengths.values()), rtol=1e-12)
    with pytest.raises(ValueError, match="'pitch' is given twice, in "):
        parse_protocol(values | {"pitch_mm": 1.5})


def test_angles_in_radians_and_from_elsewhere() -> None:
    bare = {key: value for key, value in PARALLEL.items() if key != "angles"}
    assert parse_protocol(bare | {"angles_rad": [0.1, 0.7]}).angles == (0.1, 0.7)
    assert parse_protocol(bare, [0.3]).angles == (0.3,)
    assert parse_protocol(PARALLEL, [0.3]) == parse_protocol(PARALLEL)
    for wrong, words in (({}, "'angles' is missing"), ({"angles": [1], "angles_rad": [1]}, "leave one out")):
        with pytest.raises(ValueError, match=words):
            parse_protocol(bare | wrong)
    with pytest.raises(ValueError, match="must list radians"):
        parse_protocol(bare | {"angles_rad": ["x"]})


@settings(deadline=None, max_examples=60)
@given(geometries())
def test_plain_values_and_back(geometry: Geometry) -> None:
    assert parse_protocol(protocol_values(geometry)) == geometry


@settings(deadline=None, max_examples=60)
@given(geometries())
def test_yaml_and_back(geometry: Geometry) -> None:
    import yaml

    back = parse_protocol(yaml.safe_load(dump_protocol(geometry)))
    np.testing.assert_allclose(back.angles, geometry.angles, rtol=1e-12, atol=1e-15)
    assert back == type(geometry)(**(geometry.__dict__ | {"angles": back.angles}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "needs 'type: fan', 'type: parallel' or 'type: cone'"),
        ([1, 2], "needs 'type: fan'"),
        ({"pitch_mm": 1}, "needs 'type: fan'"),
        (FAN | {"type": "cone"}, "a fan or parallel beam is needed"),
        (FAN | {"type": ["fan"]}, "needs 'type: fan'"),
        (FAN | {"pich_mm": 1}, "unknown entry 'pich_mm'; did you mean 'pitch_mm'"),
        (PARALLEL | {"source_isocentre_mm": 1}, "unknown entry 'source_isocentre_mm'"),
        (FAN | {3: 1}, "unknown entry '3'"),
        ({"type": "parallel", "angles": [0]}, "'pitch_mm' is missing"),
        ({"type": "parallel", "pitch_mm": 1}, "'angles' is missing"),
        (
            {k: v for k, v in FAN.items() if k != "source_detector_mm"},
            "'source_detector_mm' is missing",
        ),
        (FAN | {"pitch_mm": "wide"}, "'pitch_mm' must be a number, not 'wide'"),
        (FAN | {"pitch_mm": True}, "'pitch_mm' must be a number, not True"),
        (FAN | {"pitch_mm": 0}, "pitch must be positive"),
        (FAN | {"cells": 0}, "at least 1 cell"),
        (FAN | {"cells": 2.5}, "cells.*whole"),
        (FAN | {"cells": math.inf}, "cells.*whole"),
        (FAN | {"cells": "many"}, "'cells' must be a number"),
        (FAN | {"source_isocentre_mm": 1000}, "nearer to the isocentre"),
        (FAN | {"angles": 40}, "'angles' must be a list of degrees or hold 'views'"),
        (FAN | {"angles": {}}, "'angles' must be a list"),
        (FAN | {"angles": []}, "at least one view"),
        (FAN | {"angles": ["x"]}, "'angles' must list degrees"),
        (FAN | {"angles": [None]}, "'angles' must list degrees"),
        (FAN | {"angles": {"views": 0}}, "views must be at least 1"),
        (FAN | {"angles": {"views": 7.5}}, "views.*whole"),
        (FAN | {"angles": {"views": math.nan}}, "views.*whole"),
        (FAN | {"angles": {"views": 4, "step": 3}}, "unknown entry 'step'"),
        (FAN | {"angles": {"views": 4, "order": "random"}}, "'order' must be uniform or golden, not 'random'"),
        (FAN | {"angles": {"views": 4, "arc_deg": 400}}, "at most 360 degrees, not 400"),
        (FAN | {"angles": {"views": 4, "order": "golden", "arc_deg": 90}}, "arc_deg"),
    ],
)
def test_what_is_wrong_is_named(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_protocol(values)
    assert "\n" not in str(raised.value)


def test_neither_preset_nor_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither a preset \(cone180, limited90, paper40, sparse20\) nor a file"):
        load_protocol(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"type: [fan", "not valid YAML"),
        (b"a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]", "must not hold YAML aliases"),
        (b"[" * 5000, "not valid YAML"),
        (b"#" * ((1 << 24) + 1), "larger than 16 MiB"),
        (b"\x00\xff\xfe", "not valid YAML"),
        (b"", "needs 'type: fan'"),
        (b"!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_files_that_are_no_protocol(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scanner.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        load_protocol(str(path))
    assert "\n" not in str(raised.value)

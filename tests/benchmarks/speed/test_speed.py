"""The speed benchmark on small problems: it runs, it computes its ratios, and both sides do the same work."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.speed import ct
from physics.ct.geometry import ImageGrid
from physics.ct.projector import CTProjector
from physics.ct.protocol import load_protocol


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(ct, "SIZE", 32)
    monkeypatch.setattr(ct, "SLICES", 8)


def test_the_command_prints_ratios_of_what_it_timed(small):
    pytest.importorskip("astra")
    done = CliRunner().invoke(main, ["speed", "projector", "fbp", "slice", "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert len(rows) == 5
    for row in rows:
        assert row["ratio"] == pytest.approx(row["reference_s"] / row["ours_s"])
    assert rows[0]["build_s"] > 0


def test_astra_slice_by_slice_computes_what_ours_computes(small):
    astra = pytest.importorskip("astra")
    operator = CTProjector(load_protocol("paper40"), ImageGrid((32, 32), (ct.SPACING, ct.SPACING)))
    image = torch.rand(32, 32)
    sino_id, sinogram = astra.create_sino(image.numpy(), ct._astra_projector(operator))
    astra.data2d.delete(sino_id)
    ours = operator(image[None])[0].numpy()
    assert np.linalg.norm(ours - sinogram) < 1e-3 * np.linalg.norm(ours), "but for single chords of ASTRA's"


def test_the_phantom_changes_from_slice_to_slice_and_is_in_hu():
    volume = ct.phantom(4, 64)
    assert volume.shape == (4, 64, 64)
    assert volume.min() == -1000
    assert volume.max() == 700
    assert not torch.equal(volume[0], volume[3])


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from benchmarks.cli import main; "
        "done = CliRunner().invoke(main, ['speed', '--help']); assert 'projector' in done.output; "
        "assert not {'torch', 'numpy', 'sigpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

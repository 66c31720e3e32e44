"""Compare with the official recordings, and write what the tests need in their place.

usage: PYTHONPATH=.:tests python -m parity FOLDER --date YYYY-MM-DD

FOLDER holds ``fixtures/`` and ``specs/`` with the official recordings. A network that does not reproduce its recording
within the tolerance is an error, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from parity import baselines, factorised, hagan, layouts, masks, meddiffusion, wdm
from parity.case import Case
from parity.formula import TEXT, VERSION, summary

RECORDED = Path(__file__).parent / "recorded"
CASES: dict[str, Case] = meddiffusion.CASES | baselines.CASES | factorised.CASES | wdm.CASES | hagan.CASES


def entry(case: Case, fixtures: Path, date: str) -> dict[str, Any]:
    """What a network filled by the formula computes, after it was compared with the official recording."""
    deviation = case.deviation(fixtures)
    if not deviation <= case.tolerance:
        raise SystemExit(f"{case.recording}: differs by {deviation:g}, more than {case.tolerance:g}")
    computed = case.compute()
    return {
        "network": computed.network,
        "config": computed.config,
        "official": {"recording": case.recording, "largest_deviation": float(f"{deviation:.2g}"), "compared": date},
        "tolerance": case.tolerance,
        "weights_sha256": computed.weights_sha256,
        "outputs": {name: summary(tensor) for name, tensor in computed.outputs.items()},
    }


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--date", required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if meddiffusion.closest_codes() < 1e-3:
        raise SystemExit("the autoencoder's codes hang on rounding: choose other inputs")
    cases = {name: entry(case, given.folder / "fixtures", given.date) for name, case in CASES.items()}
    write("networks", {"formula": {"version": VERSION, "text": TEXT}, "cases": cases})
    write("layouts", {name: layouts.official(name, given.folder) for name in layouts.NETWORKS})
    write("maisi", of_maisi(given.folder, given.date))
    write(
        "masks",
        {
            recording: {key: masks.digest(mask) for key, mask in masks.official(recording, given.folder)}
            for recording in masks.RECORDINGS
        },
    )


def of_maisi(folder: Path, date: str) -> dict[str, Any]:
    """MAISI's networks apart, since they need MONAI."""
    from parity import maisi

    official = {name: maisi.official_layout(name, folder) for name in maisi.NETWORKS}
    return {
        "cases": {name: entry(case, folder / "fixtures", date) for name, case in maisi.CASES.items()},
        "layouts": {
            name: layouts.digest((key, shape) for key, (shape, _) in found["keys"].items())
            | {"parameters": found["parameters"]}
            for name, found in official.items()
        },
    }


def write(name: str, content: dict[str, Any]) -> None:
    """Write one file of recorded values."""
    (RECORDED / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A small reader study on disk, and answers as its page exports them, written without a browser."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

METHODS = ("real", "ours", "wdm", "hagan")
GRID = (8, 14, 12)  # z, y, x


def write_volumes(folder: Path, count: int = 6, grid: tuple[int, int, int] = GRID) -> dict[str, Path]:
    """Volumes ``case-N.nii.gz`` of each method in a folder of its own, each with its own values."""
    generator = np.random.default_rng(0)
    folders = {method: folder / method for method in METHODS}
    for path in folders.values():
        path.mkdir(parents=True)
        for index in range(count):
            values = generator.integers(-1000, 1000, grid[::-1]).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), path / f"case-{index}.nii.gz")
    return folders


def make_arguments(folders: Mapping[str, Path], *more: object) -> list[object]:
    """``benchmarks readers make`` with these folders."""
    methods = [word for name in folders if name != "real" for word in ("--method", f"{name}={folders[name]}")]
    return ["readers", "make", "--real", folders["real"], *methods, "--quiet", *more]


Told = Callable[[dict[str, Any], str], Mapping[str, int]]
"""The ranks of the methods on a screen of the key, for a question."""


def told_ranks(screen: dict[str, Any], question: str) -> dict[str, int]:
    """Real before ours before the others, which change places with the case and the question; a broken volume last."""
    order = ["real", "ours", *(("wdm", "hagan") if (screen["case"] + len(question)) % 2 else ("hagan", "wdm"))]
    if screen["broken"]:
        order = [method for method in order if method != screen["broken"]] + [screen["broken"]]
    return {method: rank for rank, method in enumerate(order, 1)}


def answers(key_file: Path, key_sha256: str, reader: str, told: Told = told_ranks) -> dict[str, Any]:
    """The export of a reader who has finished all cases."""
    key = json.loads(key_file.read_text(encoding="utf-8"))
    page = key["readers"][reader]
    trials = [
        {
            "id": screen["id"],
            "ranks": {q: [told(screen, q)[method] for method in screen["order"]] for q in key["questions"]},
            "comment": "",
            "ties": False,
            "milliseconds": 60000,
            "windows": {"40/400": 60000},
            "done": True,
        }
        for screen in page["trials"]
    ]
    content = {
        "format": "reader-answers",
        "version": 1,
        "page_sha256": page["page_sha256"],
        "key_sha256": key_sha256,
        "reader": reader,
        "seed": key["seed"],
        "started": "2026-01-01T00:00:00Z",
        "exported": "2026-01-01T01:00:00Z",
        "finished": True,
        "order": [screen["id"] for screen in page["trials"]],
        "crc32": "",
        "trials": trials,
    }
    return signed(content, key["questions"])


def signed(content: dict[str, Any], questions: list[str]) -> dict[str, Any]:
    """The same with the checksum of its answers, whose text is written out here a third time."""
    text = content["page_sha256"]
    for trial in content["trials"]:
        text += f"\n{trial['id']}|{str(trial['done']).lower()}"
        for question in questions:
            text += f"|{question}=" + ",".join("" if rank is None else str(rank) for rank in trial["ranks"][question])
        text += f"|{trial['comment']}"
    return {**content, "crc32": f"{zlib.crc32(text.encode()):08x}"}

"""Logs of a run: CSV for people and scripts, TensorBoard, and preview pictures."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np


class RunLog:
    """Writes ``<name>.csv`` files and TensorBoard events into a run's folder.

    Args:
        folder: the folder of the run.
        start_step: rows of this step and later, left by a run that was killed after its last checkpoint, are dropped.
    """

    def __init__(self, folder: Path, start_step: int):
        from tensorboardX import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for path in folder.glob("*.csv"):
            _drop_rows(path, start_step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step or None)

    def row(self, name: str, step: int, figures: Mapping[str, float]) -> None:
        """Add a row to ``<name>.csv``; the first row of a file names its columns."""
        path = self._folder / f"{name}.csv"
        fields = ["step", *figures]
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fields)
            if new:
                writer.writeheader()
            writer.writerow({"step": step} | {key: repr(float(value)) for key, value in figures.items()})
        for key, value in figures.items():
            self._board.add_scalar(f"{name}/{key}", value, step)

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """Write ``previews/<name>-<step>.png`` from a (rows, columns) image in [0, 1]."""
        from PIL import Image

        path = self._folder / "previews" / f"{name}-{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(path)
        self._board.add_image(name, pixels, step, dataformats="HW")

    def flush(self) -> None:
        """Put everything on disk."""
        self._board.flush()

    def close(self) -> None:
        """End the logs."""
        self._board.close()


def _drop_rows(path: Path, start_step: int) -> None:
    """Remove rows of ``start_step`` and later, and a last row that was cut off."""
    text = path.read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    kept = [row for row in rows if row["step"].isdigit() and int(row["step"]) < start_step and None not in row.values()]
    if not rows or not kept:
        path.unlink()
        return
    temporary = path.with_suffix(".partial")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    os.replace(temporary, path)

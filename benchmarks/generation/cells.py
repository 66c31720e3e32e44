"""What was measured, on the disk: cells of plain values and features of volumes, each verified by its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.whole_file import whole_file

_SHA256 = "sha256"


@dataclass(frozen=True)
class Cells:
    """A folder of cells, ``<key>.json``, and of features of one volume, ``<key>.features``: the hash, then float64."""

    folder: Path

    def get(self, key: str) -> dict[str, Any] | None:
        """The values of a cell; None if it is not there, or is not what was written."""
        try:
            content = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            found: dict[str, Any] = content["cell"]
            return found if content[_SHA256] == _hash(found) else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, key: str, cell: dict[str, Any]) -> dict[str, Any]:
        """Keep plain values; returns them as they will be read."""
        kept: dict[str, Any] = json.loads(json.dumps(cell, sort_keys=True))
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / f"{key}.json") as temporary:
            temporary.write_text(json.dumps({"cell": kept, _SHA256: _hash(kept)}, sort_keys=True), encoding="utf-8")
        return kept

    def get_features(self, key: str) -> np.ndarray | None:
        """The features of one volume, (d,) float64; None if they are not there, or not what was written."""
        try:
            data = (self.folder / f"{key}.features").read_bytes()
        except OSError:
            return None
        if len(data) < 32 or len(data) % 8 or hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        return np.frombuffer(data[32:], "<f8").copy()

    def put_features(self, key: str, features: np.ndarray) -> None:
        """Keep the features of one volume."""
        data = np.ascontiguousarray(features, "<f8").tobytes()
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / f"{key}.features") as temporary:
            temporary.write_bytes(hashlib.sha256(data).digest() + data)


def key_of(*facts: Any) -> str:
    """Hash of plain values, the name of a cell."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

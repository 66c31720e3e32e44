"""Which program, on which machine, made a result."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
import sys
from pathlib import Path

DISTRIBUTION = "meddiffusion-recon"

_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "astra-toolbox", "sigpy", "nibabel", "pydicom")


def versions() -> dict[str, str | None]:
    """Versions of the suite, Python and the packages that results depend on; None where not installed."""
    return {"recon": suite_version(), "python": platform.python_version()} | {p: _version(p) for p in _PACKAGES}


def suite_version() -> str | None:
    """Version of the suite; None where it runs from a folder and is not installed."""
    return _version(DISTRIBUTION)


def commit() -> str | None:
    """The git commit of a source checkout, ``+changes`` if files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    return head and head + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def peak_rss_mb() -> float:
    """Most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes on macOS, KiB elsewhere


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

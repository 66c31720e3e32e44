"""How to get MONAI, which the files of the networks import; a configuration can be read without it."""

from __future__ import annotations

INSTALL = "pip install 'meddiffusion-recon[monai]'"
"""The command that adds the library. It asks for torch and numpy alone."""

MISSING = f"MAISI's networks are MONAI's, which is not installed: {INSTALL}"
"""The message where the library is missing."""

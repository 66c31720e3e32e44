"""What readers are asked, and the windows in which they look."""

from __future__ import annotations

from dataclasses import dataclass

from recon.report.viewer import Window
from recon.scan.volume import Modality

MOST_IMAGES = 9
"""Images that one case may have: each needs a digit of the keyboard."""


@dataclass(frozen=True)
class Question:
    """One ranking of the images of a case.

    Attributes:
        key: the name in files.
        title: the name for people.
        text: the whole question.
    """

    key: str
    title: str
    text: str


QUESTIONS = (
    Question("realism", "Realism", "Which image looks most like a real clinical image?"),
    Question("quality", "Image quality", "Which image has the best quality: sharpness, noise, artefacts?"),
)
"""The two questions of the human study of 3D MedDiffusion (section on Fig. 9), rank 1 for the best."""

WINDOWS: dict[Modality, tuple[Window, ...]] = {
    "CT": (Window("Mediastinum", 40, 400), Window("Lung", -600, 1500), Window("Bone", 400, 1800)),
    "MR": (Window("Standard", 500, 1000), Window("Bright", 350, 700), Window("Dark", 700, 1400)),
}
"""The presets, the first of which a case begins with: CT in HU, MR in thousandths of each image's own range."""

"""A hook of the documentation: the cards of the shipped weights, which lie beside these, become pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PRETRAINED = Path("priors/pretrained")
CARDS = {"weights": PRETRAINED / "README.md", "starter": PRETRAINED / "starter" / "README.md"}


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """mkdocs calls this once, with all files of the site."""
    root = Path(config.config_file_path).parent
    for name, path in CARDS.items():
        text = (root / path).read_text(encoding="utf-8")
        text = text.replace("(starter/README.md)", "(starter.md)").replace("(../README.md)", "(weights.md)")
        files.append(File.generated(config, f"cards/{name}.md", content=text))
    for picture in sorted((root / PRETRAINED).glob("*/*.jpg")):
        files.append(File.generated(config, f"cards/{picture.name}", content=picture.read_bytes()))
    return files

"""The page of a reader: the template with style, scripts and, where there is room for them, all volumes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon import report

HERE = Path(__file__).parent
REPORT = Path(report.__file__).parent

SCRIPTS = (REPORT / "unpack.js", *(HERE / f"{name}.js" for name in ("pictures", "ranking", "record", "study")))
"""The scripts of the page, in the order in which they build on one another."""


def page(study: Mapping[str, Any], cases: Mapping[str, str]) -> str:
    """A reader's page as a whole HTML document.

    All text is escaped. The content security policy forbids every request, and every script but the page's own and,
    where ``cases`` is empty, the files of cases that lie beside the page.

    Args:
        study: what :func:`benchmarks.readers.study.page_study` returns, with ``key_sha256``.
        cases: the packed volumes of each screen; empty where they lie in files of their own.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    return environment.get_template("page.html.j2").render(
        study=study,
        cases=cases,
        style="\n".join(path.read_text(encoding="utf-8") for path in (REPORT / "style.css", HERE / "style.css")),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def case_file(trial: str, text: str) -> str:
    """The packed volumes of a screen as a script: a page that was opened from a disk may read no other kind of file."""
    return f"receiveCase({json.dumps(trial)}, {json.dumps(text)});\n"

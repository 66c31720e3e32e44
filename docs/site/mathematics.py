"""A hook of the documentation: LaTeX between dollar signs becomes MathML, which every browser draws by itself."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

_CODE = re.compile(r"(^(?P<fence>```+).*?^(?P=fence)$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
_INLINE = re.compile(r"(?<![\w\\$])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])")


def with_mathml(text: str) -> str:
    """Markdown with the equations of its prose as MathML; code keeps its dollar signs."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_converted(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _converted(text[end:])])


def _converted(prose: str) -> str:
    prose = _BLOCK.sub(lambda found: f"\n\n<p>{convert(found[1].strip(), display='block')}</p>\n\n", prose)
    # A line of Markdown that began with <math> would be a block of its own: the sentence around it would break there.
    return _INLINE.sub(lambda found: f"<span>{convert(found[1])}</span>", prose)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs calls this for every page."""
    return with_mathml(markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Roles of docstrings, such as :func:`name`, are shown as the name."""
    return re.sub(r":(?:func|class|mod|meth|attr|data|exc):(?=<code>)", "", html)

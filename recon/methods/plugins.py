"""Methods of other installed packages, which name them as entry points of the group ``recon.methods``.

    [project.entry-points."recon.methods"]
    ct_landweber = "recon_landweber:METHOD"

The name of an entry point is ``ct_`` or ``mr_`` and the name of the method, as that of a file in this folder would be.
What cannot be loaded is left out of every list, and named by :func:`broken`. No method of the suite can be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from recon.methods.method import Method

GROUP = "recon.methods"
_PREFIXES = ("ct_", "mr_")


@dataclass(frozen=True)
class Plugin:
    """A method of another package.

    Attributes:
        module: the module that defines the method.
        package: the installed package, with its version.
        method: the method; None where it cannot be loaded.
        reason: why it cannot be loaded; "" where it can.
    """

    module: str
    package: str
    method: Method | None
    reason: str = ""


@cache
def plugins() -> dict[str, Plugin]:
    """Every method of another package by the name of its entry point, such as ``ct_landweber``; loaded once."""
    return {point.name.replace("-", "_"): _loaded(point) for point in sorted(entry_points(group=GROUP))}


def broken() -> list[str]:
    """One line for each method of another package that cannot be used: whose it is, and why not."""
    return [f"{each.package}: {name}: {each.reason}" for name, each in plugins().items() if each.method is None]


def _loaded(point: EntryPoint) -> Plugin:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    try:
        found = point.load()
    except Exception as error:  # whatever another's code does must not end ours
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return Plugin(point.module, package, None, f"it cannot be loaded ({words})")
    reason = ""
    if not point.name.startswith(_PREFIXES):
        reason = "its name must begin with ct_ or mr_"
    elif find_spec(f"recon.methods.{point.name.replace('-', '_')}"):
        reason = "the suite has a method of that name"
    elif not isinstance(found, Method):
        reason = f"{point.value} is no recon.methods.method.Method"
    return Plugin(point.module, package, None if reason else found, reason)

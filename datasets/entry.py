"""What the suite must know of a data set before it can be used: one entry a set, complete or refused."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.case import DataSet, Modality

MODALITIES: tuple[Modality, ...] = ("CT", "MR")


@dataclass(frozen=True)
class Given:
    """What a caller said of a data set beside its name.

    Attributes:
        path: the folder that holds it; None for a set without one.
        settings: the text after the colon, as in ``phantom:count=8``; "" for none.
        modality: ``CT`` or ``MR``, where the caller named one.
        splits: the JSON file with the splits.
        subject: the regular expression that finds the subject in a case's relative path.
        segmentations: the folder that holds the cases' label maps.
    """

    path: Path | None = None
    settings: str = ""
    modality: Modality | None = None
    splits: Path | None = None
    subject: str | None = None
    segmentations: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder, of a set that needs one."""
        assert self.path is not None, "an entry with needs_folder is opened with a path"
        return self.path


@dataclass(frozen=True)
class Entry:
    """A data set as the registry knows it.

    Attributes:
        title: the name that tables and messages print, such as ``KiTS19``.
        open: makes the data set of what was given; it is called with arguments that fit the entry.
        modality: the modality of every case; None where the data or the caller say it.
        about: one sentence: what it holds, of how many people, how large it is.
        get: the way to obtain it.
        layout: the files and folders that it consists of.
        terms: the conditions of use, with the references to cite.
        splits: the rule that puts a case into train, val or test.
        check: the arguments of ``benchmarks data check`` after the name, parameters in backticks.
        more: further sections of the text, by heading.
        needs_folder: whether a folder must be named; the others take none.
        takes_settings: whether settings may follow the name after a colon.
        takes_splits: whether splits, subjects and the folder of label maps can be told.
        names_people: whether names of cases and subjects may be those of people; results, manifests and weights then
            hold salted hashes in their place. The names of published data sets are public.
    """

    title: str
    open: Callable[[Given], DataSet]
    modality: Modality | None
    about: str
    get: str
    layout: str
    terms: str
    splits: str
    check: str
    more: Mapping[str, str] = field(default_factory=dict)
    needs_folder: bool = True
    takes_settings: bool = False
    takes_splits: bool = False
    names_people: bool = False

    def __post_init__(self) -> None:
        """Refuse an entry that lacks something.

        Raises:
            ValueError: names the field.
        """
        for name in ("title", "about", "get", "layout", "terms", "splits"):
            if not str(getattr(self, name) or "").strip():
                raise ValueError(f"data set entry {self.title or '?'}: `{name}` is empty; every entry states it")
        if not callable(self.open):
            raise ValueError(f"data set entry {self.title}: `open` {self.open!r}: a function is wanted")
        if self.modality not in (None, *MODALITIES):
            raise ValueError(f"data set entry {self.title}: `modality` {self.modality!r}: CT, MR or None is wanted")

    def text(self, name: str) -> str:
        """How to get the set, its layout, its terms and its splits; parameters stand in backticks."""
        sections = {"Get it": self.get, "Layout": self.layout, **self.more, "Terms": self.terms, "Splits": self.splits}
        command = "benchmarks data check " + (self.check if self.check.startswith(name) else f"{name} {self.check}")
        sections["Check"] = command.rstrip()
        parts = [f"{heading}\n{textwrap.indent(text.strip(), '  ')}\n" for heading, text in sections.items()]
        return f"{self.about}\n\n" + "".join(parts)

    def opened(self, name: str, given: Given) -> DataSet:
        """The data set, once what was given fits the entry.

        Raises:
            ValueError: no folder where one is needed or the reverse, another modality, or an option that the set does
                not take.
        """
        self._check(name, given)
        return self.open(given)

    def _check(self, name: str, given: Given) -> None:
        if given.settings and not self.takes_settings:
            raise ValueError(f"data set {name}:{given.settings}: only phantom takes settings after its name")
        if given.path is not None and not self.needs_folder:
            raise ValueError(
                f"data set {name!r} needs no folder, and {given.path} was given; files are the data set 'folder'"
            )
        if not self.takes_splits and (given.splits is not None or given.subject is not None):
            raise ValueError(f"data set {name!r} has its own splits and subjects; only 'folder' can be told them")
        if not self.takes_splits and given.segmentations is not None:
            raise ValueError(
                f"`segmentations`: data set {name!r} has its own; only 'folder' can be told where they are"
            )
        if self.modality is not None and given.modality not in (None, self.modality):
            raise ValueError(f"data set {name!r} is {self.modality}, not {given.modality}")
        if given.path is None and self.needs_folder:
            raise ValueError(
                f"data set {name!r} needs the folder that holds it; 'benchmarks data how {name}' tells more"
            )

"""The figures of a table of generators, laid out once for text, LaTeX and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.generation.competitors import in_words
from benchmarks.generation.result import GenerationResult, GenerationRow
from benchmarks.quality.generation.measures import Estimate, GenerationMeasures, PairSimilarity, Spread

Better = Literal["lower", "higher", "half", ""]

MARKS: dict[Better, str] = {"lower": "↓", "higher": "↑", "half": "→ 0.5", "": ""}
"""The better direction of a figure as a heading has it."""

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """One figure of the measures that has an interval.

    Attributes:
        key: the name of the figure in the measures.
        title: the heading.
        better: the better direction.
        digits: the number of decimals.
    """

    key: str
    title: str
    better: Better
    digits: int

    @property
    def heading(self) -> str:
        """The title with its direction."""
        return f"{self.title} {MARKS[self.better]}".strip()

    def estimate(self, measures: GenerationMeasures) -> Estimate:
        """The figure of a method."""
        found: Estimate = getattr(measures, self.key)
        return found


DISTANCES = (
    Column("frechet", "Fréchet distance", "lower", 2),
    Column("mmd", "MMD", "lower", 4),
)
NEIGHBOURS = (
    Column("precision", "Precision", "higher", 2),
    Column("recall", "Recall", "higher", 2),
    Column("neighbour_accuracy", "1-NN accuracy", "half", 2),
)
COLUMNS = (*DISTANCES, *NEIGHBOURS)


@dataclass(frozen=True)
class Block:
    """A part of a table: a heading, the columns' headings, and rows of a label and texts."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def blocks(result: GenerationResult) -> list[Block]:
    """Everything that is printed of a result, absent methods in every block but that of the floor."""
    if not result.rows:
        return []
    first = result.rows[0].measures
    return [
        Block(
            f"{result.features}, {first.dims} numbers a volume; 95 % intervals over volumes",
            ("n", *(column.heading for column in COLUMNS)),
            _rows(result, lambda row: (str(row.measures.generated), *(_estimates(row.measures)))),
        ),
        _floor(result),
        Block(
            "Diversity: MS-SSIM of random pairs, which should be that of real pairs. Memory: median distance to the "
            "nearest training volume, that among training volumes, and the share that is nearer than any two of these",
            ("MS-SSIM", "of real pairs", "to training", "among training", "nearer"),
            _rows(result, lambda row: (*_similarities(row.measures), *_nearest(row.measures))),
        ),
        Block(
            "How the methods were trained (core-minutes are minutes times threads) and the volumes made",
            ("training", "threads", "sampler", "steps", "s a volume", "GB"),
            _rows(result, _made),
        ),
    ]


def _rows(
    result: GenerationResult, texts: Callable[[GenerationRow], tuple[str, ...]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Methods in the order of the table, absent ones with no texts."""
    rows = [(row.method, row.label, texts(row)) for row in result.rows]
    return in_order(result.methods, [*rows, *((label, label, ()) for label, _ in result.absent)])


def in_order(
    methods: Sequence[str], rows: Sequence[tuple[str, str, tuple[str, ...]]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Rows (method, label, texts) in the order of the table; methods that it does not list come last."""
    places = {method: place for place, method in enumerate(methods)}
    ordered = sorted(rows, key=lambda row: places.get(row[0], len(places)))
    return tuple((label, texts) for _, label, texts in ordered)


def _estimates(measures: GenerationMeasures) -> list[str]:
    return [estimate_text(column.estimate(measures), column.digits) for column in COLUMNS]


def _floor(result: GenerationResult) -> Block:
    """What real halves are apart, and as many volumes of each method and such a half."""
    floor = result.rows[0].measures.floor
    rows = [("two halves of the real volumes", _spreads(floor.real))]
    rows += [(row.label, _spreads(row.measures.floor.generated)) for row in result.rows]
    return Block(
        f"The floor: {floor.size} volumes on each side, mean ± deviation over {floor.draws} random halves",
        tuple(column.heading for column in COLUMNS),
        tuple(rows),
    )


def _spreads(found: object) -> tuple[str, ...]:
    assert isinstance(found, dict)
    return tuple(spread_text(found.get(column.key), column.digits) for column in COLUMNS)


def _similarities(measures: GenerationMeasures) -> tuple[str, str]:
    return similarity_text(measures.ms_ssim), similarity_text(measures.ms_ssim_real)


def _nearest(measures: GenerationMeasures) -> tuple[str, str, str]:
    found = measures.training
    if found is None:
        return NOTHING, NOTHING, NOTHING
    return f"{found.generated.median:.3g}", f"{found.training.median:.3g}", f"{100 * found.closer:.0f} %"


def _made(row: GenerationRow) -> tuple[str, ...]:
    made = row.sampled
    one_pass = made.sampler == "none"
    sampler = "one pass" if one_pass else made.sampler + (", from the average" if made.start == "average" else "")
    steps = NOTHING if one_pass else str(made.steps)
    trained = (duration_text(row.trained.seconds), str(row.trained.threads or NOTHING))
    return *trained, sampler, steps, seconds_text(made.seconds), f"{made.peak_mb / 1000:.2f}"


def facts(result: GenerationResult) -> list[str]:
    """What all figures are of, in sentences."""
    real = result.real
    grid = f"{result.anatomy}: {in_words(result.size)} voxels of {in_words(result.spacing)} mm (X × Y × Z)."
    whose = f"Real: {real.count} volumes, cubes of {real.scans} scans ({real.split})."
    return [grid, whose, *_similarity_settings(result.rows)]


def _similarity_settings(rows: Sequence[GenerationRow]) -> list[str]:
    found = next((row.measures.ms_ssim for row in rows if row.measures.ms_ssim), None)
    if found is None:
        return []
    return [f"MS-SSIM: {found.pairs} pairs, {found.scales} scales, kernel {found.kernel}; mean ± standard error."]


def estimate_text(estimate: Estimate, digits: int) -> str:
    """A value with its interval."""
    return f"{number(estimate.value, digits)} [{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def spread_text(spread: Spread | None, digits: int) -> str:
    """A mean with its deviation."""
    return NOTHING if spread is None else f"{number(spread.mean, digits)} ± {number(spread.deviation, digits)}"


def similarity_text(found: PairSimilarity | None) -> str:
    """A mean with its standard error."""
    return NOTHING if found is None else f"{number(found.mean, 3)} ± {number(found.standard_error, 3)}"


def seconds_text(seconds: float) -> str:
    """Seconds with the digits that they are worth."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def duration_text(seconds: float | None) -> str:
    """Minutes, or hours where there are two and more; a dash for none."""
    if seconds is None:
        return NOTHING
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def number(value: float, digits: int) -> str:
    """A number with a true minus sign; a dash for none."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else NOTHING

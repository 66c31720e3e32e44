"""A table of sampling steps as text, LaTeX, JSON, a page and contact sheets."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.generation.competitors import in_words
from benchmarks.generation.contact import pictures, scale_for, sheet
from benchmarks.generation.figures import DISTANCES, NOTHING, Block, estimate_text, seconds_text, spread_text
from benchmarks.generation.files import write_png, write_texts
from benchmarks.generation.latex import tabulars
from benchmarks.generation.page import Content, page, sheets_of
from benchmarks.generation.steps.result import TITLE, StepsResult, StepsRow
from benchmarks.generation.steps.run import FinishedSteps
from benchmarks.generation.text import block_lines, ending
from benchmarks.generation.volumes import slug

_DIGITS = {"CT": 1, "MR": 4}


def write_steps(finished: FinishedSteps, folder: Path) -> list[Path]:
    """Write every form; returns the files, each of which appears whole or not at all."""
    result, sets = finished.result, finished.sets
    scale = scale_for(result.size, result.spacing, sum(map(len, sets)))
    drawn = [list(pictures(each, scale)) for each in sets]
    parts, sentences = steps_blocks(result), steps_sentences(result)
    content = Content("steps", TITLE, sentences, parts, (), result.notes, None, sheets_of(sets, drawn))
    written = write_texts(
        {
            "results.json": lambda: json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n",
            "table.txt": lambda: steps_text(result) + "\n",
            "table.tex": lambda: tabulars(TITLE, sentences, parts, (), None),
            "index.html": lambda: page(content),
        },
        folder,
    )
    for each, found in zip(sets, drawn, strict=True):
        path = folder / f"contact-{slug(each.label)}.png"
        write_png(path, sheet(found))
        written.append(path)
    return written


def steps_text(result: StepsResult) -> str:
    """For the terminal."""
    lines = [TITLE, *steps_sentences(result)]
    for block in steps_blocks(result):
        lines += ["", *block_lines(block)]
    return "\n".join([*lines, "", *ending((), result.notes, None)]).rstrip()


def steps_sentences(result: StepsResult) -> list[str]:
    """What all figures are of."""
    count, start = result.rows[0].sampled.count, result.rows[0].sampled.start
    begun = "from the class average" if start == "average" else "from noise"
    found = [
        f"{result.anatomy}: {in_words(result.size)} voxels of {in_words(result.spacing)} mm (X × Y × Z), {count} "
        f"volumes a row; DDIM {begun}, steps equally far apart.",
        f"Distance: root mean square difference ({result.unit}) from the teacher's volume of {result.long} steps and "
        "the same seed, mean ± deviation; of another seed, it is that of volumes which have nothing in common.",
    ]
    if result.real:
        real = result.real
        found.append(f"Real: {real.count} volumes, cubes of {real.scans} scans ({real.split}).")
    return found


def steps_blocks(result: StepsResult) -> list[Block]:
    """The rows, and the floor of the distances from real volumes."""
    digits = _DIGITS[result.modality]
    other = f"teacher, {result.long} steps, another seed"
    measured = [column.heading for column in DISTANCES] if result.real else []
    empty = (NOTHING,) * (2 + len(measured))
    rows = [(row.label, (_distance(row, digits), *_measures(row), *_cost(row))) for row in result.rows]
    found = [
        Block(
            f"From real volumes by {result.features}, 95 % intervals over volumes" if result.real else "Steps",
            (f"distance, {result.unit}", *measured, "s a volume", "GB"),
            (*rows, (other, (spread_text(result.chance, digits), *empty))),
        )
    ]
    first = result.rows[0].measures
    if first:
        halves = tuple(spread_text(first.floor.real.get(column.key), column.digits) for column in DISTANCES)
        lines = [("two halves of the real volumes", halves)]
        for row in result.rows:
            assert row.measures is not None
            floor = row.measures.floor.generated
            lines.append((row.label, tuple(spread_text(floor.get(each.key), each.digits) for each in DISTANCES)))
        heading = (
            f"The floor: {first.floor.size} volumes on each side, mean ± deviation over {first.floor.draws} halves"
        )
        found.append(Block(heading, tuple(column.heading for column in DISTANCES), tuple(lines)))
    return found


def _distance(row: StepsRow, digits: int) -> str:
    return NOTHING if row.distance is None else spread_text(row.distance, digits)


def _measures(row: StepsRow) -> tuple[str, ...]:
    if row.measures is None:
        return ()
    return tuple(estimate_text(column.estimate(row.measures), column.digits) for column in DISTANCES)


def _cost(row: StepsRow) -> tuple[str, str]:
    return seconds_text(row.sampled.seconds), f"{row.sampled.peak_mb / 1000:.2f}"

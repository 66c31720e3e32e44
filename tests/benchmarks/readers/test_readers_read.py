"""What is read of exported answers, and which files are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import Run, run_benchmarks
from reader_study import answers, make_arguments, signed, told_ranks, write_volumes

READERS = ("R1", "R2")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key of a study of three cases and two readers."""
    folder = tmp_path_factory.mktemp("study")
    readers = [word for reader in READERS for word in ("--reader", reader)]
    run = run_benchmarks(
        *make_arguments(write_volumes(folder / "volumes"), "--cases", 3, *readers, "--out", folder / "study")
    )
    assert run.code == 0, run.err
    return folder / "study" / "key.json"


def exported(key: Path, reader: str, told: Callable[..., Mapping[str, int]] = told_ranks) -> dict[str, Any]:
    return answers(key, hashlib.sha256(key.read_bytes()).hexdigest(), reader, told)


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(key: Path, *files: Path, form: str = "json") -> Run:
    return run_benchmarks("readers", "read", *files, "--key", key, "--format", form)


def test_ranks_come_back_with_their_statistics(key: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{reader}.json", exported(key, reader)) for reader in READERS]
    run = read(key, *files)
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert (found["cases"], [q["blocks"] for q in found["questions"]]) == (3, [6, 6])
    realism = {each["method"]: each for each in found["questions"][0]["methods"]}
    assert (realism["real"]["mean"], realism["ours"]["mean"]) == (1, 2)
    assert realism["wdm"]["mean"] + realism["hagan"]["mean"] == 7
    assert realism["ours"]["p"].keys() == {"real"}
    assert realism["wdm"]["p"].keys() == {"real", "ours"}
    assert found["questions"][0]["icc_single"]["value"] == pytest.approx(1)
    for reader in found["readers"]:
        assert (reader["done"], reader["cases"], reader["control"], reader["minutes"]) == (5, 5, True, 1.0)
        assert reader["shift"] == {"realism": 0, "quality": 0}


def test_practice_control_and_repeats_do_not_count_in_the_means(key: Path, tmp_path: Path) -> None:
    def told(screen: dict[str, Any], question: str) -> dict[str, int]:
        ranks = told_ranks(screen, question)
        return ranks if screen["kind"] == "case" else {method: 5 - rank for method, rank in ranks.items()}

    run = read(key, write(tmp_path / "a.json", exported(key, "R1", told)))
    found = json.loads(run.out)
    assert found["questions"][0]["methods"][0]["mean"] == 1
    assert found["readers"][0]["control"] is False
    assert found["readers"][0]["spearman"]["quality"] == pytest.approx(-1)
    assert found["readers"][0]["shift"]["quality"] == pytest.approx(2)


def test_unfinished_answers_count_as_far_as_they_go(key: Path, tmp_path: Path) -> None:
    content = exported(key, "R1")
    kinds = {t["id"]: t["kind"] for t in json.loads(key.read_text())["readers"]["R1"]["trials"]}
    left = [trial for trial in content["trials"] if kinds[trial["id"]] == "case"][-1]
    left["done"], left["ranks"]["quality"][0] = False, None
    run = read(key, write(tmp_path / "a.json", signed(content, ["realism", "quality"])))
    assert run.code == 0, run.err
    assert json.loads(run.out)["questions"][1]["blocks"] == 2


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_reports_for_people(key: Path, tmp_path: Path, form: str) -> None:
    content = exported(key, "R1")
    content["trials"][1]["comment"] = "<b>odd</b> | noise"
    files = [
        write(tmp_path / "a.json", signed(content, ["realism", "quality"])),
        write(tmp_path / "b.json", exported(key, "R2")),
    ]
    run = read(key, *files, form=form)
    assert run.code == 0, run.err
    order = json.loads(key.read_text())["readers"]["R1"]["trials"][1]["order"]
    letters = ", ".join(f"{letter} {method}" for letter, method in zip("ABCD", order, strict=True))
    for words in (letters, "Realism: mean ranks", "Image quality: mean ranks", "Friedman: chi2", "passed"):
        assert words in run.out
    assert ("<b>odd" in run.out) == (form != "html")
    assert ("\\| noise" in run.out) == (form == "markdown")
    target = tmp_path / f"report.{form}"
    for code in (0, 2):
        again = run_benchmarks("readers", "read", *files, "--key", key, "--format", form, "--out", target)
        assert again.code == code
    assert "exists already" in again.err
    assert target.read_text().strip() == run.out.strip()


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def edit(content: dict[str, Any]) -> dict[str, Any]:
        change(content)
        return content

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: json.dumps(c)[:-40], "not the answers of a reader, or damaged"),
        (lambda c: "[]", "not the answers of a reader, or damaged"),
        (lambda c: {**c, "page_sha256": "0" * 64}, "belongs to another page"),
        (lambda c: {**c, "key_sha256": "0" * 64}, "belongs to another study"),
        (lambda c: {**c, "reader": "R9"}, "belongs to another page"),
        (edited(lambda c: c["trials"][2]["ranks"]["realism"].reverse()), "damaged, or changed after it was exported"),
        (
            lambda c: signed(edited(lambda d: d["trials"][2]["ranks"]["realism"].pop())(c), ["realism", "quality"]),
            "has not one rank from 1 to 4 for each image",
        ),
        (lambda c: signed({**c, "trials": []}, ["realism", "quality"]), "no case is finished"),
    ],
)
def test_files_that_do_not_belong_are_refused_in_one_line(
    key: Path, tmp_path: Path, damage: Callable[[Any], Any], message: str
) -> None:
    run = read(key, write(tmp_path / "a.json", damage(exported(key, "R1"))))
    assert run.code == 2
    assert message in run.err
    assert len(run.err.strip().splitlines()) == 1


def test_two_files_of_a_reader_and_a_key_that_is_none(key: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.json", exported(key, "R1")) for name in "ab"]
    assert "answers of reader R1, as" in read(key, *files).err
    run = read(files[0], files[1])
    assert (run.code, "not the key of a reader study" in run.err) == (2, True)
    assert "there is no such file" in read(key, tmp_path / "missing.json").err

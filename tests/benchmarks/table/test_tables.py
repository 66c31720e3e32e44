"""Tables of methods: what a cell depends on, resuming, fairness, figures, forms."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.render import documents, text
from benchmarks.render.grid import grids
from benchmarks.table import cells
from benchmarks.table.cells import cell_key, measure
from benchmarks.table.conventions import paper_metrics, paper_truth
from benchmarks.table.dependencies import code_sha256
from benchmarks.table.results import Absent, CellResult, Store, TableResult
from benchmarks.table.runner import Request, Source, check_fair, run_table
from benchmarks.table.spec import MethodSpec, OperatorSpec, TableSpec, load_table_spec, table_names
from benchmarks.table.statistics import compare, summary
from datasets import open_dataset
from datasets.cache import Cache
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.weights.card import Card, save_weights
from recon.acquisition.ct import choose_geometry
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.errors import InputError
from recon.learned.task import Task
from recon.run.load import load_case
from recon.scan.volume import Volume

ROOT = Path(__file__).resolve().parents[3]
PHANTOM = "phantom:count=12,size=8x32x32,spacing=8x10x10"
TINY = "phantom:count=12,size=8x16x16,spacing=8x20x20"
SPEC = TableSpec(
    title="a small table",
    modality="CT",
    paper_dataset="kits19",
    operators=(OperatorSpec(name="40 views", geometry="paper40", simulate="ideal"),),  # fast
    methods=tuple(
        MethodSpec(method=name, label=name.upper(), settings={"iterations": "20"} if name == "sirt" else {})
        for name in ("fbp", "sirt", "fbpconv", "fbpconv+dc")
    ),
)


def request(folder: Path, **changes: object) -> Request:
    asked = Request("small", SPEC, (Source(PHANTOM),), "test", folder, methods=("fbp", "sirt"))
    return replace(asked, **changes)  # type: ignore[arg-type]


def counted(lines: list[str]) -> str:
    """The line that says how many cells are there."""
    return next(line for line in lines if "cells are there" in line)


def own_table(folder: Path) -> str:
    """The path of a table of two methods on ideal scans."""
    path = folder / "mine.yaml"
    path.write_text(
        "title: mine\nmodality: CT\noperators: [{name: 40 views, geometry: paper40, simulate: ideal}]\n"
        "methods: [{method: fbp, label: FBP}, {method: tv, label: TV}]\n"
    )
    return str(path)


def weights(path: Path, seed: int = 0, subjects: tuple[str, ...] = ("somebody",)) -> Path:
    torch.manual_seed(seed)
    config = FBPConvNetConfig(width=4, levels=2)
    extra = {
        "task": Task(CTAcquisition(choose_geometry("paper40")), ("fbp",)).to_dict(),
        "subjects": list(subjects),
        "recipe": {"steps": 7},
    }
    save_weights(path, FBPConvNet(config).state_dict(), Card("fbpconv", config.to_dict(), "a test", extra=extra))
    return path


# -------------------------------------------------------------------------------------------------- running


@pytest.mark.parametrize("name", table_names())
def test_shipped_tables_are_valid_and_their_methods_exist(name):
    from recon.methods import get_method

    spec = load_table_spec(name)
    assert spec.operators
    assert len({method.column for method in spec.methods}) == len(spec.methods) > 0
    for method in spec.methods:
        found = get_method(spec.modality, method.method)
        assert set(method.settings) <= {field.replace("_", "-") for field in found.options.model_fields}, method.column


@pytest.mark.parametrize("name", table_names())
def test_installed_networks_run_on_the_scans_of_shipped_tables(name):
    """Where they were not made for them, the table lets them run all the same, and says so."""
    spec = load_table_spec(name)
    for method in spec.methods:
        try:
            path = cells.method_weights(spec.modality, method, spec.operators[0])
        except InputError:
            continue  # no such network is installed
        reasons = [cells.why_unsuitable(path, operator) for operator in spec.operators] if path else []
        assert not any(reasons) or method.settings.get("allow-other") == "yes", (method.column, reasons)


def test_a_network_that_learned_other_scans_runs_where_it_is_let_and_the_table_says_so(tmp_path):
    file = weights(tmp_path / "net.safetensors")
    noisy = SPEC.model_copy(
        update={"operators": (OperatorSpec(name="noisy", geometry="paper40", photons=1e5, simulate="ideal"),)}
    )
    asked = request(tmp_path, spec=noisy, methods=("fbpconv",), weights=(("fbpconv", str(file)),), most=1)
    reason = "it was trained for noise-free data, the scan has the noise of 1e+05 photons a cell"
    refused = run_table(asked)
    assert not refused.cells
    assert reason in refused.absent[0].reason
    let = MethodSpec(method="fbpconv", label="FBPCONV", settings={"allow-other": "yes"})
    result = run_table(replace(asked, spec=noisy.model_copy(update={"methods": (let,)})))
    assert len(result.cells) == 1
    assert f"not made for noisy (inverse crime) ({reason})" in text.table(result)


def test_a_method_has_several_columns_by_name_and_shares_cells_with_other_tables(tmp_path):
    fbp = {"method": "fbp", "label": "FBP"}
    with pytest.raises(ValueError, match="column fbp is there twice"):
        TableSpec.model_validate(SPEC.model_dump() | {"methods": [fbp, fbp]})
    columns = [
        fbp | {"name": "ram-lak"},
        fbp | {"name": "hann", "settings": {"window": "hann"}},
    ]
    spec = TableSpec.model_validate(SPEC.model_dump() | {"methods": columns})
    lines: list[str] = []
    result = run_table(request(tmp_path, spec=spec, methods=()), announce=lines.append)
    assert [name for name, _ in result.methods] == ["ram-lak", "hann"]
    assert {cell.method for cell in result.cells} == {"ram-lak", "hann"}
    assert len({cell.key for cell in result.cells}) == len(result.cells)
    lines.clear()
    again = run_table(request(tmp_path, methods=("fbp",)), announce=lines.append)
    assert ", 0 to compute" in counted(lines), "it is the same cell under another name"
    assert {cell.method for cell in again.cells} == {"fbp"}


def test_a_data_step_takes_its_methods_answer_where_it_is_known_and_comes_to_the_same(tmp_path, monkeypatch):
    file = weights(tmp_path / "net.safetensors")
    both = request(tmp_path / "both", methods=("fbpconv", "fbpconv+dc"), weights=(("fbpconv", str(file)),))
    first = {cell.method: cell for cell in run_table(replace(both, most=1)).cells}
    cells._KNOWN.clear()
    alone = replace(both, store=tmp_path / "alone", methods=("fbpconv+dc",), most=1)
    (second,) = run_table(alone).cells
    assert second.metrics == first["fbpconv+dc"].metrics
    assert second.key == first["fbpconv+dc"].key
    assert first["fbpconv+dc"].seconds > first["fbpconv"].seconds, "both count"

    import recon.learned.trained

    def never(*_: object) -> None:
        raise AssertionError("the network ran again")

    third = replace(both, store=tmp_path / "third", most=1)
    run_table(replace(third, methods=("fbpconv",)))
    monkeypatch.setattr(recon.learned.trained, "run_slices", never)
    (cell,) = run_table(replace(third, methods=("fbpconv+dc",))).cells
    assert cell.metrics == second.metrics


def test_a_table_is_computed_once_and_put_together_from_the_store(tmp_path, monkeypatch):
    lines: list[str] = []
    first = run_table(request(tmp_path), announce=lines.append)
    assert {cell.method for cell in first.cells} == {"fbp", "sirt"}
    assert "this is not KiTS19" in first.title
    assert counted(lines).startswith("0 of ")
    monkeypatch.setattr(cells, "reconstruct", None)  # nothing is computed again
    again = run_table(request(tmp_path), announce=lines.append)
    assert again == first
    assert Store(tmp_path).table("small") == first
    assert all((tmp_path / "cells" / f"{cell.key}.npz").is_file() for cell in first.cells)
    picture = Store(tmp_path).pictures(first.cells[0])
    assert picture["image"].shape == picture["truth"].shape == (32, 32)


def test_all_methods_of_a_measurement_see_the_same_data(tmp_path):
    result = run_table(request(tmp_path), announce=lambda line: None)
    by_case: dict[str, set[str]] = {}
    for cell in result.cells:
        by_case.setdefault(cell.case, set()).add(cell.measurement_sha256)
    assert all(len(hashes) == 1 for hashes in by_case.values())
    assert len({hashes.pop() for hashes in by_case.values()}) == len(by_case)
    wrong = [replace(result.cells[0], measurement_sha256="0"), *result.cells[1:]]
    with pytest.raises(InputError, match="did not see the same measurement"):
        check_fair(wrong)


def test_a_key_follows_from_data_operator_method_settings_weights_and_code(tmp_path, monkeypatch):
    cases = open_dataset(PHANTOM, None).cases()
    operator, method = SPEC.operators[0], SPEC.methods[1]
    learned = MethodSpec(method="fbpconv", label="", settings={"weights": str(weights(tmp_path / "w.safetensors"))})
    keys = {
        cell_key(cases[0], "CT", operator, method),
        cell_key(cases[1], "CT", operator, method),
        cell_key(cases[0], "CT", operator.model_copy(update={"photons": 1e5}), method),
        cell_key(cases[0], "CT", operator, SPEC.methods[0]),
        cell_key(cases[0], "CT", operator, method.model_copy(update={"settings": {"iterations": "3"}})),
        cell_key(cases[0], "CT", operator, learned),
    }
    assert len(keys) == 6
    assert cell_key(cases[0], "CT", operator, method) in keys
    weights(tmp_path / "w.safetensors", seed=1)
    assert cell_key(cases[0], "CT", operator, learned) not in keys
    monkeypatch.setattr(cells, "code_sha256", lambda modality, name: "another")
    assert cell_key(cases[0], "CT", operator, method) not in keys


def test_code_that_a_method_does_not_use_is_no_part_of_its_key():
    from benchmarks.table.dependencies import _reachable

    sirt = _reachable(("recon.methods.ct_sirt",))
    assert "recon.solvers.krylov" in sirt
    assert "priors.networks.adm_unet" not in sirt
    assert "priors.networks.adm_unet" in _reachable(("recon.methods.ct_dds",))
    assert code_sha256("CT", "sirt") != code_sha256("CT", "sirt+dc")


def test_changed_weights_compute_their_own_cells_only(tmp_path):
    path = weights(tmp_path / "w.safetensors")
    asked = request(tmp_path / "out", methods=("fbp", "fbpconv"), weights=(("fbpconv", str(path)),))
    first = run_table(asked, announce=lambda line: None)
    weights(path, seed=1)
    lines: list[str] = []
    second = run_table(asked, announce=lines.append)
    half = len(first.cells) // 2
    assert counted(lines) == f"{half} of {len(first.cells)} cells are there, {half} to compute"
    one, other = ({cell.method: cell.key for cell in result.cells} for result in (first, second))
    assert one["fbp"] == other["fbp"]
    assert one["fbpconv"] != other["fbpconv"]
    assert second.budgets[0].facts["steps"] == 7


def test_weights_that_know_a_case_of_the_table_are_refused(tmp_path):
    subject = next(case.subject for case in open_dataset(PHANTOM, None).cases("test"))
    path = weights(tmp_path / "w.safetensors", subjects=(subject,))
    asked = request(tmp_path / "out", methods=("fbp", "fbpconv"), weights=(("fbpconv", str(path)),))
    result = run_table(asked, announce=lambda line: None)
    assert {cell.method for cell in result.cells} == {"fbp"}
    assert f"trained or calibrated on {subject}, which is among the cases of this table" in result.absent[0].reason


def test_a_method_without_weights_for_one_row_has_the_others(tmp_path, monkeypatch):
    few = OperatorSpec(name="20 views", geometry="paper40", views=20, simulate="ideal")
    spec = SPEC.model_copy(update={"operators": (few, *SPEC.operators)})

    def some(modality, method, operator):
        if method.method == "sirt" and operator is few:
            raise InputError("no head for so few views")
        return []

    monkeypatch.setattr("benchmarks.table.runner.seen_weights", some)
    result = run_table(request(tmp_path, spec=spec), announce=lambda line: None)
    rows = {name: {cell.operator for cell in result.cells if cell.method == name} for name in ("fbp", "sirt")}
    assert rows == {"fbp": {few.name, SPEC.operators[0].name}, "sirt": {SPEC.operators[0].name}}
    assert {(each.operator, each.reason) for each in result.absent} == {(few.name, "no head for so few views")}


def test_a_method_without_weights_is_absent_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("recon.learned.trained.SHIPPED", "nowhere")
    result = run_table(request(tmp_path, methods=("fbp", "fbpconv")), announce=lambda line: None)
    assert {cell.method for cell in result.cells} == {"fbp"}
    assert "'recon train fbpconv'" in result.absent[0].reason
    assert "absent: FBPCONV:" in text.table(result)


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", own_table(tmp_path)]
    command += ["--dataset", PHANTOM, "--out", str(tmp_path), "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((tmp_path / "cells").glob("*.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    assert there
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert counted(done.stderr.splitlines()).startswith(f"{len(there)} of ")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    assert there.items() <= after.items()
    result = Store(tmp_path).table("mine")
    assert len(result.cells) == len(after)


def test_processes_give_the_same_figures(tmp_path):
    from benchmarks.table.execute import run_jobs

    asked = request(tmp_path / "many")
    many = run_table(asked, lambda jobs, on_done: run_jobs(jobs, 2, on_done), lambda line: None)
    one = run_table(request(tmp_path / "one"), announce=lambda line: None)
    assert [cell.key for cell in many.cells] == [cell.key for cell in one.cells]
    figures = [[cell.metrics["primary"]["psnr"] for cell in result.cells] for result in (many, one)]
    assert figures[0] == pytest.approx(figures[1])


@pytest.fixture
def cluster():
    """A Dask scheduler with two worker processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as local:
        yield local


def test_a_killed_dask_worker_loses_nothing(tmp_path, cluster):
    from benchmarks.table.dask_execute import dask_executor

    execute, killed = dask_executor(cluster.scheduler_address), []

    def watched(jobs, on_done):
        def kill_one(job, done):
            on_done(job, done)
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        execute(jobs, kill_one)

    result = run_table(request(tmp_path / "dask"), watched, lambda line: None)
    here = run_table(request(tmp_path / "here"), announce=lambda line: None)
    assert killed
    assert [cell.key for cell in result.cells] == [cell.key for cell in here.cells]
    assert [cell.metrics["primary"]["psnr"] for cell in result.cells] == pytest.approx(
        [cell.metrics["primary"]["psnr"] for cell in here.cells]
    )


def test_a_scheduler_that_is_not_there_is_said(monkeypatch):
    from benchmarks.table import dask_execute

    monkeypatch.setattr(dask_execute, "TIMEOUT", "1s")
    with pytest.raises(InputError, match="no scheduler answers there"):
        dask_execute.dask_executor("tcp://127.0.0.1:9")


def test_mr_files_are_measured_with_the_tables_mask(tmp_path):
    case = open_dataset("sample", None).cases()
    brain = next(each for each in case if each.modality == "MR")
    operator = OperatorSpec(name="gauss1d 8x", mask="gauss1d", accel=8)
    job = cells.Job(brain, "MR", operator, MethodSpec(method="tv", label=""), "key", tmp_path)
    one, again = measure(job)[0], measure(job)[0]
    assert torch.equal(one.y, again.y)
    assert one.protocol.true_acceleration == pytest.approx(8, rel=0.05)


# ------------------------------------------------------------------------------------------------ statistics


def test_means_and_deviations_are_those_of_a_sample():
    found = summary([1.0, 2.0, 3.0, 4.0])
    assert (found.count, found.mean) == (4, 2.5)
    assert found.sd == pytest.approx(1.2909944)
    assert found.text(2) == "2.50 (1.29)"
    assert summary([5.0]).text(1) == "5.0"
    assert summary([]).text(1) == "–"


def test_paired_differences_have_an_interval_and_a_test():
    generator = np.random.default_rng(1)
    other = generator.normal(30, 3, 20)
    pairs = list(zip(other + generator.normal(1.0, 0.5, 20), other, strict=True))
    found = compare(pairs)
    assert found.difference == pytest.approx(1.0, abs=0.3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high
    width = 2 * 1.96 * 0.5 / 20**0.5
    assert found.high - found.low == pytest.approx(width, rel=0.35)
    assert found.p is not None
    assert found.p < 0.001
    assert compare(pairs) == found, "the bootstrap's seed is fixed"


def test_wilcoxon_on_a_textbook_case():
    """All eight differences positive and different: p = 2 / 2⁸."""
    found = compare([(value + 0.1 * value, 0.0) for value in range(1, 9)])
    assert found.p == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "no case has both"),
        ([(2.0, 1.0)], "+1.00, too few cases for a test (1 case)"),
        ([(2.0, 1.0), (3.0, 2.0)], "+1.00 [+1.00, +1.00], too few cases for a test (2 cases)"),
    ],
)
def test_few_cases_are_said_to_be_few(pairs, words):
    assert compare(pairs).text(2) == words


def test_the_papers_ground_truth_is_the_full_view_reconstruction_and_is_made_once(tmp_path, all_views, monkeypatch):
    case = open_dataset(TINY, None).cases("test")[0]
    truth = load_case(case)
    first = paper_truth(truth, "a" * 64, Cache(tmp_path))
    body = truth.data > -500
    assert all_views == 720
    assert float((first.data - truth.data)[body].abs().mean()) < 60
    assert not torch.equal(first.data, truth.data)
    monkeypatch.setattr("benchmarks.table.conventions.fbp", None)  # it is not made again
    assert torch.equal(paper_truth(truth, "a" * 64, Cache(tmp_path)).data, first.data)


def test_the_papers_convention_is_scale_free_and_never_fits_a_prediction():
    generator = torch.Generator().manual_seed(0)
    truth = Volume(torch.rand(8, 16, 16, generator=generator) * 2000 - 1000, np.eye(4), "CT")
    off = truth.like(truth.data + 20)
    found, scaled = paper_metrics(truth, off), paper_metrics(truth.like(truth.data * 3), off.like(off.data * 3))
    assert found["psnr"] == pytest.approx(scaled["psnr"], abs=1e-3)
    span = float(truth.data.max() - truth.data.min())
    assert found["psnr"] == pytest.approx(20 * np.log10(span / 20), abs=1e-2)


# --------------------------------------------------------------------------------------------------- forms


def cell(case: str, method: str, psnr: float, operator: str = "gauss1d 8x", group: str = "") -> CellResult:
    figures = {"psnr": psnr, "ssim": psnr / 100}
    metrics = {"primary": dict(figures), "paper": {"psnr": psnr + 5, "ssim": None}}
    return CellResult(
        key=f"{case}{method}{operator}".replace(" ", ""),
        case=case,
        subject=case,
        group=group,
        operator=operator,
        method=method,
        metrics=metrics,  # type: ignore[arg-type]
        seconds=1.5,
        peak_rss_mb=900.0,
        weights=None,
        measurement_sha256="m",
        truth_sha256="t",
        size=(4, 8, 8),
        true_acceleration=7.9,
        seed=0,
        device="cpu",
        versions={},
    )


def made_up() -> TableResult:
    """Two masks, two groups, two methods and a half."""
    results = []
    for operator in ("gauss1d 8x", "poisson 8x"):
        for number, group in enumerate(["PD", "PD", "PDFS"]):
            for method, psnr in (("zero-filled", 25), ("unet", 30)):
                results.append(cell(f"case{number}", method, psnr + number, operator, group))
    results.append(cell("case0", "tv", 99, "gauss1d 8x", "PD"))
    return TableResult(
        table="table10",
        title="MR at 8: made up; this is not fastMRI knee",
        modality="MR",
        operators=("gauss1d 8x", "poisson 8x"),
        methods=(("zero-filled", "Zero-filled"), ("unet", "U-Net & co"), ("tv", "TV"), ("dds", "DDS")),
        cells=tuple(results),
        absent=(Absent("case0", "poisson 8x", "dds", "no weights"), Absent("case1", "poisson 8x", "dds", "no weights")),
    )


def test_a_grid_has_each_mask_each_group_and_all_together():
    primary = grids(made_up())[0]
    assert [label for _, label in primary.methods] == ["Zero-filled", "U-Net & co", "TV"]
    headings = [row.heading for row in primary.rows][::2]
    assert headings == [
        "gauss1d 8x (true 7.90), PSNR (dB)",
        "gauss1d 8x, PD, PSNR (dB)",
        "gauss1d 8x, PDFS, PSNR (dB)",
        "poisson 8x (true 7.90), PSNR (dB)",
        "poisson 8x, PD, PSNR (dB)",
        "poisson 8x, PDFS, PSNR (dB)",
        "pooled, PSNR (dB)",
    ]
    assert primary.rows[0].entries[1].text == "31.00 (1.00)"
    assert [entry.best for entry in primary.rows[0].entries] == [False, True, False], "TV lacks cases"


def test_every_form_says_what_is_whose_and_what_is_absent():
    result = made_up()
    terminal, markdown, latex = text.table(result), documents.markdown(result), documents.latex(result)
    for form in (terminal, markdown):
        assert "this is not fastMRI knee" in form
        assert "the paper's own figures" in form.lower()
        assert "34.5374 (3.2673)" in form
        assert form.lower().count("absent: dds: no weights") == 1
    assert "**31.00 (1.00)**" in markdown
    assert r"\textbf{31.00 (1.00)}" in latex
    assert r"U-Net \& co" in latex
    rows = list(csv.DictReader(io.StringIO(documents.comma_separated(result))))
    assert len(rows) == len(result.cells) * 4
    assert json.loads(documents.by_case(result))["cells"][0]["metrics"]["primary"]["psnr"] == 25
    assert "+5.00 [+5.00, +5.00], p = 0.03" in text.comparison(result, "unet", "zero-filled")
    with pytest.raises(ValueError, match="dds: no result in table10"):
        text.comparison(result, "unet", "dds")


def test_an_empty_table_is_shown_too():
    empty = replace(made_up(), cells=())
    assert "absent: DDS" in text.table(empty)
    assert documents.latex(empty).strip() == ""


def test_a_damaged_store_is_computed_anew_or_said(tmp_path):
    store = Store(tmp_path)
    store.put(cell("a", "tv", 3), {})
    key = cell("a", "tv", 3).key
    assert store.cell(key) == cell("a", "tv", 3)
    (tmp_path / "cells" / f"{key}.json").write_text("{")
    assert store.cell(key) is None
    (tmp_path / "table9.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        store.table("table9")
    with pytest.raises(ValueError, match="'benchmarks run table10' does"):
        store.table("table10")


# ------------------------------------------------------------------------------------------------- command


def invoke(*arguments: object) -> tuple[int, str, str]:
    run = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return run.exit_code, run.stdout, run.stderr


def test_the_commands_run_show_and_compare(tmp_path):
    code, out, err = invoke(
        "run", "table9", "--dataset", TINY, "--methods", "fbp,tv", "--out", tmp_path, "--jobs", 1, "--cases", 2
    )
    assert code == 0, err
    assert "this is not KiTS19" in out
    assert {"table9.md", "table9.tex", "table9.csv", "table9-cases.json", "table9.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert invoke("show", "table9", "--out", tmp_path)[1] == out
    assert invoke("show", "elsewhere/table9.yaml", "--out", tmp_path)[1] == out, "by the file it was run from"
    assert invoke("show", "table9", "--out", tmp_path, "--format", "markdown")[1].startswith("## CT from 40")
    code, out, _ = invoke("compare", "tv", "fbp", "--out", tmp_path)
    assert code == 0
    assert "tv less fbp" in out
    # PSNR, SSIM and PSNR of soft tissue, of which the paper's convention has the first two; with the crime and without
    assert out.count("(2 cases)") == 2 * (3 + 2)
    assert "  (inverse crime)" in out.splitlines()
    assert "table10" in invoke("list")[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["run", "table99"],
            "no table 'table99'; there are ablation-mri, ablation-svct, noise-svct, realistic-mri, realistic-svct, "
            "settings-mri, settings-svct, table10, table9",
        ),
        (["run", "table9", "--methods", "fbp,nosuch"], "--methods nosuch: not in table9"),
        (["run", "table9", "--weights", "nosuch=x"], "--weights nosuch=...: no method of table9"),
        (["run", "table9", "--dataset", "kits19=/nowhere"], "--dataset kits19"),
        (["run", "table9", "--dataset", "nosuch=/nowhere"], "--dataset nosuch"),
        (["show", "table9"], "table9 was not run here"),
        (["compare", "tv", "fbp"], "table9 was not run here"),
        (["show", "tables/mine.yaml"], "mine was not run here; 'benchmarks run tables/mine.yaml' does"),
        (["run", "table9", "--dataset", "fastmri-knee=/nowhere"], "did you mean 'fastmri'?"),
        (["run", "table9", "--scheduler", "tcp://x", "--jobs", 2], "--jobs: has no effect with --scheduler"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(tmp_path, arguments, line):
    code, _, err = invoke(*arguments, "--out", tmp_path)
    assert code == 2
    assert line in err
    assert err.strip().count("\n") == 0


def test_a_wrong_table_file_names_the_key(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("title: x\nmodality: CT\npaper_dataset: kits19\noperators: [{name: a}]\nmethods: []\n")
    code, _, err = invoke("run", file, "--out", tmp_path / "out")
    assert code == 2
    assert "operators.0: either geometry (CT) or mask (MR) is wanted" in err


TABLE = {
    "title": "x",
    "modality": "CT",
    "paper_dataset": "kits19",
    "operators": [{"name": "a", "geometry": "paper40"}],
    "methods": [{"method": "fbp", "label": "FBP"}],
}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"metods": []}, "unknown key metods; did you mean methods"),
        (
            {"operators": [{"name": "a", "geometri": "paper40"}]},
            "unknown key operators.0.geometri; did you mean geometry",
        ),
        ({"operators": [{"name": "a", "mask": "poisson"}]}, "operator a does not measure CT"),
        ({"operators": [{"name": "a", "geometry": "paper40", "accel": 8}]}, "accel, noise and coils belong to a mask"),
        (
            {"operators": [{"name": "a", "geometry": "paper40", "photons": "1e5"}]},
            "operators.0.photons: Input should be",
        ),
        ({"paper_dataset": "kits"}, "did you mean 'kits19'?"),
        ({"methods": [{"method": "fbq", "label": "FBP"}]}, "column fbq of the table: method fbq: no such CT method"),
        ({"methods": [{"method": "fbp", "label": "FBP", "settings": {"windw": "hann"}}]}, "did you mean window?"),
        ({"methods": [{"method": "fbp", "label": "FBP", "settings": {"window": 1}}]}, "should be a valid string"),
        ({"methods": []}, "at least one operator and one method"),
    ],
)
def test_tables_are_read_strictly(tmp_path, change, line):
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(TABLE | change))
    code, _, err = invoke("run", file, "--dataset", PHANTOM, "--out", tmp_path / "out")
    assert code == 2
    assert line in err
    assert err.strip().count("\n") == 0


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "noisy.yaml"
    file.write_text(
        "title: noisy CT\nmodality: CT\npaper_dataset: kits19\n"
        "operators: [{name: 1e5 photons, geometry: paper40, photons: 1.0e+5, simulate: ideal}]\n"
        "methods: [{method: fbp, label: FBP}, {method: sirt, label: SIRT, settings: {iterations: '5'}}]\n"
    )
    code, out, err = invoke("run", file, "--dataset", PHANTOM, "--cases", 1, "--out", tmp_path / "out", "--jobs", 1)
    assert code == 0, err
    assert "1e5 photons (inverse crime), PSNR (dB)" in out
    assert "paper's own figures" not in out

"""The training loop on a toy whose every step can be recomputed: resume, interruption, two processes, logs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from priors.training.batches import Sample, generators
from priors.training.checkpoints import Checkpoints, read_checkpoint
from priors.training.learner import Learner, Losses
from priors.training.loop import Stopped, Training, Validated
from priors.training.one_run import is_run, only_run
from priors.training.recipe import Recipe, parse_recipe


class Line(Learner):
    """Fits y = 3x with dropout and noise drawn per sample, so that any slip of the random state shows."""

    kind = "line"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.net = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 4))

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        x = batch["x"]
        noise = torch.stack([torch.randn(4, generator=g) for g in generators(batch["seed"], x.device)])
        error = self.net(x + 0.1 * noise) - 3 * x
        return {"total": error.square().mean()}

    def card(self) -> dict[str, Any]:
        return {"config": {}, "extra": {}}


class Points:
    """Seven points with a random scale."""

    def __len__(self) -> int:
        return 7

    def sample(self, item: int, seed: int) -> Sample:
        scale = torch.rand(1, generator=torch.Generator().manual_seed(seed))
        return {"x": torch.full((4,), item / 7.0) * (1 + scale)}


def recipe(**changes: Any) -> Recipe:
    content: dict[str, Any] = {
        "steps": 20,
        "batch": 4,
        "optimizer": {"lr": 0.01},
        "schedule": {"name": "polynomial", "warmup": 3},
        "ema": {"decay": 0.9, "start": 4},
        "clip": 1.0,
        "checkpoints": {"every": 5, "keep": 2},
    }
    return parse_recipe(content | changes, "test")


def training(folder: Path, settings: Recipe | None = None, **options: Any) -> Training:
    fabric = Fabric(accelerator="cpu", devices=1)
    return Training(Line(), settings or recipe(), Points(), folder, fabric, **options)


def losses(folder: Path) -> list[str]:
    with (folder / "train-line.csv").open(newline="") as file:
        return [row["total"] for row in csv.DictReader(file)]


def weights(run: Training) -> Tensor:
    return torch.cat([p.detach().flatten() for p in run.network.parameters()])


def test_the_loss_falls_and_the_log_has_every_step(tmp_path):
    training(tmp_path, recipe(steps=200)).run()
    figures = [float(value) for value in losses(tmp_path)]
    assert len(figures) == 200
    assert sum(figures[-20:]) < 0.1 * sum(figures[:20])


def test_a_resumed_run_has_the_losses_and_weights_of_an_unbroken_one(tmp_path):
    whole = training(tmp_path / "whole")
    whole.run()
    first = training(tmp_path / "broken")
    with pytest.raises(Stopped) as stop:
        first.run(lambda progress: os.kill(os.getpid(), signal.SIGTERM) if progress.step == 7 else None)
    assert stop.value.step == 7
    second = training(tmp_path / "broken")
    assert second.resume() == 7
    assert second.seconds == first.seconds > 0, "the sessions add up"
    second.run()
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    assert torch.equal(weights(second), weights(whole))


def test_pieces_of_a_batch_add_up_to_the_batch(tmp_path):
    plain = {"ema": None, "clip": None}
    together, apart = training(tmp_path / "a", recipe(**plain)), training(tmp_path / "b", recipe(**plain, accumulate=4))
    for run in (together, apart):  # dropout draws by shape, so it would differ between pieces
        run._learner.net[1].p = 0.0  # type: ignore[attr-defined]
        run.run()
    assert torch.allclose(weights(together), weights(apart), atol=1e-5)


SCRIPT = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
import test_training_loop as t
run = t.training(Path(sys.argv[1]), t.recipe(steps=60, checkpoints={{"every": 5, "keep": 2}}))
print("resumed", run.resume(), flush=True)
import time
run.run(lambda progress: (print(progress.step, flush=True), time.sleep(0.02)))
"""


def start(folder: Path) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    code = SCRIPT.format(path=[str(here), str(here.parents[2])])
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)


def test_a_run_killed_anywhere_goes_on_to_the_same_losses(tmp_path):
    """SIGKILL at several moments, some of them while a checkpoint may be written."""
    unbroken = training(tmp_path / "whole", recipe(steps=60))
    unbroken.run()
    for delay in (0.0, 0.13):
        process = start(tmp_path / "killed")
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() in ("11", "33"):
                time.sleep(delay)
                process.kill()
                break
        process.wait()
    last = start(tmp_path / "killed")
    out, _ = last.communicate()
    assert last.returncode == 0
    assert int(out.split("\n")[0].split()[1]) >= 10, "it went on, not from the start"
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


GLOO = """
import sys
sys.path[:0] = {path!r}
import json
from pathlib import Path
from lightning_fabric import Fabric
import test_training_loop as t
def work(fabric):
    settings = t.recipe(steps=3, ema=None, clip=None)
    run = t.Training(t.Line(), settings, t.Points(), Path(sys.argv[1]), fabric)
    run._learner.net[1].p = 0.0
    run.run()
    if fabric.is_global_zero:
        Path(sys.argv[1], "weights.json").write_text(json.dumps(t.weights(run).tolist()))
if __name__ == "__main__":
    fabric = Fabric(accelerator="cpu", devices=int(sys.argv[2]), strategy="ddp" if sys.argv[2] != "1" else "auto")
    fabric.launch()
    work(fabric)
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    here = Path(__file__).parent
    script = tmp_path / "gloo.py"
    script.write_text(GLOO.format(path=[str(here), str(here.parents[2])]))
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        done = subprocess.run([sys.executable, str(script), str(folder), str(count)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(torch.tensor(json.loads((folder / "weights.json").read_text())))
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_convolutions_can_be_laid_out_by_channels(tmp_path):
    from priors.training.loop import _lay_out_by_channels

    networks = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.Linear(2, 3))
    before = [parameter.clone() for parameter in networks.parameters()]
    _lay_out_by_channels(networks)
    assert networks[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert networks[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(a, b) for a, b in zip(before, networks.parameters(), strict=True))
    plain, other = (training(tmp_path / str(layout), recipe(channels_last=layout)) for layout in (False, True))
    for run in (plain, other):
        run.run()
    assert torch.equal(weights(plain), weights(other))


def test_only_the_last_checkpoints_and_the_best_stay(tmp_path):
    values = iter([3.0, 1.0, 2.0, 4.0])
    settings = recipe(validation={"every": 5, "metric": "psnr"})
    run = training(tmp_path, settings, validate=lambda network: Validated({"psnr": next(values)}))
    run.run()
    folder = tmp_path / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["best.ckpt", "step-00000015.ckpt", "step-00000020.ckpt"]
    assert read_checkpoint(folder / "best.ckpt")["step"] == 10


def test_a_metric_that_is_not_measured_is_named(tmp_path):
    run = training(tmp_path, recipe(validation={"every": 5}), validate=lambda network: Validated({"psnr": 1.0}))
    with pytest.raises(ValueError, match=r"validation.metric loss: not measured; there are psnr"):
        run.run()


def test_a_checkpoint_of_other_data_or_another_network_is_refused(tmp_path):
    training(tmp_path, identity={"data": "a"}).run()
    with pytest.raises(ValueError, match="its checkpoint has data a, this run b"):
        training(tmp_path, identity={"data": "b"}).resume()
    other = training(tmp_path, identity={"data": "a"})
    other._learner.net = nn.Linear(2, 2)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="of another network"):
        other.resume()


def test_a_loss_that_is_not_finite_ends_the_run_before_it_spoils_the_weights(tmp_path, monkeypatch):
    run = training(tmp_path)
    before = weights(run).clone()
    monkeypatch.setattr(Line, "forward", lambda self, *_: {"total": self.net[0].weight.sum() * float("nan")})
    with pytest.raises(ValueError, match="total is not finite"):
        run.run()
    assert torch.equal(weights(run), before)


@pytest.mark.parametrize("bad", [range(3, 5), range(3, 40)])
def test_steps_whose_gradients_are_not_finite_are_left_out_unless_there_are_many(tmp_path, monkeypatch, bad):
    steps = []
    proper = Line.forward

    def forward(self: Line, batch: Sample, phase: str, step: int) -> Losses:
        steps.append(step)
        loss = proper(self, batch, phase, step)["total"]
        # finite itself, with a gradient that is not: the square root's at zero
        return {"total": loss + (0 * self.net[0].weight).sum().sqrt() if step in bad else loss}

    monkeypatch.setattr(Line, "forward", forward)
    run = training(tmp_path, recipe(clip=1.0, steps=20))
    if len(bad) > 10:
        with pytest.raises(ValueError, match="gradients were not finite 11 times in a row"):
            run.run()
    else:
        run.run()
        assert run.step == 20
    assert torch.isfinite(weights(run)).all()


def test_a_full_disk_leaves_the_checkpoints_that_were_there(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    state = {"step": 1, "learner": {"w": torch.ones(3)}}
    checkpoints.save(state, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ValueError, match="No space left"):
        checkpoints.save(state, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001.ckpt"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, content):
    path = tmp_path / "step-00000001.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        Checkpoints(tmp_path, keep=1).load_latest()


def test_readers_outlive_an_interrupt(tmp_path):
    """Ctrl-C in a terminal goes to the readers too; the run still ends with a checkpoint and no error."""
    here = Path(__file__).parent
    code = SCRIPT.format(path=[str(here), str(here.parents[2])]).replace('"keep": 2})', '"keep": 2}, workers=2)')
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "11":
            os.killpg(process.pid, signal.SIGINT)
            break
    _, errors = process.communicate(timeout=120)
    assert "Stopped" in errors
    assert "exited unexpectedly" not in errors
    assert Checkpoints(tmp_path / "checkpoints", keep=2).load_latest() is not None


def test_a_run_ends_when_its_time_is_up_and_its_rate_has_fallen_by_then(tmp_path):
    timed = recipe(steps=10**6, minutes=0.02, schedule={"name": "cosine"})
    run = training(tmp_path, timed)
    run.run()
    assert 1 < run.step < 10**6
    with (tmp_path / "train-line.csv").open(newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.01
    assert rates[-1] < 0.001
    again = training(tmp_path, timed)
    assert again.resume() == run.step
    again.run()
    assert again.step == run.step


def test_minutes_of_the_processor_are_the_same_on_a_busy_machine(tmp_path, monkeypatch):
    spent = iter(range(10**6))
    monkeypatch.setattr("priors.training.loop.time.process_time", lambda: 0.5 * next(spent))
    run = training(tmp_path, recipe(steps=10**6, minutes=0.1, clock="processor"))
    run.run()
    assert run.seconds == 6
    assert run.step == 12, "half a second each, whatever has passed"


def test_the_time_of_an_earlier_session_counts(tmp_path):
    first = training(tmp_path, recipe(steps=10**6, minutes=10))
    with pytest.raises(Stopped):
        first.run(lambda progress: os.kill(os.getpid(), signal.SIGTERM) if progress.step == 7 else None)
    second = training(tmp_path, recipe(steps=10**6, minutes=1e-6))
    assert second.resume() == 7
    second.run()
    assert second.step == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "seed 0, and this run has 3"),
        ({"batch": 8}, "batch 4, and this run has 8"),
        ({"optimizer": {"lr": 0.1}}, "optimizer.lr 0.01, and this run has 0.1"),
        ({"ema": None}, "ema {'decay'"),
    ],
)
def test_a_run_goes_on_with_its_own_settings_alone(tmp_path, changes, words):
    training(tmp_path).run()
    with pytest.raises(ValueError, match=words):
        training(tmp_path, recipe(**changes)).resume()
    longer = training(tmp_path, recipe(steps=40, workers=1, accumulate=2))
    assert longer.resume() == 20, "what does not change the weights may change"


def test_a_flipped_byte_of_a_checkpoint_is_found(tmp_path):
    training(tmp_path).run()
    newest = Checkpoints(tmp_path / "checkpoints", keep=2).paths()[-1]
    content = bytearray(newest.read_bytes())
    weight = read_checkpoint(newest)["learner"]["net.0.weight"].numpy().tobytes()
    content[content.index(weight) + 5] ^= 1
    newest.write_bytes(content)
    with pytest.raises(ValueError, match="its content is not what was written"):
        training(tmp_path).resume()
    newest.unlink()
    assert training(tmp_path).resume() == 15


def test_what_killed_runs_left_half_written_is_swept(tmp_path):
    training(tmp_path).run()
    left = tmp_path / "checkpoints" / ".step-00000025.ckpt.1.partial"
    left.write_bytes(b"half")
    training(tmp_path).resume()
    assert not left.exists()


@pytest.mark.parametrize("metric", ["psnr", "loss"])
def test_what_is_no_number_is_never_the_best(tmp_path, metric):
    values = iter([float("nan"), 2.0, float("nan"), float("inf")])
    settings = recipe(validation={"every": 5, "metric": metric, "higher_is_better": metric == "psnr"})
    run = training(tmp_path, settings, validate=lambda network: Validated({metric: next(values)}))
    run.run()
    assert run.best == 2.0
    assert read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["step"] == 10


def test_who_watches_is_told_of_validations(tmp_path):
    settings = recipe(validation={"every": 5, "metric": "psnr"})
    told: dict[int, dict[str, float]] = {}
    run = training(tmp_path, settings, validate=lambda network: Validated({"psnr": 31.5}))
    run.run(lambda progress: told.update({progress.step: dict(progress.validated)}))
    assert [step for step, figures in told.items() if figures] == [5, 10, 15, 20]
    assert told[5] == {"psnr": 31.5}


HOLD = """
import sys, time
from pathlib import Path
from priors.training.one_run import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_run_at_a_time_and_a_dead_one_keeps_no_lock(tmp_path):
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="another process trains in it"):
        only_run(tmp_path / "run").__enter__()
    holder.kill()
    holder.wait()
    with only_run(tmp_path / "run"):
        assert is_run(tmp_path / "run")
    assert not is_run(tmp_path)

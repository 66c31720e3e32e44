"""What a training prints: the reconstruction's loss also where networks take turns, and every validation."""

from __future__ import annotations

from priors.training.loop import Progress
from recon.cli.train.bar import Terms, TrainingLines

GENERATOR = {"reconstruction": 0.25, "commitment": 0.5, "total": 0.75}
DISCRIMINATOR = {"discriminator": 1.5, "total": 1.5}


def steps(count: int) -> list[Progress]:
    """Networks that take turns, with a validation after every tenth step."""
    return [
        Progress(step, count, (DISCRIMINATOR, GENERATOR)[step % 2], 2.0, 1.0, {"psnr": 30.0} if step % 10 == 0 else {})
        for step in range(1, count + 1)
    ]


def test_every_line_has_the_reconstruction_loss_and_validations_have_lines():
    lines: list[str] = []
    watch = TrainingLines(lines.append)
    for progress in steps(40):
        watch(progress)
    told = [line for line in lines if line.startswith("step ")]
    assert len(told) == 20
    assert all("reconstruction 0.2500" in line and "discriminator 1.5000" in line for line in told)
    assert [line for line in lines if "validation" in line] == [
        f"validation after step {step}: psnr 30.0000" for step in (10, 20, 30, 40)
    ]


def test_the_bar_shows_the_reconstruction_beside_the_total():
    terms = Terms()
    terms.short(steps(2)[0])
    assert terms.short(steps(2)[1]) == "loss 1.5000, reconstruction 0.2500"
    assert Terms().short(Progress(1, 2, {"total": 0.5}, 1.0, 1.0)) == "loss 0.5000"

"""What the container's files say agrees with the code; building the image needs docker, which tests do without."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from recon.cli.serve import TOKEN_VARIABLE, serve
from recon.serve.stream import PORT

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def ports() -> set[int]:
    """The usual ports of the command."""
    return {each.default for each in serve.params if each.name in ("ismrmrd_port", "http_port")}


def test_the_ports_are_those_of_the_command() -> None:
    assert PORT in ports()
    assert set(map(int, re.findall(r"\d+", re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M)[0]))) == ports()
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"].values()
    assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in sorted(ports(), reverse=True)]
    assert TOKEN_VARIABLE in service["environment"]


def test_the_container_has_no_rights_that_it_does_not_need() -> None:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "volumes" not in service
    user = re.search(r"^USER (\d+)$", DOCKERFILE, re.M)
    assert user, "a number, which Kubernetes' runAsNonRoot can check"
    assert f"--uid {user[1]} " in DOCKERFILE


def test_every_copied_path_exists_and_is_not_ignored() -> None:
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.M)
    copied = [word for line in re.findall(r"^COPY (?!--)(.*) \./?\S*$", DOCKERFILE, re.M) for word in line.split()]
    assert {"recon", "priors", "packages", "constraints.txt"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists()
        assert path in let_in


def test_a_failing_part_of_a_pipe_ends_the_build_and_nothing_to_remove_does_not() -> None:
    assert 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]' in DOCKERFILE
    assert "xargs --no-run-if-empty" in DOCKERFILE, "there is no astra-toolbox on ARM"


def test_torch_is_the_cpu_build_from_its_own_index_alone() -> None:
    assert re.search(
        r"pip install .*--no-deps --index-url https://download.pytorch.org/whl/cpu torch$", DOCKERFILE, re.M
    )
    assert "--extra-index-url" not in DOCKERFILE

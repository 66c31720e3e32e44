"""Where the dependencies come from, and what is said of them."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pinned() -> dict[str, str]:
    rows = (line.split("==") for line in read("constraints.txt").splitlines() if "==" in line)
    return {name.lower().replace("_", "-"): version for name, version in rows}


def test_no_second_index_stands_beside_pypi():
    text = read(".ci/setup")
    assert "--extra-index-url" not in text
    assert re.search(r"pip_install --no-deps --index-url \"\$cpu_index\" torch", text), "for torch alone, and pinned"
    assert "--constraint constraints.txt" in text


def test_every_pin_has_a_hash_of_the_same_version():
    rows = re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:([0-9a-f]{64})$", read("constraints-hashes.txt"), re.M)
    hashed = {name: version.partition("+")[0] for name, version, _ in rows}
    assert {name: hashed.get(name) for name in pinned()} == pinned()
    assert len({sha256 for _, _, sha256 in rows}) == len(rows)


def test_every_pinned_package_is_in_the_overview_of_licences():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", read("docs/licences.md"), re.M)
    listed = {name.strip().lower().replace("_", "-"): licence.strip() for name, licence in rows}
    assert set(pinned()) <= set(listed)
    assert "GPL" in listed["astra-toolbox"]
    assert "test_without_astra.py" in read("docs/licences.md")


def test_the_documents_of_security_are_there():
    text = read("SECURITY.md")
    for file in ("docs/cluster.md", "docs/licences.md"):
        assert file in text
        assert (ROOT / file).is_file()
    cluster = read("docs/cluster.md")
    assert "runs the code of everyone" in cluster
    assert "--host 127.0.0.1" in cluster
    assert "--tls-ca-file" in cluster
    assert "docs/cluster.md" in read("README.md")


def test_an_audit_without_a_network_says_so_and_fails_nothing(tmp_path: Path):
    (tmp_path / ".ci").mkdir()
    script = read(".ci/audit").replace("https://api.osv.dev/", "http://127.0.0.1:9/")
    (tmp_path / ".ci" / "audit").write_text(script)
    done = subprocess.run(["sh", str(tmp_path / ".ci" / "audit")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "cannot be reached; nothing was compared" in done.stderr


@pytest.mark.parametrize("target", ["audit", "sbom", "licences"])
def test_make_knows_the_target(target):
    assert re.search(rf"^{target}: .*## ", read("Makefile"), re.M)
    assert target in next(line for line in read("Makefile").splitlines() if line.startswith(".PHONY"))


@pytest.fixture(scope="module")
def bill(tmp_path_factory):
    """The bill of materials of this environment."""
    path = tmp_path_factory.mktemp("bill") / "sbom.json"
    subprocess.run([sys.executable, str(ROOT / ".ci" / "sbom"), str(path)], check=True, timeout=120)
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_bill_of_materials_is_of_what_a_release_brings_along(bill):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert bill["metadata"]["component"]["version"] == project["version"]
    listed = {each["name"]: each for each in bill["components"]}
    stated = {
        re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in project["dependencies"] if ";" not in line
    }
    assert stated | {"fastmri", "niivue", "aiohttp"} <= set(listed)
    assert not {"pytest", "mypy", "ruff", "mkdocs", "hypothesis", "torchvision", "deepinv"} & set(listed)


def test_every_part_of_the_bill_has_version_hash_and_licence(bill):
    versions = pinned()
    for each in bill["components"]:
        assert each["version"] == versions.get(each["name"], each["version"])
        assert re.fullmatch("[0-9a-f]{64}", each["hashes"][0]["content"])
        (licence,) = each["licenses"]
        words = licence.get("expression") or licence["license"].get("id") or licence["license"]["name"]
        assert words not in ("", "not installed here"), each["name"]
    (script,) = (each for each in bill["components"] if each["name"] == "niivue")
    assert (
        hashlib.sha256((ROOT / "recon/view/niivue.umd.js").read_bytes()).hexdigest() == script["hashes"][0]["content"]
    )


def test_the_bill_says_which_part_needs_which(bill):
    references = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {each["ref"] for each in bill["dependencies"]} | {script_of(bill)} == references
    assert {on for each in bill["dependencies"] for on in each["dependsOn"]} <= references
    needs = {each["ref"].split("/")[-1].split("@")[0]: each["dependsOn"] for each in bill["dependencies"]}
    assert any("/numpy@" in on for on in needs["scipy"])
    assert needs["fastmri"] == []


def script_of(bill):
    return next(each["bom-ref"] for each in bill["components"] if each["name"] == "niivue")


def test_the_version_stands_in_one_place_and_the_changes_tell_of_it():
    version = re.search(r'^version = "(.+)"$', read("pyproject.toml"), re.M)[1]
    assert f"## {version}" in read("CHANGELOG.md")
    assert "## Unreleased" in read("CHANGELOG.md")
    for path in (ROOT / "recon").rglob("*.py"):
        assert f'"{version}"' not in path.read_text(encoding="utf-8"), path


def test_the_script_of_the_wheel_is_one_that_a_shell_reads():
    assert subprocess.run(["sh", "-n", str(ROOT / ".ci/wheel")], check=False).returncode == 0
    assert "$wheel" in read(".ci/wheel")


def test_the_examples_of_clusters_limit_memory_and_encrypt():
    text = read("docs/cluster.md")
    for word in ("#SBATCH --mem-per-cpu", "--memory-limit", "limits: {cpu", "tls://recon-scheduler"):
        assert word in text
    assert "tcp://recon" not in text

"""Search in the documentation's pages that were opened from the disk, where browsers start no worker."""

from __future__ import annotations

from pathlib import Path

import yaml
from browser import WITH_BROWSER, browsing
from cli_helpers import ROOT

PAGE = """<!DOCTYPE html><html><head><script src="iframe-worker.js"></script></head><body><script>
const worker = new Worker("worker.js");
worker.addEventListener("message", ({ data }) => { document.documentElement.dataset.answer = data; });
worker.postMessage("half");
</script></body></html>"""
WORKER = "addEventListener('message', async ({ data }) => { postMessage(await Promise.resolve(data + ' way')); });"


def test_the_script_is_ours_and_none_of_the_network() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["extra"]["polyfills"] == ["iframe-worker.js"]
    assert "offline" in settings["plugins"]
    assert "http" not in (ROOT / "docs/iframe-worker.js").read_text(encoding="utf-8")


@WITH_BROWSER
def test_a_page_from_the_disk_has_a_worker_in_a_frame(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "iframe-worker.js").write_bytes((ROOT / "docs/iframe-worker.js").read_bytes())
    with browsing(tmp_path / "profile") as browser:
        browser.go((tmp_path / "index.html").as_uri())
        browser.wait("return document.documentElement.dataset.answer === 'half way'", "the worker did not answer")
        assert [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"] == []

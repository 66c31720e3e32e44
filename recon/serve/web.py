"""A small HTTP API: upload, queue, progress, result, delete. Every request but ``/health`` needs the token.

Uploads are bodies of requests; nothing of them is executed, and nothing that a client sends is the name of a file here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import FileResponse

from recon.errors import InputError
from recon.serve.jobs import Job, Jobs, QueueFullError
from recon.serve.limits import Limits
from recon.serve.order import AUTO, Order, file_name

PORT = 8137

RESULTS = {
    "recon.nii.gz": "application/gzip",
    "std.nii.gz": "application/gzip",
    "result.json": "application/json",
    "report.html": "text/html; charset=utf-8",
}
"""Files of a result that are given out, with their types."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox allow-scripts",
    "X-Content-Type-Options": "nosniff",
}


def make_app(jobs: Jobs, token: str, hosts: frozenset[str] = frozenset()) -> FastAPI:
    """The application.

    Args:
        jobs: the queue that reconstructs.
        token: the secret that every request states as ``Authorization: Bearer TOKEN``.
        hosts: the names by which the server may be called, which keeps pages of other sites from reaching it through a
            name of their own; empty: any.
    """

    def known(request: Request, authorization: Annotated[str, Header()] = "") -> None:
        _check_host(request, hosts)
        if not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "the header 'Authorization: Bearer TOKEN' is missing or wrong")

    app = FastAPI(title="recon serve", docs_url=None, redoc_url=None, openapi_url=None)
    guarded = [Depends(known)]

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "use": "research only, not for diagnosis"}

    @app.get("/methods", dependencies=guarded)
    def methods() -> dict[str, list[str]]:
        from recon.methods import method_names

        return {"CT": method_names("CT"), "MR": method_names("MR")}

    @app.post("/jobs", status_code=202, dependencies=guarded)
    async def submit(
        request: Request,
        modality: Annotated[str, Query(pattern="^(CT|MR)$")],
        name: Annotated[str, Query(max_length=255)],
        method: Annotated[str, Query(max_length=100)] = AUTO,
        settings: Annotated[str, Query(max_length=10_000)] = "{}",
        seed: int = 0,
        axes: Annotated[str, Query(max_length=10)] = "",
        mask: Annotated[str, Query(max_length=40)] = "",
        accel: float | None = None,
        geometry: Annotated[str, Query(max_length=40)] = "",
        views: int | None = None,
    ) -> dict[str, Any]:
        with ExitStack() as upload:
            try:
                order = Order(
                    modality,  # type: ignore[arg-type]
                    file_name(name),
                    *(method, _settings(settings), seed, axes, mask, accel, geometry, views),
                )
                await asyncio.to_thread(order.check)
                job = upload.enter_context(jobs.receive())
                await _receive(request, job.folder / order.file, jobs.limits)
                jobs.submit(job, order)
            except InputError as error:
                raise HTTPException(422, str(error)) from error
            except QueueFullError as error:
                raise HTTPException(429, str(error)) from error
        return _shown(jobs, job)

    @app.get("/jobs", dependencies=guarded)
    def listed() -> list[dict[str, Any]]:
        return [_shown(jobs, job) for job in jobs.list()]

    @app.get("/jobs/{name}", dependencies=guarded)
    def shown(name: str) -> dict[str, Any]:
        return _shown(jobs, _found(jobs, name))

    @app.get("/jobs/{name}/{file}", dependencies=guarded)
    def result(name: str, file: str) -> FileResponse:
        job = _found(jobs, name)
        if file not in RESULTS:
            raise HTTPException(404, f"no such file; one of {', '.join(RESULTS)}")
        if job.state != "done":
            raise HTTPException(409, f"the job is {job.state}")
        if not (job.result / file).is_file():
            raise HTTPException(404, "the method makes no such file")
        return FileResponse(job.result / file, media_type=RESULTS[file], headers=_HEADERS)

    @app.delete("/jobs/{name}", status_code=204, dependencies=guarded)
    def delete(name: str) -> None:
        if not jobs.delete(_found(jobs, name).id):
            raise HTTPException(404, "no such job")

    return app


def _check_host(request: Request, hosts: frozenset[str]) -> None:
    called = request.url.hostname or ""
    if hosts and called not in hosts:
        raise HTTPException(421, "the server does not have this name")


def _settings(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not all(isinstance(v, str | int | float | bool) for v in values.values()):
        raise InputError('`settings`: must be JSON such as {"iterations": 50}')
    return values


async def _receive(request: Request, path: Path, limits: Limits) -> None:
    """Write a request's body to a new file of the owner's alone, within the bounds."""
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.upload_bytes:
        raise HTTPException(413, f"an upload may have {limits.upload_bytes} bytes")
    size = 0
    try:
        async with asyncio.timeout(limits.receiving):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limits.upload_bytes:
                        raise HTTPException(413, f"an upload may have {limits.upload_bytes} bytes")
                    file.write(chunk)
    except TimeoutError as error:
        raise HTTPException(408, f"an upload may take {limits.receiving:g} s") from error
    if size == 0:
        raise HTTPException(422, "the body of the request is the file; it is empty")


def _found(jobs: Jobs, name: str) -> Job:
    job = jobs.find(name)
    if job is None:
        raise HTTPException(404, "no such job")
    return job


def _shown(jobs: Jobs, job: Job) -> dict[str, Any]:
    """What a client is told of a job."""
    values: dict[str, Any] = {"id": job.id, "state": job.state, "before": jobs.place(job), "progress": job.progress}
    if job.order is not None:
        values |= {"modality": job.order.modality, "method": job.order.method}
    if job.error:
        values["error"] = job.error
    if job.state == "done":
        values["files"] = [file for file in RESULTS if (job.result / file).is_file()]
    return values

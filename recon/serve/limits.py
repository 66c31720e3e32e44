"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Attributes:
        upload_bytes: bytes of one upload, or of the readouts of one connection.
        waiting: jobs that wait for their turn; one more is refused.
        seconds: seconds that a job may compute.
        receiving: seconds that an upload, or the readouts of one connection, may take to arrive.
        silence: seconds that a client may be silent while it sends.
        kept: finished jobs whose results are kept; the oldest are deleted.
        keeping: seconds that a result is kept.
    """

    upload_bytes: int = 2 * 2**30
    waiting: int = 4
    seconds: float = 3600.0
    receiving: float = 1800.0
    silence: float = 60.0
    kept: int = 20
    keeping: float = 3600.0

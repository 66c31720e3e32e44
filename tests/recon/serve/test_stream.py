"""The ISMRMRD server: readouts go in, images with their geometry come back, and what is wrong is told in one line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from serve_client import COLUMNS, HEADER, PHASE, READ, ROWS, SLICES, Client, phantom, readouts, scan

from recon.serve.jobs import Jobs
from recon.serve.limits import Limits
from recon.serve.stream import StreamServer


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    queue = Jobs(tmp_path, Limits(upload_bytes=10**6, silence=20.0))
    yield queue
    queue.close()


@pytest.fixture
def server(jobs: Jobs) -> Iterator[StreamServer]:
    served = StreamServer(("127.0.0.1", 0), jobs)
    yield served
    served.close()


def test_a_scan_comes_back_as_images_in_their_places(server: StreamServer, tmp_path: Path) -> None:
    answer = scan(server.port)
    assert (answer.texts, answer.closed) == ([], True)
    assert len(answer.images) == SLICES
    found = {round(image.position[2]): image for image in answer.images}
    for z, plane in enumerate(phantom().numpy()):
        image = found[round(7.0 - 4.0 * z)]
        np.testing.assert_allclose(image.position, (5.0, 6.0, 7.0 - 4.0 * z), atol=1e-3)
        for ours, theirs in ((image.read_dir, READ), (image.phase_dir, PHASE)):
            np.testing.assert_allclose(np.abs(np.dot(ours, theirs)), 1.0, atol=1e-5)
        assert tuple(image.getHead().matrix_size) == (ROWS, COLUMNS, 1)
        np.testing.assert_allclose(image.field_of_view, (240.0, 160.0, 4.0), rtol=1e-5)
        np.testing.assert_allclose(_in_place(image), plane / np.sqrt(1 / 2), atol=1e-3 * plane.max())
        meta = {m[0].text: m[1].text for m in ElementTree.fromstring(image.attribute_string)}
        assert "not for diagnosis" in meta["ImageComments"]
    assert list(tmp_path.iterdir()) == [], "nothing is kept"


def _in_place(image: object) -> np.ndarray:
    """(rows, columns) of an image, with the axes along the readout's and the phase encoding's directions."""
    values = np.asarray(image.data)[0, 0].T  # type: ignore[attr-defined]
    for axis, (ours, theirs) in enumerate(((image.read_dir, READ), (image.phase_dir, PHASE))):  # type: ignore[attr-defined]
        if np.dot(ours, theirs) < 0:
            values = np.flip(values, axis)
            values = np.roll(values, 1, axis)
    return values


@pytest.mark.parametrize(
    ("config", "words"),
    [("simplefft", "simplefft"), ("../../etc/passwd", "etc/passwd"), ("tvv.xml", "tv")],
)
def test_a_configuration_is_a_method_and_never_a_file(server: StreamServer, config: str, words: str) -> None:
    client = Client(server.port)
    client.config_file(config)
    client.text(3, HEADER)
    answer = client.answer()
    assert answer.closed
    assert words in answer.texts[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<xml/>", "must be JSON"),
        ('{"method": "tv", "settings": {"iteration": 3}}', "iteration"),
        ('{"method": "unet", "settings": {"weights": "/etc/passwd"}}', "names a file of the server"),
        ('{"file": "/etc/passwd"}', "must be JSON"),
        ("[" * 100_000, "must be JSON"),
    ],
)
def test_a_configuration_in_json_sets_options_alone(server: StreamServer, text: str, words: str) -> None:
    client = Client(server.port)
    client.text(2, text)
    client.text(3, HEADER)
    answer = client.answer()
    assert (answer.images, answer.closed) == ([], True)
    assert words in answer.texts[0]
    assert "\n" not in answer.texts[0]


def test_readouts_before_the_header_are_refused(server: StreamServer) -> None:
    client = Client(server.port)
    client.acquisition(readouts()[0])
    assert "message 1008 came before the header" in client.answer().texts[0]


def test_a_measurement_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    queue = Jobs(tmp_path, Limits(upload_bytes=20_000))
    served = StreamServer(("127.0.0.1", 0), queue)
    client = Client(served.port)
    client.text(3, HEADER)
    for line in readouts()[:46]:  # 34 thousand bytes; the rest would come too late
        with suppress(OSError):
            client.acquisition(line)
    with suppress(OSError):  # the system may drop the answer, since more than it read was sent
        assert "20000 bytes" in client.answer().texts[0]
    served.close()
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_goes_silent_or_away_blocks_nobody(tmp_path: Path) -> None:
    queue = Jobs(tmp_path, Limits(silence=0.3))
    served = StreamServer(("127.0.0.1", 0), queue)
    silent = Client(served.port)
    silent.config_file("tv.xml")
    assert "nothing came for 0.3 s" in silent.answer().texts[0]
    gone = Client(served.port)
    gone.text(3, HEADER)
    gone.socket.shutdown(socket.SHUT_WR)
    assert "ended in the middle of a message" in gone.answer().texts[0]
    served.close()
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_the_reason_of_a_failed_job_is_told(server: StreamServer) -> None:
    client = Client(server.port)
    client.config_file("zero-filled")
    client.text(3, HEADER)
    client.acquisition(readouts()[0])
    for line in readouts()[:2]:
        line.idx.repetition = 5
        client.acquisition(line)
    client.close()
    answer = client.answer()
    assert "different values of repetition" in answer.texts[0]
    assert "/" not in answer.texts[0], "the server's paths are nobody's business"


def test_closing_the_server_ends_a_connection(jobs: Jobs) -> None:
    served = StreamServer(("127.0.0.1", 0), jobs)
    client = Client(served.port)
    client.text(3, HEADER)
    threading.Timer(0.2, served.close).start()
    assert client.answer().images == []
    served.close()
    with pytest.raises(OSError, match="refused"):
        Client(served.port)

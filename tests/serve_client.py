"""Clients of the servers for tests: readouts packed and images unpacked by the ismrmrd package, not by our code."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

import ismrmrd
import numpy as np
import torch

from physics.mr.cartesian import fft2c

ROWS, COLUMNS, SLICES, COILS = 24, 16, 3, 2
READ, PHASE, SLICE = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)

HEADER = (
    '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    + "".join(
        f"<{space}><matrixSize><x>{ROWS}</x><y>{COLUMNS}</y><z>1</z></matrixSize>"
        f"<fieldOfView_mm><x>240</x><y>160</y><z>4</z></fieldOfView_mm></{space}>"
        for space in ("encodedSpace", "reconSpace")
    )
    + "<trajectory>cartesian</trajectory><encodingLimits><kspace_encoding_step_1><minimum>0</minimum>"
    f"<maximum>{COLUMNS - 1}</maximum><center>{COLUMNS // 2}</center></kspace_encoding_step_1></encodingLimits>"
    "</encoding></ismrmrdHeader>"
)


def phantom() -> torch.Tensor:
    """(slices, rows, columns) magnitudes, no two corners alike."""
    image = torch.zeros(SLICES, ROWS, COLUMNS)
    image[:, 4:20, 3:13] = 1.0
    image[:, 6:10, 4:7] = 3.0
    return image * torch.arange(1, SLICES + 1)[:, None, None]


def readouts() -> list[ismrmrd.Acquisition]:
    """The k-space of the phantom in coils of one sensitivity, line by line in a random order."""
    data = fft2c(phantom()[:, None].expand(-1, COILS, -1, -1) + 0j).numpy().astype(np.complex64)
    lines = []
    for z in range(SLICES):
        for step in range(COLUMNS):
            line = ismrmrd.Acquisition()
            line.resize(ROWS, COILS)
            line.data[:] = data[z, :, :, step]
            line.center_sample = ROWS // 2
            line.read_dir, line.phase_dir, line.slice_dir = READ, PHASE, SLICE
            line.position = (5.0, 6.0, 7.0 - 4.0 * z)
            line.idx.kspace_encode_step_1, line.idx.slice = step, z
            lines.append(line)
    return [lines[k] for k in np.random.default_rng(0).permutation(len(lines))]


@dataclass
class Answer:
    """What a server sent: images, texts, and whether it closed as it should."""

    images: list[ismrmrd.Image]
    texts: list[str]
    closed: bool


class Client:
    """A client of the ISMRMRD protocol."""

    def __init__(self, port: int, timeout: float = 120.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.send: Callable[[bytes], None] = self.socket.sendall
        self._stream = self.socket.makefile("rb")

    def config_file(self, name: str) -> None:
        self.send(struct.pack("<H1024s", 1, name.encode()))

    def text(self, number: int, text: str) -> None:
        self.send(struct.pack("<HI", number, len(text.encode())) + text.encode())

    def acquisition(self, line: ismrmrd.Acquisition) -> None:
        parts: list[bytes] = []
        line.serialize_into(lambda part: parts.append(bytes(part)))
        self.send(struct.pack("<H", 1008) + b"".join(parts))

    def waveform(self, samples: int = 5) -> None:
        wave = ismrmrd.Waveform.from_array(np.zeros((2, samples), np.uint32))
        parts: list[bytes] = []
        wave.serialize_into(lambda part: parts.append(bytes(part)))
        self.send(struct.pack("<H", 1026) + b"".join(parts))

    def close(self) -> None:
        self.send(struct.pack("<H", 4))

    def answer(self) -> Answer:
        """Read until the server closes."""
        answer = Answer([], [], False)
        while head := self._stream.read(2):
            (number,) = struct.unpack("<H", head)
            if number == 4:
                answer.closed = True
                break
            if number == 5:
                (size,) = struct.unpack("<I", self._stream.read(4))
                answer.texts.append(self._stream.read(size).decode())
            elif number == 1022:
                answer.images.append(ismrmrd.Image.deserialize_from(self._stream.read))
            else:
                raise AssertionError(f"message {number}")
        self.socket.close()
        return answer


def scan(port: int, config: str = "zero-filled.xml") -> Answer:
    """Send the phantom's readouts, and take what comes back."""
    client = Client(port)
    client.config_file(config)
    client.text(3, HEADER)
    client.waveform()
    for line in readouts():
        client.acquisition(line)
    client.close()
    return client.answer()

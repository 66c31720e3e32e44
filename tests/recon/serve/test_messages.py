"""The headers of the protocol, against the ismrmrd package's."""

from __future__ import annotations

import ctypes
import io
import struct

import ismrmrd
import numpy as np
import pytest
from serve_client import readouts

from recon.serve import messages


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(ismrmrd.AcquisitionHeader, messages.ACQUISITION_HEADER), (ismrmrd.ImageHeader, messages.IMAGE_HEADER)],
)
def test_headers_have_the_layout_of_the_format(theirs: type[ctypes.Structure], ours: np.dtype) -> None:
    assert ctypes.sizeof(theirs) == ours.itemsize
    for name, *_ in theirs._fields_:
        assert getattr(theirs, name).offset == ours.fields[name][1], name
        assert getattr(theirs, name).size == ours.fields[name][0].itemsize, name


def test_a_readout_is_read_as_it_was_packed() -> None:
    line = readouts()[0]
    parts: list[bytes] = []
    line.serialize_into(lambda part: parts.append(bytes(part)))
    stream = io.BytesIO(b"".join(parts) + b"rest")
    head, trajectory, samples = messages.read_acquisition(stream.read, 10**6)
    assert stream.read() == b"rest"
    assert int(head["idx"]["kspace_encode_step_1"]) == line.idx.kspace_encode_step_1
    np.testing.assert_array_equal(samples.view(np.complex64).reshape(line.data.shape), line.data)
    assert trajectory.size == 0


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(ValueError, match="a text of 4294967295 bytes"):
        messages.read_text(io.BytesIO(b"\xff\xff\xff\xff").read, 100)
    head = np.zeros((), messages.ACQUISITION_HEADER)
    head["number_of_samples"] = head["active_channels"] = head["trajectory_dimensions"] = 65535
    with pytest.raises(ValueError, match="a readout of 51538034700 bytes"):
        messages.read_acquisition(io.BytesIO(head.tobytes()).read, 10**6)
    wave = bytearray(40)
    struct.pack_into("<HH", wave, 28, 65535, 65535)
    with pytest.raises(ValueError, match="a waveform of"):
        messages.skip_waveform(io.BytesIO(bytes(wave)).read, 10**6)

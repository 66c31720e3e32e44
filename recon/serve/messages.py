"""The ISMRMRD streaming protocol (Hansen and Sørensen, Magn Reson Med 2013; Inati et al., Magn Reson Med 2017).

Each message begins with its number, two bytes, little-endian as all numbers. Written from the description of the
protocol and the layout of the headers in the ISMRMRD documentation (``mrd_messages``, ``ismrmrd.h``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

CONFIG_FILE, CONFIG_TEXT, HEADER, CLOSE, TEXT = 1, 2, 3, 4, 5
ACQUISITION, IMAGE, WAVEFORM = 1008, 1022, 1026

FLOAT, MAGNITUDE = 5, 1
"""Of an image: its numbers are float32, and it is a magnitude."""

_CONFIG_BYTES = 1024
_WAVEFORM_BYTES = 40

_COUNTERS = np.dtype(
    [
        *((name, "<u2") for name in ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast")),
        *((name, "<u2") for name in ("phase", "repetition", "set", "segment")),
        ("user", "<u2", 8),
    ]
)

_DIRECTIONS = [
    (name, "<f4", 3) for name in ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")
]
_USER = [("user_int", "<i4", 8), ("user_float", "<f4", 8)]

ACQUISITION_HEADER = np.dtype(
    [
        *(("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4")),
        *(("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", 3)),
        *(("number_of_samples", "<u2"), ("available_channels", "<u2"), ("active_channels", "<u2")),
        ("channel_mask", "<u8", 16),
        *((name, "<u2") for name in ("discard_pre", "discard_post", "center_sample", "encoding_space_ref")),
        *(("trajectory_dimensions", "<u2"), ("sample_time_us", "<f4"), *_DIRECTIONS, ("idx", _COUNTERS), *_USER),
    ]
)
"""340 bytes, ``ISMRMRD_AcquisitionHeader``."""

IMAGE_HEADER = np.dtype(
    [
        *(("version", "<u2"), ("data_type", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4")),
        *(("matrix_size", "<u2", 3), ("field_of_view", "<f4", 3), ("channels", "<u2"), *_DIRECTIONS),
        *((name, "<u2") for name in ("average", "slice", "contrast", "phase", "repetition", "set")),
        *(("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", 3)),
        *(("image_type", "<u2"), ("image_index", "<u2"), ("image_series_index", "<u2"), *_USER),
        ("attribute_string_len", "<u4"),
    ]
)
"""198 bytes, ``ISMRMRD_ImageHeader``."""

Read = Callable[[int], bytes]
"""Reads so many bytes of a stream, neither more nor fewer."""


def read_number(read: Read) -> int:
    """The number of the next message."""
    return int(struct.unpack("<H", read(2))[0])


def read_config_file(read: Read) -> str:
    """The name in a message of kind 1, which ends at the first zero."""
    return read(_CONFIG_BYTES).split(b"\0", 1)[0].decode("utf-8", "replace")


def read_text(read: Read, largest: int) -> str:
    """The text of a message of kind 2, 3 or 5; ``ValueError`` where it is longer than ``largest`` bytes."""
    (size,) = struct.unpack("<I", read(4))
    if size > largest:
        raise ValueError(f"a text of {size} bytes; at most {largest} are taken")
    return read(size).split(b"\0", 1)[0].decode("utf-8", "replace")


def read_acquisition(read: Read, largest: int) -> tuple[np.void, np.ndarray, np.ndarray]:
    """Header, trajectory and samples (float32, real and imaginary parts in turn) of a readout.

    Raises:
        ValueError: a readout of more than ``largest`` bytes, or none that could be.
    """
    head = np.frombuffer(read(ACQUISITION_HEADER.itemsize), ACQUISITION_HEADER)[0]
    samples, coils = int(head["number_of_samples"]), int(head["active_channels"])
    places, values = samples * int(head["trajectory_dimensions"]), 2 * samples * coils
    if 4 * (places + values) > largest:
        raise ValueError(f"a readout of {4 * (places + values)} bytes; at most {largest} are left")
    return head, np.frombuffer(read(4 * places), "<f4"), np.frombuffer(read(4 * values), "<f4")


def skip_waveform(read: Read, largest: int) -> None:
    """Pass over a waveform; ``ValueError`` where it has more than ``largest`` bytes."""
    head = read(_WAVEFORM_BYTES)
    samples, channels = struct.unpack_from("<HH", head, 28)
    if 4 * channels * samples > largest:
        raise ValueError(f"a waveform of {4 * channels * samples} bytes; at most {largest} are left")
    read(4 * channels * samples)


def text_message(text: str) -> bytes:
    """A message of kind 5."""
    content = text.encode("utf-8")
    return struct.pack("<HI", TEXT, len(content)) + content


def close_message() -> bytes:
    """A message of kind 4."""
    return struct.pack("<H", CLOSE)


def image_message(head: np.ndarray, attributes: str, image: np.ndarray) -> bytes:
    """A message of kind 1022.

    Args:
        head: a zero-dimensional array of :data:`IMAGE_HEADER`.
        attributes: the image's attributes as XML.
        image: (y, x) float32 values.
    """
    content = attributes.encode("utf-8")
    head["attribute_string_len"] = len(content)
    values = np.ascontiguousarray(image, "<f4").tobytes()
    return struct.pack("<H", IMAGE) + head.tobytes() + struct.pack("<Q", len(content)) + content + values

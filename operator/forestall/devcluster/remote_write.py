"""Encode generated series as a request of Prometheus's remote write protocol, version 1.0.

The protocol is protocol buffers in a snappy block. A request has one shape and no need to be small, so both are
written here directly: a sample is 18 bytes that differ in value and time alone, which NumPy lays out for a whole
series at once, and a snappy block may hold its bytes uncompressed.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

_STALE_BITS = 0x7FF0000000000002
STALE = struct.unpack("<d", struct.pack("<Q", _STALE_BITS))[0]
"""The value that ends a series at its time, as a scrape does whose target lost it."""

_TIME_BYTES = 6  # a varint of any time between the years 1971 and 2109, in ms
_SAMPLE_BYTES = 18
_BODY_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Series:
    """Generated samples of one series.

    `labels` includes ``__name__``, `times` are seconds since the epoch in ascending order, and `values` are as many.
    """

    labels: Mapping[str, str]
    times: ArrayLike
    values: ArrayLike


@dataclass(frozen=True)
class NativeHistogram:
    """One sample of a native histogram: cumulative counts of exponential buckets.

    Bucket ``i`` of `counts` holds the observations above ``2 ** ((first + i - 1) / 2 ** schema)`` and up to
    ``2 ** ((first + i) / 2 ** schema)``.
    """

    time: float
    first: int
    counts: Sequence[int]
    total: float
    """The sum of all observations."""
    schema: int = 3


@dataclass(frozen=True)
class HistogramSeries:
    """Generated samples of one series of native histograms."""

    labels: Mapping[str, str]
    histograms: Sequence[NativeHistogram]


def encode(series: Iterable[Series | HistogramSeries]) -> Iterator[bytes]:
    """Yield the bodies of the requests that write `series`, none much larger than `_BODY_BYTES` and a series."""
    body = bytearray()
    for labelled_series in series:
        body += _field(1, _labels(labelled_series.labels) + _points(labelled_series))
        if len(body) > _BODY_BYTES:
            yield _block(body)
            body.clear()
    if body:
        yield _block(body)


def _block(content: bytearray) -> bytes:
    """Return a snappy block: a length, then one literal, whose tag says that its length takes four bytes."""
    return _varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content


def _points(series: Series | HistogramSeries) -> bytes:
    if isinstance(series, Series):
        return _samples(np.asarray(series.times, dtype=np.float64), np.asarray(series.values, dtype=np.float64))
    return b"".join(_field(4, _histogram(histogram)) for histogram in series.histograms)


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )


def _samples(times: NDArray[np.float64], values: NDArray[np.float64]) -> bytes:
    rows = np.empty((times.size, _SAMPLE_BYTES), dtype=np.uint8)
    rows[:, 0:3] = (0x12, _SAMPLE_BYTES - 2, 0x09)  # field 2 of the series: a message; its field 1: a double
    rows[:, 3:11] = values.astype("<f8").reshape(-1, 1).view(np.uint8)
    rows[:, 11] = 0x10  # field 2: a varint
    milliseconds = np.rint(times * 1000).astype(np.int64)
    for byte in range(_TIME_BYTES):
        continuation = 0x80 if byte < _TIME_BYTES - 1 else 0
        rows[:, 12 + byte] = (milliseconds >> (7 * byte)) & 0x7F | continuation
    return rows.tobytes()


def _histogram(histogram: NativeHistogram) -> bytes:
    steps = np.diff(np.asarray(histogram.counts, dtype=np.int64), prepend=0)
    return b"".join(
        (
            b"\x08" + _varint(sum(histogram.counts)),
            b"\x19" + struct.pack("<d", histogram.total),
            b"\x20" + _varint(_zigzag(histogram.schema)),
            b"\x30\x00",  # nothing in the zero bucket
            _field(11, b"\x08" + _varint(_zigzag(histogram.first)) + b"\x10" + _varint(len(histogram.counts))),
            _field(12, b"".join(_varint(_zigzag(int(step))) for step in steps)),
            b"\x78" + _varint(round(histogram.time * 1000)),
        )
    )


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1

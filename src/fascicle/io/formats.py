"""Bytes of WFDB signal files as integers, for every format of signal(5).

Nothing is allocated that the bytes at hand do not fill.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.signedinteger[Any]]
AT_ONCE = 2**18
"""Groups that are taken apart at once: what a group becomes on the way is larger than itself."""

GROUPS = {
    8: (1, 1),
    16: (2, 1),
    24: (3, 1),
    32: (4, 1),
    61: (2, 1),
    80: (1, 1),
    160: (2, 1),
    212: (3, 2),
    310: (4, 3),
    311: (4, 3),
}
"""Format -> bytes and samples of its smallest whole group."""

PLAIN = {8: "i1", 16: "<i2", 32: "<i4", 61: ">i2", 80: "u1", 160: "<u2"}
ZERO = {80: 128, 160: 32768}
"""Offset binary formats -> the value that stands for zero."""

INVALID = {
    fmt: -(2 ** (bits - 1))
    for bits, formats in {
        8: (80, 508),
        10: (310, 311),
        12: (212,),
        16: (16, 61, 160, 516),
        24: (24, 524),
        32: (32,),
    }.items()
    for fmt in formats
}
"""Format -> the value that marks an invalid sample; format 8 has none."""

FLAC = {508: 8, 516: 16, 524: 24}
"""Compressed formats -> largest number of bits per sample."""

LARGEST_COMPRESSED = 2**28
"""A FLAC stream may hold this many samples (a day of 3 leads at 1 kHz), whatever it announces."""


def bytes_needed(fmt: int, count: int) -> int:
    """Return the bytes that `count` samples fill."""
    size, samples = GROUPS[fmt]
    full, rest = divmod(count, samples)
    if fmt == 310 and rest == 2:
        return (full + 1) * size
    return full * size - (-rest * size // samples)


def samples_held(fmt: int, size: int) -> int:
    """Return how many samples `size` bytes hold."""
    group, samples = GROUPS[fmt]
    full, rest = divmod(size, group)
    part = rest * samples // group
    return full * samples + (min(part, 1) if fmt == 310 else part)


def decode(data: bytes, fmt: int, count: int) -> Samples:
    """Return the first `count` samples, shape (count,), to be read only.

    `data` holds `bytes_needed` or more; numbers that are whole bytes are not copied.
    """
    if fmt in PLAIN:
        plain = np.frombuffer(data, PLAIN[fmt], count)
        return plain.astype(np.int32) - np.int32(ZERO[fmt]) if fmt in ZERO else plain
    size, samples = GROUPS[fmt]
    groups = -(-count // samples)
    found = np.empty(groups * samples, dtype=np.int32)
    for first in range(0, groups, AT_ONCE):
        last = min(first + AT_ONCE, groups)
        part = data[first * size : last * size].ljust((last - first) * size, b"\0")
        found[first * samples : last * samples] = _groups(part, fmt)
    return found[:count]


def _groups(data: bytes, fmt: int) -> NDArray[np.int32]:
    """Return the samples of whole groups of a packed format."""
    if fmt in (212, 24):
        low, middle, high = np.frombuffer(data, "u1").astype(np.int32).reshape(-1, 3).T
        if fmt == 24:
            return _signed(low | middle << 8 | high << 16, 24)
        parts = [low | (middle & 0x0F) << 8, high | (middle >> 4) << 8]
        return _signed(np.stack(parts, axis=1).ravel(), 12)
    if fmt == 310:
        one, two = np.frombuffer(data, "<u2").astype(np.int32).reshape(-1, 2).T
        parts = [one >> 1 & 0x3FF, two >> 1 & 0x3FF, one >> 11 | two >> 11 << 5]
    else:
        word = np.frombuffer(data, "<u4").astype(np.int64)
        parts = [(word >> shift & 0x3FF).astype(np.int32) for shift in (0, 10, 20)]
    return _signed(np.stack(parts, axis=1).ravel(), 10)


def _signed(values: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    sign = np.int32(1 << bits - 1)
    return (values ^ sign) - sign


def decode_flac(data: bytes, fmt: int, channels: int, skip: int, count: int | None) -> Samples:
    """Return up to `count` samples per channel after the first `skip`, shape (sample, channel).

    Raises ValueError if the stream is damaged, too long, or has other channels or bits.
    """
    # a C library: loaded only for the records that need it
    import soundfile  # type: ignore[import-untyped]

    if not data.startswith(b"fLaC"):
        raise ValueError("expected a FLAC stream")
    blocks: list[Samples] = []
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as stream:
            bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(stream.subtype, 99)
            if stream.channels != channels or bits > FLAC[fmt]:
                raise ValueError(
                    f"expected {channels} channels of up to {FLAC[fmt]} bits, "
                    f"came {stream.channels} of {stream.subtype}"
                )
            most = LARGEST_COMPRESSED // channels
            left = most if count is None else skip + count
            if left > most:
                raise ValueError(f"expected at most {most} FLAC samples per channel")
            while left:
                block = stream.read(min(left, 65536), dtype="int32", always_2d=True)
                if not len(block):
                    break
                blocks.append(block >> (32 - bits))
                left -= len(block)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"damaged FLAC stream: {error}") from error
    if not blocks:
        return np.zeros((0, channels), np.int32)
    return np.concatenate(blocks)[skip:]

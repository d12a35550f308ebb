"""Annotation files of MIT format, annot(5): bytes to marks and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SYMBOLS = {
    code: symbol
    for code, symbol in enumerate(' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r')
    if symbol != " "
}
"""Annotation code -> symbol, as in ecgcodes.h."""

CODES = {symbol: code for code, symbol in SYMBOLS.items()}
BEATS = frozenset("NLRaVFJASEj/QB?enfr")
"""Symbols that mark a heartbeat (`isqrs` in ecgmap.h), flutter waves aside."""

_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63
_RESOLUTION = re.compile(r"## time resolution: (\d{1,9}(?:\.\d{1,12})?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation: a sample, its symbol, and what else the annotator wrote."""

    sample: int
    symbol: str
    num: int = 0
    aux: str = ""


def decode_marks(data: bytes) -> tuple[list[Mark], float | None]:
    """Return the marks in order of time, and the samples per second that the file states, if any.

    Raises ValueError if the file ends before its end mark or a mark lies before sample 0.
    """
    marks: list[Mark] = []
    rate_hz = None
    position = sample = num = 0
    while True:
        word = _word(data, position)
        position += 2
        code, value = word >> 10, word & 0x3FF
        if word == 0:
            break
        if code == _SKIP:
            high, low = _word(data, position), _word(data, position + 2)
            sample += ((high << 16 | low) ^ 0x80000000) - 0x80000000
            position += 4
        elif code == _NUM:
            num = (value & 0xFF ^ 0x80) - 0x80
            if marks:
                marks[-1] = Mark(marks[-1].sample, marks[-1].symbol, num, marks[-1].aux)
        elif code == _AUX:
            length = value & 0xFF
            text = data[position : position + length]
            if len(text) < length:
                raise ValueError("it ends inside a note")
            position += length + length % 2
            if marks:
                aux = text.decode("latin-1").rstrip("\0")
                marks[-1] = Mark(marks[-1].sample, marks[-1].symbol, marks[-1].num, aux)
        elif code not in (_SUB, _CHAN):
            sample += value
            if sample < 0:
                raise ValueError("a mark lies before the first sample")
            marks.append(Mark(sample, SYMBOLS.get(code, ""), num))
    for mark in marks:
        stated = _RESOLUTION.match(mark.aux) if mark.sample == 0 and mark.symbol == '"' else None
        rate_hz = float(stated[1]) if stated else rate_hz
    return sorted((m for m in marks if m.symbol), key=lambda mark: mark.sample), rate_hz


def _word(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise ValueError("it ends without its end mark")
    return int.from_bytes(data[position : position + 2], "little")


def encode_marks(marks: Sequence[Mark], rate_hz: float) -> bytes:
    """Return an annotation file of marks in order of time, with their samples per second stated."""
    words: list[bytes] = []
    note = Mark(0, '"', aux=f"## time resolution: {rate_hz:.12g}")
    sample = num = 0
    for mark in [note, *marks]:
        step = mark.sample - sample
        if step < 0:
            raise ValueError("marks must be in order of time")
        if step > 0x3FF:
            words += [_pack(_SKIP, 0), _pack(0, 0, step >> 16), _pack(0, 0, step & 0xFFFF)]
            step = 0
        words.append(_pack(CODES[mark.symbol], step))
        if mark.num != num:
            words.append(_pack(_NUM, mark.num & 0xFF))
        if mark.aux:
            text = mark.aux.encode("latin-1")
            words.append(_pack(_AUX, len(text)) + text + b"\0" * (len(text) % 2))
        sample, num = mark.sample, mark.num
    return b"".join(words) + b"\0\0"


def _pack(code: int, value: int, whole: int | None = None) -> bytes:
    return (code << 10 | value if whole is None else whole).to_bytes(2, "little")

"""Records written on the spot: by wfdb where it can, else byte by byte."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

with warnings.catch_warnings():  # wfdb calls pandas in a way that warns; not ours to mend
    warnings.simplefilter("ignore")
    import wfdb  # noqa: F401

Writer = Callable[..., Path]
Waveform = Callable[..., NDArray[np.int64]]


def make_waveform(leads: int = 2, samples: int = 600, seed: int = 0) -> NDArray[np.int64]:
    """Return (lead, sample) adu between -120 and 120: fits every format, steps fit format 8."""
    rng = np.random.default_rng(seed)
    phase = np.arange(samples) / 40 + rng.uniform(0, 6, (leads, 1))
    return np.round(90 * np.sin(phase) + rng.uniform(-30, 30, (leads, samples)) * 0.5).astype(
        np.int64
    )


@pytest.fixture
def waveform() -> Waveform:
    """Return the function that makes adu, (leads, samples, seed) -> (lead, sample)."""
    return make_waveform


@pytest.fixture
def write_record(tmp_path: Path) -> Writer:
    """Return a function that writes a format 16 record and returns its header's path."""

    def write(
        adu: NDArray[np.int64] | None = None,
        name: str = "rec",
        *,
        record_line: str | None = None,
        fields: str = "16 200/mV 16 0",
        leads: Sequence[str] = ("I", "II"),
        comments: Sequence[str] = (),
        folder: Path | None = None,
    ) -> Path:
        adu = make_waveform(len(leads)) if adu is None else adu
        folder = folder or tmp_path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.dat").write_bytes(adu.T.astype("<i2").tobytes())
        lines = [record_line or f"{name} {len(adu)} 500 {adu.shape[1]}"]
        for row, lead in zip(adu, leads, strict=True):
            check = (int(row.sum()) + 32768) % 65536 - 32768
            lines.append(f"{name}.dat {fields} {row[0]} {check} 0 {lead}")
        lines += [f"#{comment}" for comment in comments]
        path = folder / f"{name}.hea"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write

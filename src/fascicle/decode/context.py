"""What a beat looks like beside the others of its record, and when it comes: numbers per beat.

Everything is relative to the record itself: amplitudes to its usual QRS, shapes to its typical
beat, intervals to those around. So a patient is compared with themselves (after de Chazal et al.,
IEEE Trans Biomed Eng 51(7), 2004). Leads are pooled: any number of them gives the same features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fascicle.record import BEAT_KINDS

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

STEP_S = 0.008
BEFORE_S, AFTER_S = 0.40, 0.50
CLOCK_S = np.arange(-round(BEFORE_S / STEP_S), round(AFTER_S / STEP_S) + 1) * STEP_S
"""Times of a beat's window around its R peak."""
PARTS: Mapping[str, NDArray[np.bool_]] = {
    "qrs": np.abs(CLOCK_S) <= 0.072,
    "wide_qrs": np.abs(CLOCK_S) <= 0.12,
    "p": (CLOCK_S >= -0.26) & (CLOCK_S <= -0.07),
    "st_t": (CLOCK_S >= 0.08) & (CLOCK_S <= 0.36),
}
"""Where in the window what stands."""
AROUND = 12
"""Beats to each side that tell the usual interval."""
BLOCK = 64
"""Beats that share one typical beat of their neighbourhood."""
SHORTEST_S, LONGEST_S = 0.15, 4.0
SPREAD_S = 0.06
LIMIT = 4.0
"""Features are cut here, so that no artefact counts for more."""

_INTERVALS = (
    "pre", "pre_usual", "post_usual", "pre_long", "pre_longest", "pre_mean", "pre_post",
    "pre_previous", "irregular", "very_irregular", "jumpy", "jumpy_record",
)  # fmt: skip
_MEASURES = ("alike", "least_alike", "most_alike", "apart", "most_apart", "size", "largest")
_SHAPES = tuple(f"{of}.{p}.{m}" for of in ("record", "near") for p in PARTS for m in _MEASURES)
_FORM = ("width", "relative_width", "centre", "previous.qrs", "previous.p", "next.qrs", "next.p")
_SHARES = ("very_common", "common")
_P = ("p", "p_area", "p_around", "p_relative", "p_time", "p_shift", "p_early")
FEATURES = (*_INTERVALS, *_SHAPES, *_FORM, *_SHARES, *_P)
"""Names of the features, in their order."""


def beat_features(
    signal: Floats, times: NDArray[np.float64], p_wave: Floats, rate_hz: float
) -> Floats:
    """Return (beat, feature), each within -4 and 4, in the order of `FEATURES`.

    Parameters
    ----------
    signal
        (lead, sample) prepared leads that are there, mV.
    times
        (beat,) R peaks in seconds, ascending.
    p_wave
        (lead, sample) probability of a P wave.
    rate_hz
        Samples per second of both.

    Raises
    ------
    ValueError
        If there is no lead, shapes do not match, or the beats do not ascend.
    """
    if signal.ndim != 2 or not signal.size or p_wave.shape != signal.shape:
        raise ValueError(f"signal {signal.shape} and P waves {p_wave.shape} must be (lead, sample)")
    if times.ndim != 1 or (np.diff(times) <= 0).any():
        raise ValueError("beats must be (beat,) and ascend")
    if not times.size:
        return np.zeros((0, len(FEATURES)), dtype=np.float32)
    intervals = np.clip(np.diff(times), SHORTEST_S, LONGEST_S)
    usual = float(np.median(intervals)) if intervals.size else 1.0
    pre, post = np.r_[usual, intervals], np.r_[intervals, usual]
    windows = _scaled(cut_beats(signal, times, rate_hz))
    columns = np.concatenate(
        [
            _interval_features(pre, post),
            _shape_features(windows, pre),
            _p_features(p_wave.max(axis=0), times, rate_hz),
        ],
        axis=1,
    )
    features: Floats = np.clip(columns, -LIMIT, LIMIT).astype(np.float32)
    return features


def cut_beats(signal: Floats, times: NDArray[np.float64], rate_hz: float) -> Floats:
    """Return the window of each beat, (beat, lead, sample) at 125 Hz; edges are repeated."""
    ends = np.pad(signal, ((0, 0), (1, 1)), mode="edge")
    smooth = (ends[:, :-2] + 2 * ends[:, 1:-1] + ends[:, 2:]) / 4
    place = np.rint((times[:, None] + CLOCK_S) * rate_hz).astype(np.intp)
    windows = smooth[:, np.clip(place, 0, signal.shape[1] - 1)]
    return np.asarray(windows.transpose(1, 0, 2), dtype=np.float32)


def _scaled(windows: Floats) -> Floats:
    """Return windows from their own level, in units of each lead's usual QRS."""
    level = PARTS["wide_qrs"] | PARTS["p"]
    centred = windows - np.median(windows[..., level], axis=-1, keepdims=True)
    usual = np.median(np.ptp(centred[..., PARTS["qrs"]], axis=-1), axis=0) + 0.05
    return np.asarray(centred / usual[:, None], dtype=np.float32)


def _interval_features(pre: Matrix, post: Matrix) -> Matrix:
    """Return logarithms of each beat's intervals beside those around it."""
    usual, long = _running(pre, 0.5), _running(pre, 0.8)
    odd = np.abs(np.log(pre / usual))
    jump = np.abs(np.diff(np.log(pre), prepend=np.log(pre[0])))
    return np.stack(
        [
            np.log(pre / 0.8),
            np.log(pre / usual),
            np.log(post / usual),
            np.log(pre / long),
            np.log(pre / np.quantile(pre, 0.8)),
            np.log(pre / pre.mean()),
            np.log(pre / post),
            np.log(pre / np.r_[pre[0], pre[:-1]]),
            3 * _running(odd, 0.5),
            3 * _running(odd, 0.75),
            3 * _running(jump, 0.5),
            np.full(pre.size, 3 * np.median(jump)),
        ],
        axis=1,
    )


def _running(values: Matrix, share: float) -> Matrix:
    """Return the quantile over each beat and `AROUND` beats to both sides."""
    padded = np.pad(values, AROUND, mode="reflect" if values.size > AROUND else "edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)
    return np.asarray(np.quantile(around, share, axis=1), dtype=np.float64)


def _shape_features(windows: Floats, pre: Matrix) -> Matrix:
    """Return how alike each beat is to the typical ones, to its neighbours, and how common."""
    late = pre >= np.quantile(pre, 0.6)  # a premature beat is never typical
    typical = np.median(windows[late], axis=0)
    like = _alike(windows, typical, "qrs").mean(axis=1)
    plain = late & (like >= np.median(like[late]) - 0.05)
    typical = np.median(windows[plain], axis=0)
    near = _typical_nearby(windows, pre, typical)
    columns = [*_beside(windows, typical[None]), *_beside(windows, near), *_form(windows, plain)]
    for step in (1, -1):
        neighbour = np.roll(windows, step, axis=0)
        columns += [_alike(windows, neighbour, p).mean(axis=1) for p in ("wide_qrs", "p")]
    return np.stack([*columns, *_shares(windows)], axis=1).astype(np.float64)


def _typical_nearby(windows: Floats, pre: Matrix, typical: Floats) -> Floats:
    """Return the typical beat of each beat's neighbourhood, (beat, lead, sample)."""
    found = np.empty_like(windows)
    for first in range(0, len(windows), BLOCK):
        around = slice(max(first - BLOCK, 0), first + 2 * BLOCK)
        some, intervals = windows[around], pre[around]
        late = intervals >= np.median(intervals)
        like = _alike(some, typical, "qrs").mean(axis=1)
        kept = late & (like >= np.quantile(like[late], 0.3))
        found[first : first + BLOCK] = np.median(some[kept], axis=0)
    return found


def _beside(windows: Floats, typical: Floats) -> list[Floats]:
    """Return the measures of each part: likeness, distance and size, pooled over the leads."""
    columns: list[Floats] = []
    for part, inside in PARTS.items():
        like = _alike(windows, typical, part)
        usual = _power(typical, inside)
        apart = np.log((_power(windows - typical, inside) + 0.01) / (usual + 0.01))
        size = np.log((_power(windows, inside) + 0.01) / (usual + 0.01))
        columns += [like.mean(axis=1), like.min(axis=1), like.max(axis=1)]
        columns += [apart.mean(axis=1), apart.max(axis=1), size.mean(axis=1), size.max(axis=1)]
    return columns


def _alike(windows: Floats, others: Floats, part: str) -> Floats:
    """Return the correlation of one part per beat and lead."""
    mine, theirs = (x[..., PARTS[part]] for x in (windows, others))
    mine = mine - mine.mean(axis=-1, keepdims=True)
    theirs = theirs - theirs.mean(axis=-1, keepdims=True)
    norm = np.sqrt((mine**2).sum(axis=-1) * (theirs**2).sum(axis=-1) + 1e-5)
    found: Floats = (mine * theirs).sum(axis=-1) / norm
    return found


def _power(windows: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return the standard deviation of a part."""
    return np.asarray(windows[..., inside].std(axis=-1) + 1e-4, dtype=np.float32)


def _form(windows: Floats, plain: NDArray[np.bool_]) -> list[Floats]:
    """Return how wide a QRS is, by the spread of its slopes in time, and where its centre is."""
    inside = PARTS["wide_qrs"]
    slope = np.abs(np.diff(windows[..., inside], axis=-1)).sum(axis=1) + 1e-9
    slope /= slope.sum(axis=1, keepdims=True)
    clock = CLOCK_S[inside][1:]
    centre = (slope * clock).sum(axis=1)
    width = np.sqrt((slope * np.square(clock - centre[:, None])).sum(axis=1)) + 1e-4
    relative = np.log(width / np.median(width[plain]))
    found = (30 * (width - 0.04), relative, 30 * (centre - np.median(centre)))
    return [column.astype(np.float32) for column in found]


def _shares(windows: Floats, most: int = 300) -> list[Floats]:
    """Return which share of the record's beats (some, evenly taken) have much the same QRS."""
    part = windows[..., PARTS["wide_qrs"]]
    part = part - part.mean(axis=-1, keepdims=True)
    part = part / np.sqrt((part**2).sum(axis=-1, keepdims=True) + 1e-6)
    chosen = part[np.linspace(0, len(part) - 1, min(most, len(part))).astype(int)]
    like = np.einsum("bls,cls->bc", part, chosen) / part.shape[1]
    return [(like > limit).mean(axis=1) for limit in (0.9, 0.7)]


def _p_features(p_wave: Floats, times: NDArray[np.float64], rate_hz: float) -> Matrix:
    """Return how sure a P wave is before each QRS, when, and whether one comes too early."""

    def before(first_s: float, last_s: float) -> tuple[Matrix, Matrix]:
        clock = np.arange(first_s, last_s, 0.012)
        place = np.rint((times[:, None] + clock) * rate_hz).astype(np.intp)
        return clock, p_wave[np.clip(place, 0, p_wave.size - 1)].astype(np.float64)

    clock, near = before(-0.3, -0.04)
    _, early = before(-0.6, -0.3)
    highest = near.max(axis=1)
    sure = highest > 0.3
    time = np.where(sure, 10 * (clock[near.argmax(axis=1)] + 0.16), 0.0)
    shift = np.where(sure, time - np.median(time[sure]), 0.0) if sure.any() else 0 * time
    around = _running(highest, 0.5)
    columns = [highest, 2 * near.mean(axis=1), around, highest - around, time, shift]
    return np.stack([*columns, early.max(axis=1)], axis=1)


def join_kinds(shape: Floats, context: Floats) -> Floats:
    """Return the kinds (kind, beat) that the net's view of each beat and the second stage give.

    Whether a beat began in the atria (N or S), in the ventricles, in both or cannot be told is the
    geometric mean of the two; whether an atrial beat is early, N or S, the second stage tells
    alone: a window of one beat does not show it. But the first beat of a record has no interval
    before it, and its P wave may be cut off: the net tells it alone.
    """
    if shape.shape != context.shape or shape.ndim != 2 or len(shape) != len(BEAT_KINDS):
        raise ValueError(f"kinds must be (5, beat) twice, not {shape.shape} and {context.shape}")
    tiny = 1e-6
    atrial = [BEAT_KINDS.index(kind) for kind in ("N", "S")]
    joined = np.sqrt((shape + tiny) * (context + tiny))
    both = np.sqrt((shape[atrial].sum(axis=0) + tiny) * (context[atrial].sum(axis=0) + tiny))
    joined[atrial] = both * (context[atrial] + tiny) / (context[atrial] + tiny).sum(axis=0)
    total: Floats = (joined / joined.sum(axis=0)).astype(np.float32)
    total[:, :1] = shape[:, :1]
    return total


def write_kinds(kinds: Floats, context: Floats, times: NDArray[np.float64], rate_hz: float) -> None:
    """Join the second stage's kinds (kind, beat) into those of the net (kind, sample), in place.

    What the net says at the R peak counts; the result stands 60 ms to both sides of it.
    """
    place = np.clip(np.rint(times * rate_hz).astype(np.intp), 0, kinds.shape[1] - 1)
    joined = join_kinds(kinds[:, place], context)
    around = round(SPREAD_S * rate_hz)
    for beat, middle in enumerate(place.tolist()):
        kinds[:, max(middle - around, 0) : middle + around + 1] = joined[:, beat, None]

"""What a beat looks like beside the others of its record, and when it comes: numbers per beat.

Everything is relative to the record itself: amplitudes to its usual QRS, shapes to its typical
beat, intervals to those around. So a patient is compared with themselves (after de Chazal et al.,
IEEE Trans Biomed Eng 51(7), 2004). Leads are pooled: any number of them gives the same features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fascicle.record import BEAT_KINDS

Floats = NDArray[np.float32]
Leads = Floats | Sequence[Floats]
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
AT_ONCE = 8 * BLOCK
"""Beats that are worked on at once: so little memory fits into a processor's cache."""
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
    signal: Leads, times: NDArray[np.float64], p_wave: Leads, rate_hz: float
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
    shapes, p_shapes = ([row.shape for row in leads] for leads in (signal, p_wave))
    if not shapes or shapes != p_shapes or {len(s) for s in shapes} != {1} or not shapes[0][0]:
        raise ValueError(f"signal {shapes} and P waves {p_shapes} must be (lead, sample)")
    if times.ndim != 1 or (np.diff(times) <= 0).any():
        raise ValueError("beats must be (beat,) and ascend")
    if not times.size:
        return np.zeros((0, len(FEATURES)), dtype=np.float32)
    intervals = np.clip(np.diff(times), SHORTEST_S, LONGEST_S)
    usual = float(np.median(intervals)) if intervals.size else 1.0
    pre, post = np.r_[usual, intervals], np.r_[intervals, usual]
    features = np.concatenate(
        [
            _interval_features(pre, post).astype(np.float32),
            _shape_features(_scaled(cut_beats(signal, times, rate_hz)), pre),
            _p_features(p_wave, times, rate_hz).astype(np.float32),
        ],
        axis=1,
    )
    return np.clip(features, -LIMIT, LIMIT, out=features)


def _stretches(beats: int) -> list[slice]:
    """Return which beats are worked on at once."""
    return [slice(first, min(first + AT_ONCE, beats)) for first in range(0, beats, AT_ONCE)]


def cut_beats(signal: Leads, times: NDArray[np.float64], rate_hz: float) -> Floats:
    """Return the window of each beat, (beat, lead, sample) at 125 Hz; edges are repeated."""
    windows = np.empty((times.size, len(signal), CLOCK_S.size), dtype=np.float32)
    last = len(signal[0]) - 1
    for some in _stretches(times.size):
        place = np.rint((times[some, None] + CLOCK_S) * rate_hz).astype(np.intp).clip(0, last)
        before, after = np.maximum(place - 1, 0), np.minimum(place + 1, last)
        for lead, row in enumerate(signal):  # smoothed where it is looked at, and not as a whole
            windows[some, lead] = (row[before] + 2 * row[place] + row[after]) / 4
    return windows


def _scaled(windows: Floats) -> Floats:
    """Return windows from their own level, in units of each lead's usual QRS, changed in place."""
    level = PARTS["wide_qrs"] | PARTS["p"]
    sizes = []
    for some in _stretches(len(windows)):
        windows[some] -= np.median(windows[some][..., level], axis=-1, keepdims=True)
        sizes.append(np.ptp(windows[some][..., PARTS["qrs"]], axis=-1))
    usual = np.median(np.concatenate(sizes), axis=0) + 0.05
    windows /= usual[:, None]
    return windows


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


def _shape_features(windows: Floats, pre: Matrix) -> Floats:
    """Return how alike each beat is to the typical ones, to its neighbours, and how common."""
    stretches = _stretches(len(windows))
    late = pre >= np.quantile(pre, 0.6)  # a premature beat is never typical
    typical = _typical(windows, late)
    like = np.concatenate([_likeness(windows[some], typical, "qrs") for some in stretches])
    plain = late & (like >= np.median(like[late]) - 0.05)
    typical = _typical(windows, plain)
    like = np.concatenate([_likeness(windows[some], typical, "qrs") for some in stretches])
    chosen = _some_forms(windows)
    beside, forms, rest = [], [], []
    for some in stretches:
        near = _typical_nearby(windows, pre, like, some)
        own = windows[some]
        beside.append(np.stack([*_beside(own, typical[None]), *_beside(own, near)], axis=1))
        forms.append(_form(own))
        rest.append(np.stack([*_beside_neighbours(windows, some), *_shares(own, chosen)], axis=1))
    form = _relative(np.concatenate(forms), plain)
    return np.concatenate([np.concatenate(beside), form, np.concatenate(rest)], axis=1)


def _typical(windows: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Return the median (lead, sample) of the chosen beats, lead by lead in little memory."""
    return np.stack([np.median(lead[chosen], axis=0) for lead in windows.swapaxes(0, 1)])


def _typical_nearby(windows: Floats, pre: Matrix, like: Floats, some: slice) -> Floats:
    """Return the typical beat of the neighbourhood of some beats, (beat, lead, sample)."""
    found = np.empty_like(windows[some])
    for first in range(some.start, some.stop, BLOCK):
        around = slice(max(first - BLOCK, 0), first + 2 * BLOCK)
        late = pre[around] >= np.median(pre[around])
        kept = late & (like[around] >= np.quantile(like[around][late], 0.3))
        place = first - some.start
        found[place : place + BLOCK] = np.median(windows[around][kept], axis=0)
    return found


def _beside_neighbours(windows: Floats, some: slice) -> list[Floats]:
    """Return how alike some beats are to the one before and the one after."""
    columns = []
    for step in (-1, 1):  # the first beat's is the last, and the other way round
        neighbour = windows[np.arange(some.start + step, some.stop + step) % len(windows)]
        columns += [_likeness(windows[some], neighbour, part) for part in ("wide_qrs", "p")]
    return columns


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


def _likeness(windows: Floats, others: Floats, part: str) -> Floats:
    """Return the correlation of one part per beat, the mean over the leads."""
    return np.asarray(_alike(windows, others, part).mean(axis=1))


def _power(windows: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return the standard deviation of a part."""
    return np.asarray(windows[..., inside].std(axis=-1) + 1e-4, dtype=np.float32)


def _form(windows: Floats) -> Matrix:
    """Return how wide a QRS is, by the spread of its slopes in time, and where its centre is."""
    inside = PARTS["wide_qrs"]
    slope = np.abs(np.diff(windows[..., inside], axis=-1)).sum(axis=1) + 1e-9
    slope /= slope.sum(axis=1, keepdims=True)
    clock = CLOCK_S[inside][1:]
    centre = (slope * clock).sum(axis=1)
    width = np.sqrt((slope * np.square(clock - centre[:, None])).sum(axis=1)) + 1e-4
    return np.stack([width, centre], axis=1)


def _relative(form: Matrix, plain: NDArray[np.bool_]) -> Floats:
    """Return widths, also beside those of plain beats, and centres beside the usual one."""
    width, centre = form.T
    relative = np.log(width / np.median(width[plain]))
    found = (30 * (width - 0.04), relative, 30 * (centre - np.median(centre)))
    return np.stack([column.astype(np.float32) for column in found], axis=1)


def _normal_forms(windows: Floats) -> Floats:
    """Return each QRS around its mean, with power 1."""
    part = windows[..., PARTS["wide_qrs"]]
    part = part - part.mean(axis=-1, keepdims=True)
    return np.asarray(part / np.sqrt((part**2).sum(axis=-1, keepdims=True) + 1e-6))


def _some_forms(windows: Floats, most: int = 300) -> Floats:
    """Return the QRS of some of the record's beats, evenly taken."""
    places = np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(int)
    return _normal_forms(windows[places])


def _shares(windows: Floats, chosen: Floats) -> list[Floats]:
    """Return which share of the chosen beats has much the same QRS as each of these."""
    part = _normal_forms(windows)
    like = part.reshape(len(part), -1) @ chosen.reshape(len(chosen), -1).T / part.shape[1]
    return [(like > limit).mean(axis=1).astype(np.float32) for limit in (0.9, 0.7)]


def _p_features(p_wave: Leads, times: NDArray[np.float64], rate_hz: float) -> Matrix:
    """Return how sure a P wave is before each QRS, when, and whether one comes too early."""

    def before(first_s: float, last_s: float) -> tuple[Matrix, Matrix]:
        clock = np.arange(first_s, last_s, 0.012)
        place = np.rint((times[:, None] + clock) * rate_hz).astype(np.intp)
        place = place.clip(0, len(p_wave[0]) - 1)
        highest = p_wave[0][place]
        for row in p_wave[1:]:
            highest = np.maximum(highest, row[place])
        return clock, highest.astype(np.float64)

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

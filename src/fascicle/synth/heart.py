"""One drawn heart: who it is, its intervals, and the shapes of its waves as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fascicle.record import Sex
from fascicle.synth import shapes
from fascicle.synth.shapes import Floats


@dataclass(frozen=True, slots=True)
class Shape:
    """Bumps of one wave: `timing` (bump, 3) as parts of its length, `dipole` (bump, 3) in mV."""

    timing: Floats
    dipole: Floats


@dataclass(frozen=True, slots=True)
class Heart:
    """What stays the same from beat to beat.

    Parameters
    ----------
    pr_s, p_s, qrs_s, wide_s
        PR interval at rest, length of P, of QRS and of an ectopic QRS; usual 0.12-0.20, 0.09-0.12,
        0.08-0.11 and 0.13-0.18 s.
    qtc_s
        QT at 60 per minute (Fridericia); usual 0.38-0.45 s.
    t_share
        Part of the time from QRS to the end of T that T itself grows with; usual 0.4-0.55.
    p, qrs, t, st
        "normal" or "ectopic" -> shape; `st`, the injury current, may be empty.
    field
        (12, 3) from dipole to leads.
    """

    age: float
    sex: Sex
    pr_s: float
    p_s: float
    qrs_s: float
    wide_s: float
    qtc_s: float
    t_share: float
    p: dict[str, Shape]
    qrs: dict[str, Shape]
    t: dict[str, Shape]
    st: dict[str, Shape]
    field: Floats


QRS_OF = {"rbbb": "rbbb", "lbbb": "lbbb", "paced": "paced", "lvh": "lvh"}
T_OF = {
    "rbbb": "rbbb",
    "ste_anterior": "anterior",
    "ste_inferior": "inferior",
    "st_depression": "depression",
}
ST_OF = {"ste_anterior": "anterior", "ste_inferior": "inferior", "st_depression": "depression"}
WIDE_S = {"lbbb": 0.155, "rbbb": 0.143, "paced": 0.165, "vt": 0.155}
LARGEST_MV = (2.2, 4.0)
DISCORDANT = frozenset({"lbbb", "paced", "vt"})


def draw_heart(rng: np.random.Generator, ventricle: str) -> Heart:
    """Return a heart drawn for the named kind of ventricle (see `Condition.ventricle`)."""
    sex: Sex = "F" if rng.random() < 0.5 else "M"
    age = float(np.clip(rng.normal(58.0, 17.0), 18.0, 92.0))
    field = shapes.lead_field(np.clip(rng.normal(1.0, 0.10, 8), 0.75, 1.25))
    woman = sex == "F"
    qrs_s = _clipped(rng, 0.099 if woman else 0.107, 0.008, 0.084, 0.122)
    if ventricle in WIDE_S:
        qrs_s = _clipped(rng, WIDE_S[ventricle], 0.010, 0.130, 0.190)
    qtc_s = _clipped(rng, 0.418 if woman else 0.405, 0.016, 0.365, 0.448)
    if ventricle == "long_qt":
        qtc_s = _clipped(rng, 0.515, 0.020, 0.488, 0.580)
    turn = _rotation(rng)
    qrs = _depolarisation(rng, ventricle, turn, field)
    t, st = _repolarisation(rng, ventricle, turn, qrs)
    heart = Heart(
        age=age,
        sex=sex,
        pr_s=_clipped(rng, 0.155, 0.018, 0.120, 0.198),
        p_s=_clipped(rng, 0.106, 0.011, 0.080, 0.124),
        qrs_s=qrs_s,
        wide_s=_clipped(rng, 0.150, 0.010, 0.128, 0.176),
        qtc_s=qtc_s,
        t_share=_clipped(rng, 0.47, 0.05, 0.35, 0.60),
        p={name: _varied(rng, rows, turn, 0.12) for name, rows in shapes.P.items()},
        qrs=qrs,
        t=t,
        st=st,
        field=field,
    )
    size = rng.lognormal(0.0, 0.18) * (0.93 if woman else 1.07) * (1.15 - 0.0025 * age)
    return _with_voltage(rng, _scaled(heart, size), ventricle)


def _clipped(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sd), low, high))


def _rotation(rng: np.random.Generator) -> Floats:
    """Return a rotation (3, 3): the heart lies more upright or flat, turned about the long axis."""
    frontal, horizontal = np.radians(np.clip(rng.normal(0.0, (13.0, 9.0)), -28.0, 28.0))
    cos, sin = math.cos(frontal), math.sin(frontal)
    flat = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = math.cos(horizontal), math.sin(horizontal)
    turn: Floats = flat @ np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return turn


def _varied(rng: np.random.Generator, rows: shapes.Rows, turn: Floats, spread: float) -> Shape:
    """Return a shape near `rows`: each bump's dipole and middle moved a little, then turned."""
    table = np.array(rows)
    timing, dipole = table[:, :3].copy(), table[:, 3:]
    length = np.linalg.norm(dipole, axis=1, keepdims=True)
    dipole = dipole + spread * length * rng.normal(0.0, 0.6, dipole.shape)
    dipole *= rng.lognormal(0.0, spread, (len(table), 1))
    timing[:, 0] += np.clip(rng.normal(0.0, 0.015, len(table)), -0.03, 0.03)
    return Shape(_filling(timing), dipole @ turn.T)


def _filling(timing: Floats) -> Floats:
    """Return the bumps stretched so that the first begins at 0 and the last ends at 1."""
    begin = (timing[:, 0] - timing[:, 1]).min()
    end = (timing[:, 0] + timing[:, 2]).max()
    filling: Floats = (timing - np.array([begin, 0.0, 0.0])) / (end - begin)
    return filling


def _depolarisation(
    rng: np.random.Generator, ventricle: str, turn: Floats, field: Floats
) -> dict[str, Shape]:
    usual = shapes.QRS[QRS_OF.get(ventricle, "normal")]
    # An ectopic focus is anywhere: its beat keeps its form and takes another direction.
    focus = _rotation(rng) @ turn
    if rng.random() < 0.4:
        focus = focus @ np.diag([-1.0, 1.0, -1.0])
    ectopic = _limited(_varied(rng, shapes.QRS["ectopic"], focus, 0.12), field)
    beat = ectopic if ventricle == "vt" else _limited(_varied(rng, usual, turn, 0.10), field)
    return {"normal": beat, "ectopic": ectopic}


def _limited(qrs: Shape, field: Floats) -> Shape:
    """Return the shape, smaller if it swings over `LARGEST_MV` in a limb or a chest lead."""
    top, bottom = extremes(qrs, field)
    factor = np.divide(LARGEST_MV, (top - bottom).reshape(2, 6).max(axis=1)).min()
    return Shape(qrs.timing, qrs.dipole * min(1.0, factor))


def _repolarisation(
    rng: np.random.Generator, ventricle: str, turn: Floats, qrs: dict[str, Shape]
) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the T and ST shapes; after abnormal conduction both oppose the QRS (discordance)."""
    t = {"ectopic": _opposite(rng, qrs["ectopic"], shapes.T["wide"], 0.40)}
    st = {"ectopic": _opposite(rng, qrs["ectopic"], shapes.ST["wide"], 0.12)}
    if ventricle in DISCORDANT:
        t["normal"] = _opposite(rng, qrs["normal"], shapes.T["wide"], 0.32)
        st["normal"] = _opposite(rng, qrs["normal"], shapes.ST["wide"], 0.11)
        return t, st
    strain = ventricle == "lvh" and rng.random() < 0.6
    t["normal"] = _varied(
        rng, shapes.T["strain" if strain else T_OF.get(ventricle, "normal")], turn, 0.12
    )
    if ventricle in ST_OF:
        injury = _varied(rng, shapes.ST[ST_OF[ventricle]], np.eye(3), 0.06)
        st["normal"] = Shape(injury.timing, injury.dipole * rng.uniform(1.0, 1.5))
    elif strain:
        st["normal"] = _varied(rng, shapes.ST["strain"], turn, 0.06)
    return t, st


def _opposite(rng: np.random.Generator, qrs: Shape, rows: shapes.Rows, ratio: float) -> Shape:
    """Return a shape against the net area of `qrs`, `ratio` times its largest bump.

    Part of normal repolarisation (left and down) stays in it, as in real bundle branch block.
    """
    area = (qrs.dipole * qrs.timing[:, 1:].sum(axis=1, keepdims=True)).sum(axis=0)
    size = ratio * np.linalg.norm(qrs.dipole, axis=1).max()
    against = -area / np.linalg.norm(area) * size * rng.uniform(0.85, 1.15)
    against += 0.2 * size * np.array([1.0, 0.6, 0.0])
    table = np.array(rows)
    return Shape(_filling(table[:, :3]), table[:, 3:].sum(axis=1, keepdims=True) * against)


def _scaled(heart: Heart, size: float) -> Heart:
    def grown(parts: dict[str, Shape], factor: float) -> dict[str, Shape]:
        return {name: Shape(s.timing, s.dipole * factor) for name, s in parts.items()}

    soft = math.sqrt(size)
    return replace(
        heart, p=grown(heart.p, soft), qrs=grown(heart.qrs, size), t=grown(heart.t, soft)
    )


def extremes(shape: Shape, field: Floats) -> tuple[Floats, Floats]:
    """Return the highest and lowest value of a wave in each of the twelve leads (mV)."""
    grid = np.linspace(0.0, 1.0, 181)
    leads = shapes.bumps(grid, shape.timing) @ (shape.dipole @ field.T)
    return leads.max(axis=0), leads.min(axis=0)


def axis_deg(heart: Heart) -> float:
    """Return the frontal QRS axis from the net deflections of I and aVF; 0 is left, 90 is down."""
    top, bottom = extremes(heart.qrs["normal"], heart.field)
    net = top + bottom
    return math.degrees(math.atan2(2.0 / math.sqrt(3.0) * net[5], net[0]))


def _with_voltage(rng: np.random.Generator, heart: Heart, ventricle: str) -> Heart:
    """Return the heart with a QRS as large as its condition says, and no larger otherwise."""
    top, bottom = extremes(heart.qrs["normal"], heart.field)
    limb, chest = (top - bottom)[:6].max(), (top - bottom)[6:].max()
    sokolow = max(top[10], top[11]) - bottom[6]
    u = rng.uniform()
    if ventricle == "low_voltage":
        return _scaled(heart, (0.60 + 0.32 * u) * min(0.5 / limb, 1.0 / chest))
    if ventricle == "lvh":
        return _scaled(heart, (1.08 + 0.35 * u) * 3.5 / sokolow)
    if ventricle in WIDE_S:
        return heart
    size = min(1.0, (0.85 + 0.12 * u) * 3.5 / sokolow)
    return _scaled(heart, max(size, (1.1 + 0.3 * u) * 0.5 / limb))

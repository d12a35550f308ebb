"""The conditions that can be synthesised: literal tables, nothing computed.

Codes are SNOMED CT as the PhysioNet/CinC Challenge 2021 uses them. A condition whose atria beat in
sinus rhythm also gets the codes of its rate (`SINUS_CODES`) and axis (`AXIS_CODES`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TimingKind = Literal[
    "sinus",
    "slow_conduction",
    "wenckebach",
    "dropped",
    "dissociated",
    "fibrillation",
    "flutter",
    "ventricular",
    "paced",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """What one condition is made of.

    Parameters
    ----------
    description
        One line for people.
    codes
        SNOMED CT codes that hold besides the code of the sinus rate.
    usual_bpm
        Range from which the ventricular rate is drawn when none is asked for.
    allowed_bpm
        Range outside which a requested rate is refused: the condition would not exist there.
    timing
        Which rule places the beats.
    ventricle
        Shape of the usual QRS and T, a key of `shapes.QRS`.
    ectopic
        Kind of early beats mixed into sinus rhythm, or none.
    rhythm
        Name of the rhythm as MIT-BIH writes it (BIII is ours: it has none for block III).
    sinus
        Whether the codes of the sinus rate and of the QRS axis are given too.
    """

    description: str
    codes: frozenset[str] = frozenset()
    usual_bpm: tuple[float, float] = (58.0, 98.0)
    allowed_bpm: tuple[float, float] = (30.0, 150.0)
    timing: TimingKind = "sinus"
    ventricle: str = "normal"
    ectopic: Literal["none", "pvc", "pac", "bigeminy"] = "none"
    rhythm: str = "N"
    sinus: bool = True


SINUS_CODES = {"slow": "426177001", "normal": "426783006", "fast": "427084000"}
"""Sinus bradycardia (under 60 per minute), sinus rhythm, sinus tachycardia (over 100)."""

AXIS_CODES = {"left": "39732003", "right": "47665007"}
"""Left axis deviation (under -30 degrees), right axis deviation (over 90)."""

CONDITIONS: dict[str, Condition] = {
    "sinus": Condition("Sinus rhythm, normal conduction", allowed_bpm=(30.0, 200.0)),
    "af": Condition(
        "Atrial fibrillation: no P, fibrillatory waves, irregular",
        frozenset({"164889003"}),
        (65.0, 130.0),
        (40.0, 180.0),
        timing="fibrillation",
        rhythm="AFIB",
        sinus=False,
    ),
    "flutter": Condition(
        "Atrial flutter: saw-tooth F waves near 300 per minute, 2:1 to 5:1 or variable block",
        frozenset({"164890007"}),
        (65.0, 155.0),
        (50.0, 170.0),
        timing="flutter",
        rhythm="AFL",
        sinus=False,
    ),
    "avb1": Condition(
        "First-degree atrioventricular block: PR over 200 ms",
        frozenset({"270492004"}),
        (50.0, 85.0),
        (30.0, 100.0),
        timing="slow_conduction",
    ),
    "avb2_mobitz1": Condition(
        "Second-degree block, Mobitz I (Wenckebach): PR lengthens until a beat drops",
        frozenset({"195042002", "54016002"}),
        (45.0, 65.0),
        (35.0, 75.0),
        timing="wenckebach",
        rhythm="BII",
        sinus=False,
    ),
    "avb2_mobitz2": Condition(
        "Second-degree block, Mobitz II: constant PR, beats drop without warning",
        frozenset({"195042002", "426183003"}),
        (40.0, 60.0),
        (30.0, 70.0),
        timing="dropped",
        rhythm="BII",
        sinus=False,
    ),
    "avb3": Condition(
        "Third-degree block: atria and ventricles beat independently",
        frozenset({"27885002"}),
        (32.0, 48.0),
        (25.0, 60.0),
        timing="dissociated",
        rhythm="BIII",
        sinus=False,
    ),
    "pvc": Condition(
        "Sinus rhythm with premature ventricular contractions",
        frozenset({"427172004"}),
        allowed_bpm=(40.0, 110.0),
        ectopic="pvc",
    ),
    "pac": Condition(
        "Sinus rhythm with premature atrial contractions",
        frozenset({"284470004"}),
        (55.0, 82.0),
        (40.0, 95.0),
        ectopic="pac",
    ),
    "bigeminy": Condition(
        "Ventricular bigeminy: every other beat is premature and ventricular",
        frozenset({"427172004", "11157007"}),
        allowed_bpm=(40.0, 110.0),
        ectopic="bigeminy",
        rhythm="B",
    ),
    "vt": Condition(
        "Monomorphic ventricular tachycardia",
        frozenset({"164895002"}),
        (130.0, 200.0),
        (110.0, 240.0),
        timing="ventricular",
        ventricle="vt",
        rhythm="VT",
        sinus=False,
    ),
    "lbbb": Condition(
        "Complete left bundle branch block",
        frozenset({"164909002", "733534002"}),
        ventricle="lbbb",
    ),
    "rbbb": Condition(
        "Complete right bundle branch block",
        frozenset({"59118001", "713427006"}),
        ventricle="rbbb",
    ),
    "lvh": Condition(
        "Left ventricular hypertrophy by voltage (Sokolow-Lyon), often with strain",
        frozenset({"164873001"}),
        ventricle="lvh",
    ),
    "ste_anterior": Condition(
        "ST elevation in V1-V4",
        frozenset({"164931005"}),
        allowed_bpm=(30.0, 130.0),
        ventricle="ste_anterior",
    ),
    "ste_inferior": Condition(
        "ST elevation in II, III, aVF",
        frozenset({"164931005"}),
        allowed_bpm=(30.0, 130.0),
        ventricle="ste_inferior",
    ),
    "st_depression": Condition(
        "ST depression in V4-V6, I and II",
        frozenset({"429622005"}),
        allowed_bpm=(30.0, 130.0),
        ventricle="st_depression",
    ),
    "long_qt": Condition(
        "Long QT: corrected QT over 470 ms",
        frozenset({"111975006"}),
        (50.0, 85.0),
        (30.0, 100.0),
        ventricle="long_qt",
    ),
    "low_voltage": Condition(
        "Low QRS voltage: under 0.5 mV in limb leads, under 1 mV in chest leads",
        frozenset({"251146004"}),
        ventricle="low_voltage",
    ),
    "paced": Condition(
        "Ventricular pacing, with or without atrial tracking",
        frozenset({"10370003"}),
        (60.0, 85.0),
        (50.0, 120.0),
        timing="paced",
        ventricle="paced",
        rhythm="P",
        sinus=False,
    ),
}
"""Name of a condition -> what it is made of."""

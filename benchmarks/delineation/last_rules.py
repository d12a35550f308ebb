"""What the rules gain that came after the nets of the folds, on a net that has both heads.

    python benchmarks/delineation/last_rules.py --data DIR [--bundle FILE]

The development bundle on the records of LUDB that taught it nothing (fold 0): P and T moved towards
where the beats around have them, and no P where fibrillation or flutter is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import parts
from ablation import RHYTHM, TITLES, Floats, f1, gains, shown, sums
from folds import Held, records_of, seen
from measuring import ROOT, rows

from fascicle.decode.delineation import Rules
from fascicle.metrics.waves import tally_scores
from fascicle.predict import load
from fascicle.synth import Noise, synthesize

BUNDLE = ROOT / "benchmarks" / "development" / "bundle.safetensors"
FOLD = 0
STRAY = "P and T moved towards those of the beats around"
WITHOUT = {
    STRAY: (replace(Rules(), stray_p_s=0.0, stray_t_s=0.0), True),
    TITLES[RHYTHM]: (Rules(), False),
}
F1 = ("P 150 ms", "QRS 150 ms", "T 150 ms", "P 40 ms", "QRS 40 ms", "T 40 ms")
SIDES = ("P.onset", "P.offset", "T.onset", "T.offset")


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--bundle", type=Path, default=BUNDLE)
    asked = options.parse_args()
    about = parts.start(asked)
    model = load(None if asked.quick else asked.bundle, threads=1)
    records = (
        [synthesize(kind, seed=seed, noise=Noise()) for seed, kind in enumerate(("sinus", "af"))]
        if asked.quick
        else records_of("ludb", asked.data, [FOLD])
    )
    result = about | {"bundle": model.bundle.info.name} | measure([seen(model, r) for r in records])
    parts.write(asked, "last_rules", result, table(result))


def measure(held: Sequence[Held]) -> dict[str, Any]:
    """Return F1 and the standard deviations of errors with all rules, and less each rule."""
    names = [one.reference.name for one in held]
    whole = sums(held, Rules())
    gain = {}
    for title, changed in WITHOUT.items():
        both = np.stack([whole, sums(held, *changed)], axis=1)
        gain[title] = gains(both, names, figures)
    return {"records": len(held), "all": figures(whole.sum(axis=0)).tolist(), "gain": gain}


def figures(counts: Floats) -> Floats:
    """Return F1 by tolerance and kind, then the SDs in ms of the errors at 150 ms."""
    wide = tally_scores(counts[..., 0, :, :])
    spread = np.stack([wide[f"{side}.error_sd_ms"] for side in SIDES], axis=-1)
    return np.concatenate([f1(counts), spread], axis=-1)


def table(result: Mapping[str, Any]) -> str:
    """Return F1 and what a rule adds to it times 1000, and the same of the SDs in ms."""
    body = []
    for place, name in enumerate((*F1, *SIDES)):
        title, whole, unit = f"F1 x 1000, {name}", f"{1000 * result['all'][place]:.1f}", 1.0
        if name in SIDES:
            title = f"SD of the error, {name.replace('.', ' ')}, ms"
            whole, unit = f"{result['all'][place]:.1f}", 0.001  # `shown` counts in thousandths
        cells = [
            shown(*(unit * found[key][place] for key in ("value", "low", "high")))
            for found in result["gain"].values()
        ]
        body.append([title, whole, *cells])
    return rows(["", "with all rules", *result["gain"]], body)


if __name__ == "__main__":
    main()

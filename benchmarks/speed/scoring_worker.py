"""Score the same records with fascicle or with the official program, a line for each request.

Arguments: a folder for files, number of records in it, and the folder of the official program
(github.com/physionetchallenges/evaluation-2021; none of it is here), or nothing for fascicle.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORMAL = "426783006"
Case = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]
Five = tuple[float, ...]
Side = tuple[Callable[..., Five], Callable[[], Five]]
"""What scores arrays, and what scores the files."""


def draw(records: int, classes: int = 26) -> Case:
    """Return labels, binary and scalar outputs (record, class); scalars are all different."""
    rng = np.random.default_rng(records)
    chances = np.geomspace(0.2, 0.005, classes)
    labels = rng.random((records, classes)) < chances
    scalars = 1 / (1 + np.exp(3 - 3 * labels - rng.standard_normal((records, classes))))
    return labels, scalars > 0.5, scalars


def write(folder: Path, records: int, codes: list[str]) -> None:
    """Write label headers and output files as the Challenge has them."""
    for name in ("labels", "outputs"):
        (folder / name).mkdir(parents=True)
    for place, (label, output, scalar) in enumerate(zip(*draw(records, len(codes)), strict=True)):
        found = ",".join(code for code, holds in zip(codes, label, strict=True) if holds)
        lines = [f"#{place:06d}", ",".join(codes), ",".join(map(str, output.astype(int)))]
        lines.append(",".join(map(str, scalar)))
        (folder / "labels" / f"{place:06d}.hea").write_text(f"{place:06d} 0 500 5000\n#Dx: {found}")
        (folder / "outputs" / f"{place:06d}.csv").write_text("\n".join(lines) + "\n")


def ours(folder: Path, files: int) -> Side:
    from fascicle.io.challenge import read_challenge
    from fascicle.labels import SNOMED, challenge_classes, challenge_weights
    from fascicle.metrics.challenge import challenge_scores

    classes, weights = challenge_classes(), challenge_weights()
    normal = classes.index(SNOMED, NORMAL)
    write(folder, files, [term.code for term in classes.terms])

    def score(*case: Any) -> Five:
        made = challenge_scores(*case, weights, normal)
        whole = (made.auroc, made.auprc, made.accuracy, made.f_measure, made.challenge_metric)
        return tuple(map(float, whole))

    def read() -> Five:
        found = read_challenge(folder / "labels", folder / "outputs", classes)
        return score(found.labels, found.outputs, found.scores)

    return score, read


def theirs(folder: Path, program: Path) -> Side:
    os.chdir(program)  # it opens weights.csv where it runs
    sys.path.insert(0, str(program))
    import evaluate_model as official

    classes, weights = official.load_weights("weights.csv")

    def score(labels: Any, outputs: Any, scalars: Any) -> Five:
        auroc, auprc, _, _ = official.compute_auc(labels, scalars)
        f_measure, _ = official.compute_f_measure(labels, outputs)
        accuracy = official.compute_accuracy(labels, outputs)
        metric = official.compute_challenge_metric(weights, labels, outputs, classes, {NORMAL})
        return auroc, auprc, accuracy, f_measure, metric

    def read() -> Five:
        found = official.evaluate_model(str(folder / "labels"), str(folder / "outputs"))
        return found[1], found[2], found[5], found[6], found[8]

    return score, read


def timed(work: Callable[..., Five], case: tuple[Any, ...]) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        wall, cpu = time.perf_counter(), time.process_time()
        found = work(*case)
        spent = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall_s": spent[0], "cpu_s": spent[1], "scores": list(map(float, found))}


def main() -> None:
    folder, files = Path(sys.argv[1]), int(sys.argv[2])
    arrays, read = theirs(folder, Path(sys.argv[3])) if len(sys.argv) > 3 else ours(folder, files)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        records = json.loads(line)["records"]  # None: those of the files
        found = timed(read, ()) if records is None else timed(arrays, draw(records))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

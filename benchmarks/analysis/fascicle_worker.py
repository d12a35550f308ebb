"""fascicle on request: a line {"path": ..., "stages": false} comes in, one with times goes out.

Timed: `fascicle.read` (without annotations, as `fascicle analyze` reads) and `Model.analyze`; with
"stages", the same work step by step.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import fascicle
from fascicle.predict import Model, assemble, choose_leads, predict
from fascicle.signal.quality import assess


def main() -> None:
    model = fascicle.load(Path(sys.argv[1]), threads=1)
    bundle = model.bundle
    say(
        {
            "bundle": {
                "name": bundle.info.name,
                "version": bundle.info.version,
                "sha256": bundle.info.sha256,
                "trained": bool(bundle.card.get("trained_on")),
                "classes": {name: len(words) for name, words in bundle.vocabularies.items()},
            }
        }
    )
    for line in sys.stdin:
        request = json.loads(line)
        path = Path(request["path"])
        say(stages(model, path) if request["stages"] else whole(model, path))


def whole(model: Model, path: Path) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    record = fascicle.read(path, annotations=False)
    findings = model.analyze(record)
    return {
        "wall_ms": 1e3 * (time.perf_counter() - wall),
        "cpu_ms": 1e3 * (time.process_time() - cpu),
        "duration_s": record.duration_s,
        "waves": len(findings.waves),
        "beats": len(findings.beats),
    }


def stages(model: Model, path: Path) -> dict[str, float]:
    """Return the processor milliseconds of reading and of each step of `Model.analyze`."""
    clock = [time.process_time()]

    def mark() -> None:
        clock.append(time.process_time())

    record = choose_leads(fascicle.read(path, annotations=False), None)
    mark()
    quality = assess(record)
    mark()
    prepared = model.prepare(record, quality)
    mark()
    arrays = predict(model.network, model.tasks, prepared, model.bundle)
    mark()
    assemble(record, quality, prepared, arrays, model.bundle, model.tasks)
    mark()
    names = ("read", "quality", "prepare", "net", "decode")
    return {
        name: 1e3 * (after - before)
        for name, before, after in zip(names, clock[:-1], clock[1:], strict=True)
    }


def say(answer: dict[str, object] | dict[str, float]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

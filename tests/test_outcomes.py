"""A long record read block by block gives what all its probabilities at once give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fascicle import outcomes, passing
from fascicle.bundle import Bundle, new_network
from fascicle.decode.context import FEATURES
from fascicle.labels import superclasses
from fascicle.models.context import ContextHead
from fascicle.outcomes import goes_by_blocks, outcome, outcome_by_blocks
from fascicle.predict import Model, Prepared, predict
from fascicle.recipe import parse_recipe
from fascicle.synth import synthesize
from fascicle.tasks import TASKS, Outcome

KNOWN = ("waves", "beats", "rhythm")


def make_model(*, head: str = "diagnosis") -> Model:
    """Return a small net with random weights that marks something, and a second stage for beats."""
    diagnosis = {"systems": ["PTB-XL superclass"], "head": head}
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": {"filters": [16, 16, 32], "decoder": [16, 16], "skip": 16, "kernel": 3},
            "tasks": {**{name: {} for name in KNOWN}, "diagnosis": diagnosis},
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    vocabularies = {name: TASKS[name].vocabulary for name in KNOWN}
    blank = Bundle(recipe, {**vocabularies, "diagnosis": superclasses()}, {}, {}, {})
    torch.manual_seed(4)
    network, second = new_network(recipe, blank.tasks()), ContextHead(features=len(FEATURES))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(("net.3.weight", "mix.3.weight")):
                weight.mul_(4)  # last layers: decided, but no two beats are equally sure
            if name == "heads.rhythm.out.weight":
                weight.mul_(100)
    context = {f"context.{name}": weight for name, weight in second.state_dict().items()}
    return Model(replace(blank, weights=network.state_dict() | context))


@pytest.fixture(scope="module")
def model() -> Model:
    made = make_model()
    assert made.bundle.context() is not None
    return made


@pytest.fixture(scope="module")
def prepared(model: Model) -> Prepared:
    parts = [
        synthesize(kind, seed=8, duration_s=60.0, rate_hz=125.0, leads=("V1", "II"))
        for kind in ("pvc", "af", "sinus")
    ]
    signal = np.concatenate([g * part.signal for g, part in enumerate(parts, 1)], axis=1)
    whole = replace(parts[0], signal=signal.astype(np.float32), waves=(), beats=(), rhythms=())
    return model.prepare(whole)


@pytest.fixture(autouse=True)
def long_from_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "LONG_S", 30.0)
    monkeypatch.setattr(passing, "EVERY_S", 30.0)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def at_once(model: Model, prepared: Prepared) -> Outcome:
    arrays = predict(model.network, model.tasks, prepared, model.bundle)
    return outcome(prepared, arrays, model.bundle, model.tasks)


def same(one: Outcome, two: Outcome) -> None:
    assert [(w.lead, w.kind) for w in one.waves] == [(w.lead, w.kind) for w in two.waves]
    assert [beat.kind for beat in one.beats] == [beat.kind for beat in two.beats]
    assert [span.kind for span in one.rhythms] == [span.kind for span in two.rhythms]
    for wave, other in zip(one.waves, two.waves, strict=True):
        assert times(wave) == pytest.approx(times(other), abs=1e-4)
    ours, theirs = ([(b.time_s, b.probability) for b in all_.beats] for all_ in (one, two))
    apart = np.abs(np.subtract(ours, theirs))
    assert apart[:, 0].max() < 1e-4
    # An R peak near the border of two samples may fall to either side; its features jump there.
    assert (apart[:, 1] > 1e-3).sum() <= 0.01 * len(ours)
    for name, answer in one.answers.items():
        assert np.allclose(answer.probabilities, two.answers[name].probabilities, atol=1e-5)


def times(wave: Any) -> tuple[float, ...]:
    return (wave.onset_s, wave.peak_s, wave.offset_s, wave.probability)


@pytest.mark.parametrize(("block_s", "chunk_s"), [(300.0, None), (40.0, None), (23.0, 17.0)])
def test_blocks_give_what_all_at_once_gives(
    block_s: float, chunk_s: float | None, model: Model, prepared: Prepared
) -> None:
    whole = at_once(model, prepared)
    assert len(whole.beats) > 100
    assert len(whole.waves) > 300
    assert whole.rhythms
    found = outcome_by_blocks(
        *(model.network, model.tasks, prepared, model.bundle), block_s=block_s, chunk_s=chunk_s
    )
    same(whole, found)


@pytest.mark.usefixtures("two_threads")
def test_threads_give_what_one_gives(model: Model, prepared: Prepared) -> None:
    parts = (model.network, model.tasks, prepared, model.bundle)
    several = outcome_by_blocks(*parts, chunk_s=17.0)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    same(outcome_by_blocks(*parts, chunk_s=17.0), several)


@pytest.mark.usefixtures("two_threads")
def test_who_takes_the_pieces_leaves_the_cores_to_the_net(model: Model, prepared: Prepared) -> None:
    seen: set[int] = set()
    outcome_by_blocks(
        *(model.network, model.tasks, prepared, model.bundle),
        progress=lambda *_: seen.add(torch.get_num_threads()),
        chunk_s=30.0,
    )
    assert seen == {1}
    assert torch.get_num_threads() == 2


def test_progress_tells_each_chunk_and_the_end(model: Model, prepared: Prepared) -> None:
    told: list[tuple[float, float]] = []
    outcome_by_blocks(
        *(model.network, model.tasks, prepared, model.bundle),
        progress=lambda done_s, all_s: told.append((done_s, all_s)),
        chunk_s=30.0,
    )
    done = [done_s for done_s, _ in told]
    assert len(done) > 4
    assert done == sorted(done)
    assert told[-1] == (180.0, 180.0)


def test_a_long_record_is_analysed_by_blocks(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    record = synthesize("sinus", seed=2, duration_s=40.0, rate_hz=125.0, leads=("I", "II"))
    called: list[float] = []

    def counted(*parts: Any) -> Outcome:
        called.append(1)
        return outcomes.outcome_by_blocks(*parts)

    monkeypatch.setattr("fascicle.predict.outcome_by_blocks", counted)
    long = model.analyze(record)
    assert called == [1]
    monkeypatch.setattr(passing, "LONG_S", 1e3)
    assert model.analyze(record).leads == long.leads
    assert called == [1]


def test_a_head_that_reads_whole_records_does_not_go_by_blocks(model: Model) -> None:
    assert goes_by_blocks(model.network, model.tasks)
    whole = {"diagnosis": replace(model.tasks["diagnosis"], whole=True)}
    assert not goes_by_blocks(model.network, whole)


def test_statistics_of_long_records_are_spread() -> None:
    spans = passing.window_spans(24 * 3600 * 250, 250.0)
    some = passing.spread(spans)
    assert len(some) == 1440
    assert passing.spread(spans[:3]) == spans[:3]
    assert (some[0], some[-1]) == (spans[0], spans[-1])
    assert set(some) <= set(spans)

"""Batches: the same whoever makes which part, and honest about what is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from fascicle.data.augment import Augmentation
from fascicle.data.batch import (
    Aim,
    Batch,
    Group,
    Row,
    by_length,
    draw_rows,
    encode_covariates,
    make_batch,
)
from fascicle.data.pack import Entry, Pack
from fascicle.data.targets import Target, beats_target, labels_target, waves_target
from fascicle.labels import Term, Vocabulary
from fascicle.record import LEADS, Beat

CLASSES = Vocabulary((Term("SCP-ECG", "NORM", "normal"), Term("LUDB", "x", "other")))
AIMS: Mapping[str, Aim] = {
    "waves": Aim(waves_target, None, moves_with_lead=True),
    "beats": Aim(beats_target, None),
    "diagnosis": Aim(labels_target, CLASSES),
}
STRONG = Augmentation(
    gain=1.5,
    baseline_mv=0.2,
    noise_mv=0.1,
    cutout_s=0.5,
    lead_set=0.4,
    lead_drop=0.4,
    lead_shift_s=0.2,
    lead_shift=0.8,
    covariate_drop=0.5,
)


@pytest.fixture
def groups(pack: Pack) -> list[Group]:
    return [
        Group(pack, pack.entries[:4], ("waves", "beats"), 5),
        Group(pack, pack.entries[4:], ("diagnosis",), 3),
    ]


def _same(one: Batch, other: Batch) -> bool:
    return one.names == other.names and all(
        torch.equal(a, b)
        for a, b in (
            (one.signal, other.signal),
            (one.present, other.present),
            (one.valid, other.valid),
            (one.covariates, other.covariates),
            *((one.targets[task], other.targets[task]) for task in one.targets),
            *((one.weights[task], other.weights[task]) for task in one.weights),
        )
    )


def test_shapes_and_rows_per_task(groups: list[Group]) -> None:
    batch = make_batch(draw_rows(groups, 800, (1, 0)), 800, AIMS, STRONG)
    assert batch.signal.shape == (8, 12, 800)
    assert batch.signal.dtype == torch.float32
    assert batch.present.dtype == torch.bool
    assert batch.covariates.shape == (8, 6)
    assert batch.rows["waves"].tolist() == [True] * 5 + [False] * 3
    assert batch.rows["diagnosis"].tolist() == [False] * 5 + [True] * 3
    assert batch.targets["waves"].shape == batch.weights["waves"].shape == (5, 12, 800)
    assert batch.targets["beats"].shape == batch.weights["beats"].shape == (5, 2, 800)
    assert batch.targets["diagnosis"].shape == batch.weights["diagnosis"].shape == (3, 2)
    assert (batch.signal[~batch.present] == 0).all()
    assert batch.present.any(1).all()


def test_one_seed_makes_one_batch(groups: list[Group]) -> None:
    def make(seed: tuple[int, ...]) -> Batch:
        return make_batch(draw_rows(groups, 800, seed), 800, AIMS, STRONG)

    assert _same(make((1, 7)), make((1, 7)))
    assert not _same(make((1, 7)), make((1, 8)))
    assert not _same(make((1, 7)), make((2, 7)))


@pytest.mark.parametrize("world", [2, 3])
def test_parts_of_several_processes_are_the_rows_of_the_whole(
    groups: list[Group], world: int
) -> None:
    rows = draw_rows(groups, 800, (3, 5))
    whole = make_batch(rows, 800, AIMS, STRONG)
    for rank in range(world):
        part = make_batch(rows[rank::world], 800, AIMS, STRONG)
        mine = torch.arange(8) % world == rank
        assert part.names == whole.names[rank::world]
        assert torch.equal(part.signal, whole.signal[mine])
        assert torch.equal(part.present, whole.present[mine])
        assert torch.equal(part.valid, whole.valid[mine])
        assert torch.equal(part.covariates, whole.covariates[mine])
        for task, has in whole.rows.items():
            assert torch.equal(part.rows[task], has[mine])
            assert torch.equal(part.targets[task], whole.targets[task][mine[has]])
            assert torch.equal(part.weights[task], whole.weights[task][mine[has]])


def test_a_task_without_a_row_has_no_target(groups: list[Group]) -> None:
    batch = make_batch(draw_rows(groups[1:], 800, (0,)), 800, AIMS)
    assert set(batch.targets) == set(batch.weights) == {"diagnosis"}
    assert not batch.rows["waves"].any()


def test_without_augmentation_a_row_is_its_window(groups: list[Group], pack: Pack) -> None:
    row = Row(groups[0], pack.entries[1], 700, (0,))
    batch = make_batch([row], 500, AIMS)
    expected = np.zeros((12, 500), dtype=np.float32)
    pack.window(pack.entries[1], 700, 500, expected)
    assert np.array_equal(batch.signal[0].numpy(), expected)
    assert batch.present[0].tolist() == [lead in pack.entries[1].leads for lead in LEADS]
    target, weight = beats_target(pack.entries[1], 700, 500, 250.0, None)
    assert np.array_equal(batch.targets["beats"][0].numpy(), target)
    assert np.array_equal(batch.weights["beats"][0].numpy(), weight)


@pytest.mark.parametrize("augmentation", [None, STRONG])
def test_a_short_entry_is_padded_and_says_so(
    groups: list[Group], pack: Pack, augmentation: Augmentation | None
) -> None:
    short = pack.entries[2]
    assert short.samples == 1000
    # no lead shifts: these move a lead into the padding on purpose
    settings = None if augmentation is None else replace(augmentation, lead_shift=0.0)
    rows = [Row(groups[0], short, 0, (seed,)) for seed in range(6)]
    batch = make_batch(rows, 1600, AIMS, settings)
    assert batch.valid.tolist() == [1000] * 6
    assert (batch.signal[..., 1000:] == 0).all()
    assert (batch.signal[batch.present][:, :1000].abs().amax(1) > 0).all()
    assert (batch.weights["beats"][..., 1000:] == 0).all()
    assert (batch.weights["waves"][..., 1000:] == 0).all()


def test_drawn_windows_lie_inside_the_record(groups: list[Group]) -> None:
    for step in range(30):
        for row in draw_rows(groups, 900, (0, step)):
            assert 0 <= row.start <= row.entry.samples - 900
    starts = {row.start for row in draw_rows(groups, 5000, (0,))}
    assert starts == {0}


def test_seeds_of_rows_differ(groups: list[Group]) -> None:
    rows = [*draw_rows(groups, 900, (0, 1)), *draw_rows(groups, 900, (0, 2))]
    assert len({row.seed for row in rows}) == 16


def test_rare_rows_hold_the_kind_that_was_drawn(pack: Pack, entry: Callable[..., Entry]) -> None:
    common = [entry(key=f"n{i}", beats=(Beat(1.0, "N"),)) for i in range(20)]
    rare = [
        entry(key=beat.kind, samples=20_000, beats=(Beat(0.002, "N"), beat))
        for beat in (Beat(0.01, "S"), Beat(41.7371, "V"), Beat(79.99, "F"))
    ]
    group = Group(pack, (*common, *rare), ("beats",), 300, rare_beats=1.0)
    found = {"S": 0, "V": 0, "F": 0}
    for row in draw_rows([group], 500, (9,)):
        beat = row.entry.beats[-1]
        assert 0 <= beat.time_s * 250 - row.start < 500, beat
        found[beat.kind] += 1
    assert min(found.values()) > 70  # a third each, 100 +- 8
    places = {row.start for row in draw_rows([group], 500, (9,)) if row.entry.key == "V"}
    assert max(places) - min(places) > 400  # anywhere in the window


def test_a_share_of_rows_is_rare(pack: Pack, entry: Callable[..., Entry]) -> None:
    rare = entry(key="rare", beats=(Beat(5.0, "S"), Beat(6.0, "V"), Beat(7.0, "F")))
    group = Group(
        pack, (*(entry(key=f"n{i}") for i in range(999)), rare), ("beats",), 1000, rare_beats=0.25
    )
    drawn = sum(row.entry.key == "rare" for row in draw_rows([group], 500, (2,)))
    assert 200 < drawn < 300


def test_without_rare_beats_the_row_stays_as_drawn(pack: Pack, entry: Callable[..., Entry]) -> None:
    entries = tuple(entry(key=f"n{i}", beats=(Beat(1.0, "N"),)) for i in range(5))
    rows = draw_rows([Group(pack, entries, ("beats",), 200, rare_beats=1.0)], 500, (2,))
    assert len({row.entry.key for row in rows}) == 5
    assert len({row.start for row in rows}) > 100


def test_waves_lose_their_weight_with_their_lead(groups: list[Group], pack: Pack) -> None:
    dropped = replace(STRONG, lead_set=0.0, lead_drop=1.0, lead_shift=0.0)
    rows = [Row(groups[0], pack.entries[0], 0, (seed,)) for seed in range(40)]
    batch = make_batch(rows, 2500, AIMS, dropped)
    there = batch.present[:, 0]  # the marks are in lead I
    assert there.any()
    assert not there.all()
    assert (batch.weights["waves"][there][:, 0].sum(-1) > 0).all()
    assert (batch.weights["waves"][~there] == 0).all()
    assert (batch.weights["beats"][~there][:, 0] == 1).all()


def test_waves_move_with_their_lead(groups: list[Group], pack: Pack) -> None:
    moving = Augmentation(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 0.0)
    still = make_batch([Row(groups[0], pack.entries[0], 0, (0,))], 2500, AIMS)
    rows = [Row(groups[0], pack.entries[0], 0, (seed,)) for seed in range(12)]
    batch = make_batch(rows, 2500, AIMS, moving)
    onsets = set()
    for row in range(12):
        first = int((batch.targets["waves"][row, 0] == 2).nonzero()[0, 0])
        onsets.add(shift := first - 250)
        assert abs(shift) <= 50
        inner = slice(100, 2400)
        moved = torch.roll(still.signal[0, 0], shift)[inner]
        assert torch.equal(batch.signal[row, 0, inner], moved)
        weight = torch.roll(still.weights["waves"][0, 0], shift)
        assert torch.equal(batch.weights["waves"][row, 0], weight)
        assert torch.equal(batch.targets["beats"][row], still.targets["beats"][0])
    assert len(onsets) > 3


def test_leads_stay_where_no_task_moves_with_them(groups: list[Group], pack: Pack) -> None:
    moving = Augmentation(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 0.0)
    rows = [Row(groups[1], pack.entries[4], 0, (seed,)) for seed in range(6)]
    assert torch.equal(
        make_batch(rows, 2500, AIMS, moving).signal, make_batch(rows, 2500, AIMS).signal
    )


def test_tasks_that_nobody_asks_for_are_left_out(groups: list[Group]) -> None:
    def never(*_: object) -> Target:
        raise AssertionError("asked for a task that is not aimed at")

    rows = draw_rows(groups, 800, (0,))
    batch = make_batch(rows, 800, {"beats": AIMS["beats"]})
    assert set(batch.targets) == set(batch.rows) == {"beats"}
    with pytest.raises(AssertionError, match="not aimed"):
        make_batch(rows, 800, {"waves": Aim(never, None)})


@pytest.mark.parametrize(
    ("age", "sex", "rate_hz", "expected"),
    [
        (None, None, None, [0, 0, 0, 0, 0, 0]),
        (0.0, None, None, [0, 1, 0, 0, 0, 0]),
        (50.0, "F", 500.0, [0.5, 1, 1, 1, 0.5, 1]),
        (None, "M", 250.0, [0, 0, -1, 1, 0.25, 1]),
    ],
)
def test_covariates_tell_unknown_from_zero(
    age: float | None, sex: str | None, rate_hz: float | None, expected: list[float]
) -> None:
    values = encode_covariates(age, sex, rate_hz)
    assert values.dtype == np.float32
    assert values.tolist() == expected


def test_age_and_sex_hide_but_the_rate_does_not(groups: list[Group], pack: Pack) -> None:
    rows = [Row(groups[0], pack.entries[1], 0, (seed,)) for seed in range(30)]
    hidden = make_batch(rows, 500, {}, replace(STRONG, covariate_drop=1.0))
    shown = make_batch(rows, 500, {}, replace(STRONG, covariate_drop=0.0))
    assert (hidden.covariates[:, :4] == 0).all()
    assert (shown.covariates[:, :4] == torch.tensor([0.21, 1, 1, 1])).all()
    assert torch.equal(hidden.covariates[:, 4:], shown.covariates[:, 4:])
    assert (shown.covariates[:, 5] == 1).all()


def test_marks_stretch_with_the_signal_where_every_task_allows_it(
    pack: Pack, entry: Callable[..., Entry]
) -> None:
    still = Augmentation(
        gain=1.0, baseline_mv=0, noise_mv=0, lead_set=0, lead_drop=0, covariate_drop=0
    )
    faster = replace(still, stretch=1.5)
    aims = {**AIMS, "waves": replace(AIMS["waves"], stretches=True)}
    free = Group(pack, pack.entries[:1], ("waves",), 1)
    bound = replace(free, tasks=("waves", "diagnosis"))
    for group, moves in ((free, True), (bound, False)):
        rows = [Row(group, pack.entries[0], 0, (seed,)) for seed in range(6)]
        plain, made = (make_batch(rows, 600, aims, how) for how in (still, faster))
        counts = [
            [int((b.targets["waves"][r, 0] == 2).sum()) for b in (plain, made)] for r in range(6)
        ]
        assert made.signal.shape == plain.signal.shape
        assert any(one != other for one, other in counts) == moves
        assert torch.equal(made.signal, plain.signal) != moves


def test_groups_can_have_windows_of_their_own_length(groups: list[Group]) -> None:
    short = replace(groups[1], window=400)
    rows = draw_rows([groups[0], short], 800, (1,))
    assert rows[:5] == draw_rows(groups, 800, (1,))[:5]
    parts = by_length(rows, 800)
    assert [(window, len(mine)) for window, mine in parts] == [(800, 5), (400, 3)]
    assert [row for _, mine in parts for row in mine] == rows
    batch = make_batch(parts[1][1], 400, AIMS)
    assert batch.signal.shape == (3, 12, 400)
    assert all(row.start <= max(row.entry.samples - 400, 0) for row in parts[1][1])

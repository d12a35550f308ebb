"""Workers that are killed, interrupted or left alone. What they do is text for `eval`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from fascicle.cli.workers import cores, each, end_when_told

SUICIDE = "__import__('os')._exit(9)"
PARENT = """
import os
from fascicle.cli.workers import each
if __name__ == "__main__":
    long = "__import__('time').sleep(100)"
    for place, answer in each(eval, ["__import__('os').getpid()", long, long, long], 1):
        print(answer, flush=True)
"""


def test_every_item_has_its_answer() -> None:
    items = ["1 + 1", "'two'", "sum(range(10))"]
    assert sorted(each(eval, items, 2)) == [(0, 2), (1, "two"), (2, 45)]
    assert active_children() == []


def test_no_item_needs_no_worker() -> None:
    assert list(each(eval, [], 4)) == []


def test_an_item_that_kills_its_worker_stops_no_other() -> None:
    items = ["1", SUICIDE, "3", SUICIDE, "5"]
    assert dict(each(eval, items, 2)) == {0: 1, 1: None, 2: 3, 3: None, 4: 5}


def test_an_error_of_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each(eval, ["1 / 0"], 1))


def test_what_waits_is_not_done_after_an_interrupt(tmp_path: Path) -> None:
    late = f"__import__('time').sleep(30) or open({str(tmp_path / 'late')!r}, 'w')"
    answers = each(eval, ["1", late, late, late], 1)
    assert next(answers) == (0, 1)
    answers.close()  # type: ignore[attr-defined]  # a generator, and told as an interrupt would
    assert active_children() == []
    assert list(tmp_path.iterdir()) == []


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.kill()
    for _ in range(300):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def test_sigterm_unwinds() -> None:
    with pytest.raises(SystemExit) as end, end_when_told():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_cores_are_those_that_may_be_used() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)

"""A report's free text becomes SCP-ECG codes that it affirms, denies or leaves open.

The words are in two tables (`phrases.py`); here is how they work together. The longest match wins,
so that an incomplete bundle branch block is not a bundle branch block. A negation or hedge belongs
to the nearest phrase on its side, within a few words of the same sentence, and to those joined to
it. The idea is Chapman et al., J Biomed Inform 34:301, 2001; the reach is narrower, as machine
reports have no full stops. Words that no rule knows are kept for a check by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from fascicle.labels.phrases import Rule, fold, read_rules

Status = Literal["present", "possible", "absent"]

REACH: Final = {"before": 5, "after": 3}
"""Unknown words that may stand between a negation or hedge and its phrase."""
_STOP: Final = re.compile(r"[.;!?]")
_WORD: Final = re.compile(r"\w+")
_BETWEEN: Final = re.compile(r"[.,;!?]")


@dataclass(frozen=True, slots=True)
class Mention:
    """A code that the text speaks of, and where: `text[start:end]`."""

    code: str
    status: Status
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a report.

    Parameters
    ----------
    text
        As it came.
    mentions
        In the order of the text; a code may stand several times.
    unmatched
        Stretches of words, (start, end), in which no rule matched.
    """

    text: str
    mentions: tuple[Mention, ...]
    unmatched: tuple[tuple[int, int], ...]

    @property
    def statuses(self) -> dict[str, Status]:
        """Code -> the strongest of its statuses: present, then possible, then absent."""
        found: dict[str, Status] = {}
        ordered: tuple[Status, ...] = ("absent", "possible", "present")
        for status in ordered:
            found |= {m.code: status for m in self.mentions if m.status == status}
        return found

    def codes(self, status: Status) -> frozenset[str]:
        """Return the codes that have this status."""
        return frozenset(code for code, found in self.statuses.items() if found == status)

    @property
    def unmatched_words(self) -> tuple[str, ...]:
        """The unmatched stretches, as they stand in the text but with single blanks."""
        return tuple(" ".join(self.text[start:end].split()) for start, end in self.unmatched)


class Unmatched(NamedTuple):
    """Words that no rule knew, in small letters; in how many reports; the first of these."""

    words: str
    reports: int
    first: int


class _Match(NamedTuple):
    start: int
    end: int
    rule: Rule


def read_report(text: str, rules: Sequence[Rule] | None = None) -> Reading:
    """Return what a report says, and what of it was not understood.

    Parameters
    ----------
    text
        English or German, in any case; umlauts also as ae, oe, ue, ss.
    rules
        Of `read_rules`; by default those of the tables that ship.
    """
    folded, places = fold(text)
    matches = _longest(folded, read_rules() if rules is None else rules)
    denied, doubted = Counter[int](), Counter[int]()
    for place, match in enumerate(matches):
        if match.rule.kind in ("negation", "hedge"):
            sure, unsure = _scope(folded, matches, place)
            (denied if match.rule.kind == "negation" else doubted).update(sure)
            doubted.update(unsure)
    mentions = [
        Mention(code, _status(denied[k], doubted[k] + own), places[m.start], places[m.end - 1] + 1)
        for k, m in enumerate(matches)
        for code, own in m.rule.codes
    ]
    stretches = tuple((places[a], places[b - 1] + 1) for a, b in _gaps(folded, matches))
    return Reading(text, tuple(mentions), stretches)


def count_unmatched(readings: Iterable[Reading]) -> list[Unmatched]:
    """Return the unmatched words of many reports, those of most reports first."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    for number, reading in enumerate(readings):
        for words in {words.lower() for words in reading.unmatched_words}:
            counts[words] += 1
            first.setdefault(words, number)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Unmatched(words, count, first[words]) for words, count in ordered]


def _longest(folded: str, rules: Sequence[Rule]) -> list[_Match]:
    """Return matches that do not overlap, in order; of those that would, the longest."""
    found = [
        _Match(match.start(), match.end(), rule)
        for rule in rules
        for match in rule.pattern.finditer(folded)
    ]
    taken = bytearray(len(folded))
    kept = []
    # The sort is stable: of equal length, the first on the page and then in the table wins.
    for match in sorted(found, key=lambda m: (m.start - m.end, m.start)):
        if not any(taken[match.start : match.end]):
            taken[match.start : match.end] = b"\1" * (match.end - match.start)
            kept.append(match)
    return sorted(kept, key=lambda m: m.start)


def _scope(folded: str, matches: Sequence[_Match], place: int) -> tuple[list[int], list[int]]:
    """Return which phrases a negation or hedge speaks of, and of which it may speak.

    "No A, B or C" speaks of all three; "no A, B" of A, and who knows whether of B.
    """
    forward = matches[place].rule.position == "before"
    step, end = (1, len(matches)) if forward else (-1, -1)
    reach = REACH[matches[place].rule.position or "before"]
    sure: list[int] = []
    unsure: list[int] = []
    words, either, comma = 0, False, False
    for k in range(place + step, end, step):
        low, high = sorted((k, k - step))
        gap = folded[matches[low].end : matches[high].start]
        kind = matches[k].rule.kind
        if _STOP.search(gap) or kind == "stop":
            break
        words += len(_WORD.findall(gap))
        comma |= "," in gap or kind == "and"
        either |= kind == "or" or "/" in gap
        if kind in ("negation", "hedge") and sure:
            break
        if kind != "phrase":
            continue
        near = words <= reach and (forward or not comma)
        listed = words == 0 and (either or (comma and forward))
        if not (listed if sure else near):
            break
        if either or not sure:
            sure, unsure = [*sure, *unsure, k], []
        else:
            unsure.append(k)
        words, comma, either = 0, False, either and not forward
    return sure, unsure


def _status(denied: int, doubted: int) -> Status:
    if doubted or denied > 1:  # what is denied twice is for a person to read
        return "possible"
    return "absent" if denied else "present"


def _gaps(folded: str, matches: Sequence[_Match]) -> list[tuple[int, int]]:
    """Return where words stand that belong to no match, cut at punctuation."""
    edges = [0, *(edge for match in matches for edge in (match.start, match.end)), len(folded)]
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        cuts = [start, *(start + m.start() for m in _BETWEEN.finditer(folded[start:end])), end]
        for low, high in pairwise(cuts):
            words = list(_WORD.finditer(folded, low, high))
            if any(not word[0].isdigit() for word in words):
                found.append((words[0].start(), words[-1].end()))
    return found

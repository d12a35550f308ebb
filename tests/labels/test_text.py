"""Reports become codes: negation, doubt, scope, the longest match, umlauts, what is left."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fascicle.labels.phrases import fold
from fascicle.labels.text import Reading, count_unmatched, read_report


def said(text: str) -> dict[str, str]:
    return dict(read_report(text).statuses)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sinus rhythm. Left bundle branch block.", {"SR": "present", "CLBBB": "present"}),
        ("no AF, but LBBB", {"AFIB": "absent", "CLBBB": "present"}),
        ("no AF; LBBB", {"AFIB": "absent", "CLBBB": "present"}),
        ("No AF. LBBB", {"AFIB": "absent", "CLBBB": "present"}),
        ("No evidence of atrial fibrillation.", {"AFIB": "absent"}),
        ("absence of atrial fibrillation", {"AFIB": "absent"}),
        ("Atrial fibrillation is no longer present", {"AFIB": "absent"}),
        ("Atrial fibrillation has been ruled out", {"AFIB": "absent"}),
        ("not a normal ECG", {"NORM": "absent"}),
        ("no longer in AF, now sinus rhythm", {"AFIB": "absent", "SR": "present"}),
        ("Kein Vorhofflimmern, jedoch Linksschenkelblock", {"AFIB": "absent", "CLBBB": "present"}),
        ("kein sicherer Hinweis auf Ischämie", {"ISC_": "absent"}),
        ("Sinusrhythmus ohne ST-Senkung", {"SR": "present", "STD_": "absent"}),
        ("Ischämie ausgeschlossen", {"ISC_": "absent"}),
        ("no change: AF", {"AFIB": "present"}),
    ],
)
def test_negation_and_where_it_ends(text: str, expected: dict[str, str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "possible LVH",
        "probable LVH",
        "consider LVH",
        "cannot rule out LVH",
        "LVH cannot be excluded",
        "LVH not excluded",
        "LVH is likely",
        "LVH?",
        "Verdacht auf Linkshypertrophie",
        "V.a. Linkshypertrophie",
        "Linkshypertrophie möglich",
        "Linkshypertrophie nicht auszuschliessen",
        "Linkshypertrophie nicht auszuschließen",
        "wahrscheinlich Linkshypertrophie",
        "mögliche Linkshypertrophie",
    ],
)
def test_a_hedge_leaves_the_code_open(text: str) -> None:
    assert said(text) == {"LVH": "possible"}


def test_the_phrase_itself_can_be_open() -> None:
    assert said("mässige amplitudenkriterien für linkshypertrophie") == {
        "VCLVH": "present",
        "LVH": "possible",
    }
    assert said("vorhofflimmern/-flattern") == {"AFIB": "present", "AFLT": "possible"}


@pytest.mark.parametrize("text", ["no absence of AF", "probably no AF", "kein Ausschluss von VHF"])
def test_what_is_denied_twice_or_doubted_is_for_a_person(text: str) -> None:
    assert said(text) == {"AFIB": "possible"}


def test_age_is_not_doubt() -> None:
    assert said("inferiorer infarkt  wahrscheinlich alt") == {"IMI": "present"}
    assert said("anteriorer infarkt  mögl. akut") == {"AMI": "present"}


def test_a_list_is_denied_as_far_as_it_is_one() -> None:
    assert said("no AF, flutter or LBBB") == dict.fromkeys(("AFIB", "AFLT", "CLBBB"), "absent")
    assert said("AF, flutter or PVCs not seen") == dict.fromkeys(("AFIB", "AFLT", "PVC"), "absent")
    assert said("possible AF/flutter") == dict.fromkeys(("AFIB", "AFLT"), "possible")


@pytest.mark.parametrize("text", ["no AF, LBBB", "no AF and LBBB", "kein VHF, LSB"])
def test_a_comma_or_an_and_may_end_a_denial(text: str) -> None:
    assert said(text) == {"AFIB": "absent", "CLBBB": "possible"}


def test_reports_without_full_stops_do_not_spread_doubt() -> None:
    text = (
        "sinusrhythmus verdacht auf p-sinistrocardiale lagetyp normal av-block i linkshypertrophie"
    )
    assert said(text) == {
        "SR": "present",
        "LAO/LAE": "possible",
        "1AVB": "present",
        "LVH": "present",
    }
    backwards = (
        "av-block i qrs(t) abnorm  septaler infarkt nicht auszuschliessen  linkshypertrophie"
    )
    assert said(backwards) == {
        "1AVB": "present",
        "ABQRS": "present",
        "ASMI": "possible",
        "LVH": "present",
    }


def test_a_negation_does_not_reach_far() -> None:
    assert said("no one two three four five AF") == {"AFIB": "absent"}
    assert said("no one two three four five six AF") == {"AFIB": "present"}
    assert said("AF one two three unlikely") == {"AFIB": "absent"}
    assert said("AF one two three four unlikely") == {"AFIB": "present"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("incomplete right bundle branch block", "IRBBB"),
        ("unvollständiger Rechtsschenkelblock", "IRBBB"),
        ("vollständiger Rechtsschenkelblock", "CRBBB"),
        ("Linksschenkelblock", "CLBBB"),
        ("supraventrikuläre Extrasystole(n)", "PAC"),
        ("ventrikuläre Extrasystole(n)", "PVC"),
        ("a-v block i", "1AVB"),
        ("AV-Block 1.Grades", "1AVB"),
        ("AV-Block II. Grades", "2AVB"),
        ("2:1 AV block", "2AVB"),
        ("AV-Block III", "3AVB"),
        ("inferolateraler Infarkt", "ILMI"),
        ("hochlaterale Ischämie", "ISCLA"),
    ],
)
def test_the_longest_match_wins(text: str, code: str) -> None:
    assert said(text) == {code: "present"}


@pytest.mark.parametrize(
    "text",
    [
        "QT-Verlängerung",
        "qt-verlÄngerung",
        "QT-VERLAENGERUNG",
        "QT - Verlängerung",
        "qt\nverlängerung",
    ],
)
def test_umlauts_case_and_breaks_do_not_matter(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert said(unicodedata.normalize(form, text)) == {"LNGQT": "present"}


def test_the_strongest_status_of_a_code_counts() -> None:
    assert said("no AF. possible AF.") == {"AFIB": "possible"}
    reading = read_report("no AF. possible AF. AF.")
    assert [mention.status for mention in reading.mentions] == ["absent", "possible", "present"]
    assert reading.codes("present") == {"AFIB"}
    assert not reading.codes("absent")


def test_spans_are_those_of_the_text_as_it_came() -> None:
    text = "Größe: ÄÖÜ  unvollständiger   Rechtsschenkelblock, PVCs"
    found = [(m.code, text[m.start : m.end]) for m in read_report(text).mentions]
    assert found == [("IRBBB", "unvollständiger   Rechtsschenkelblock"), ("PVC", "PVCs")]


def test_unmatched_words_are_kept_and_small_words_are_not() -> None:
    reading = read_report(
        "Sinus rhythm with Osborn  waves in V2, V3. Tracing of 1992; fragmented QRS"
    )
    assert reading.unmatched_words == ("Osborn", "fragmented QRS")
    assert read_report("trace only requested.").unmatched == ()
    assert read_report("").unmatched == read_report("  .,;").unmatched == ()


def test_unmatched_words_of_many_reports_are_counted() -> None:
    texts = ["AF, Osborn", "LBBB", "osborn. OSBORN. delta", "Osborn"]
    counts = count_unmatched(map(read_report, texts))
    assert [(entry.words, entry.reports, entry.first) for entry in counts] == [
        ("osborn", 3, 0),
        ("delta", 1, 2),
    ]
    assert count_unmatched([]) == []


def test_a_swedish_report_is_left_for_a_person() -> None:
    reading = read_report("sinusrytm avvikande qrs(t) förlopp  anteroseptal infarkt bör övervägas")
    assert reading.mentions == ()
    assert any("sinusrytm" in words for words in reading.unmatched_words)


@given(st.text(alphabet="aäöüßnoAFİﬁ?.,;/-() \n\u0308½é", max_size=40))
def test_any_text_can_be_read_and_all_places_are_in_it(text: str) -> None:
    folded, places = fold(text)
    assert len(places) == len(folded) + 1
    assert list(places) == sorted(places)
    reading: Reading = read_report(text)
    for start, end in [*((m.start, m.end) for m in reading.mentions), *reading.unmatched]:
        assert 0 <= start < end <= len(text)
        assert text[start:end].strip()

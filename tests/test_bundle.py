"""A bundle predicts what it predicted before it was saved, or it is refused."""

from __future__ import annotations

import json
import pickle
import random
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save, save_file
from torch import Tensor

from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.bundle import file as module
from fascicle.data.batch import encode_covariates
from fascicle.errors import BadBundle, BadRequest
from fascicle.labels import Term, Vocabulary, superclasses
from fascicle.predict import Model, Prepared, predict
from fascicle.recipe import parse_recipe
from fascicle.synth import synthesize
from fascicle.tasks import TASKS


@pytest.fixture(scope="module")
def small() -> Bundle:
    """Return a bundle of a tiny net with random weights."""
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3},
            "tasks": {"waves": {}, "beats": {}, "diagnosis": {"systems": ["PTB-XL superclass"]}},
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    vocabularies = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    vocabularies["diagnosis"] = superclasses()
    blank = Bundle(recipe, vocabularies, {}, {}, {})
    torch.manual_seed(1)
    weights = new_network(recipe, blank.tasks()).state_dict()
    return replace(
        blank,
        weights=weights,
        thresholds={"diagnosis": (0.1, 0.2, 0.3, 0.4, 0.5)},
        temperatures={"diagnosis": (1.0, 1.5, 2.0, 0.5, 1.0)},
        card={"trained_on": [], "scores": []},
    )


@pytest.fixture
def path(small: Bundle, tmp_path: Path) -> Path:
    save_bundle(small, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def answers(bundle: Bundle) -> dict[str, Any]:
    model = Model(bundle)
    record = synthesize("sinus", seed=2, duration_s=4.0)
    return {**predict(model.network, model.tasks, model.prepare(record), bundle)}


def same(one: Bundle, two: Bundle) -> bool:
    """Return whether two bundles hold the same, whatever file they came from."""
    plain = [f.name for f in fields(Bundle) if f.name not in ("weights", "sha256")]
    return all(getattr(one, name) == getattr(two, name) for name in plain) and (
        one.weights_sha256 == two.weights_sha256
    )


def rewrite(path: Path, **changes: Any) -> None:
    """Change keys of a bundle's header, with the checksum that the new header has."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["fascicle"])
    header = {k: v for k, v in (header | changes).items() if v is not ...}
    if "header_sha256" not in changes:
        header["header_sha256"] = module._digest(header)
    path.write_bytes(save(load(content), metadata={"fascicle": json.dumps(header)}))


def test_a_saved_bundle_predicts_the_same(small: Bundle, path: Path) -> None:
    again = read_bundle(path)
    assert same(again, small)
    before, after = answers(small), answers(again)
    assert set(before) == {"waves", "beats", "diagnosis"}
    for task, array in before.items():
        assert np.array_equal(array, after[task])


def test_saving_returns_what_reading_does(small: Bundle, tmp_path: Path) -> None:
    saved = save_bundle(small, tmp_path / "b")
    again = read_bundle(tmp_path / "b")
    assert saved.sha256 == again.sha256
    assert len(saved.sha256) == 64
    assert same(saved, again)
    assert saved.info.sha256 == saved.sha256


def test_saving_twice_gives_the_same_bytes(small: Bundle, path: Path, tmp_path: Path) -> None:
    save_bundle(read_bundle(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_half_the_size_predicts_nearly_the_same(small: Bundle, path: Path, tmp_path: Path) -> None:
    saved = save_bundle(small, tmp_path / "half", half=True)
    again = read_bundle(tmp_path / "half")
    assert same(saved, again)
    assert {weight.dtype for weight in again.weights.values()} == {torch.float16}
    weights = 4 * sum(weight.numel() for weight in small.weights.values())
    saving = path.stat().st_size - (tmp_path / "half").stat().st_size
    assert saving == pytest.approx(weights / 2, abs=300)
    before, after = answers(small), answers(again)
    for task, array in before.items():
        assert 0 < np.abs(array - after[task]).max() < 0.02


def test_half_refuses_what_16_bits_cannot_hold(small: Bundle, tmp_path: Path) -> None:
    name = next(iter(small.weights))
    weights = {**small.weights, name: torch.full_like(small.weights[name], 1e6)}
    with pytest.raises(BadBundle, match=f"weights {name} are not finite"):
        save_bundle(replace(small, weights=weights), tmp_path / "half", half=True)
    assert not list(tmp_path.iterdir())


def test_a_net_has_its_own_weights(small: Bundle, path: Path) -> None:
    again = read_bundle(path)
    network = again.network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert again.weights_sha256 == small.weights_sha256
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_the_card_does_not_change_the_weights_checksum(small: Bundle, path: Path) -> None:
    before = read_bundle(path)
    save_bundle(replace(before, card={"note": "ä"}), path)
    after = read_bundle(path)
    assert after.card == {"note": "ä"}
    assert after.weights_sha256 == before.weights_sha256
    assert after.sha256 != before.sha256


def test_cut_and_flipped_files_are_the_same_bundle_or_refused(
    small: Bundle, path: Path, tmp_path: Path
) -> None:
    content, chance = path.read_bytes(), random.Random(7)
    header = 8 + int.from_bytes(content[:8], "little")
    outcomes = {"same": 0, "refused": 0}
    for number in range(320):
        damaged = bytearray(content)
        place = chance.randrange(header if number % 4 else len(content))
        if number % 2:
            damaged[place] ^= 1 << chance.randrange(8)
        else:
            del damaged[place:]
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            found = read_bundle(tmp_path / "damaged")
        except BadBundle:
            outcomes["refused"] += 1
        else:
            assert same(found, small)
            outcomes["same"] += 1
    assert outcomes["refused"] > 300


def test_every_bit_of_the_length_is_checked(path: Path) -> None:
    content = path.read_bytes()
    for bit in range(64):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(BadBundle, match="not a safetensors file, or damaged"):
            read_bundle(path)


def test_a_changed_number_in_the_header_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    assert content.count(b"[0.1, 0.2,") == 1
    path.write_bytes(content.replace(b"[0.1, 0.2,", b"[0.1, 0.3,"))
    with pytest.raises(BadBundle, match="header does not have its checksum"):
        read_bundle(path)


def test_changed_weights_are_noticed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="weights do not have their checksum"):
        read_bundle(path)


def test_a_bundle_from_before_the_header_had_a_checksum(small: Bundle, path: Path) -> None:
    rewrite(path, header_sha256=...)
    assert same(read_bundle(path), small)


def test_absent_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="no such file"):
        read_bundle(tmp_path / "absent")
    with pytest.raises(BadBundle, match="cannot be read"):
        read_bundle(tmp_path)


def test_foreign_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was loaded")

    path = tmp_path / "foreign"
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(torch, "load", never)
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    with pytest.raises(BadBundle, match="not a safetensors file"):
        read_bundle(path)
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(BadBundle, match="not a safetensors file"):
        read_bundle(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(BadBundle, match="not a safetensors file"):
        read_bundle(path)
    for content in (b"", b"\0" * 8, b"\xff" * 64, b"{}"):
        path.write_bytes(content)
        with pytest.raises(BadBundle, match=r"not a safetensors file|not a fascicle bundle"):
            read_bundle(path)


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2)}
    for metadata in (None, {"format": "pt"}):
        save_file(tensors, tmp_path / "other", metadata=metadata)
        with pytest.raises(BadBundle, match="but not a fascicle bundle"):
            read_bundle(tmp_path / "other")
    for text in ("not JSON", "[1, 2]", "[" * 100_000, "NaN", "{}"):
        save_file(tensors, tmp_path / "other", metadata={"fascicle": text})
        with pytest.raises(BadBundle):
            read_bundle(tmp_path / "other")


def test_a_file_too_large_to_be_a_bundle_is_not_read_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(BadBundle, match="larger than 1000 bytes"):
        read_bundle(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 3}, "schema 1 or 2 expected, found 3"),
        ({"schema": "1"}, "schema 1 or 2 expected, found '1'"),
        ({"schema": ...}, "schema 1 or 2 expected, found None"),
        ({"leads": ["I", "II"]}, "leads I, II, III.*expected"),
        ({"unit": "uV"}, "in mV expected"),
        ({"recipe": {}}, "name"),
        ({"recipe": ...}, "incomplete header"),
        ({"card": ...}, "incomplete header"),
        ({"card": [1]}, "incomplete header"),
        ({"vocabularies": {}}, "unknown task waves"),
        ({"vocabularies": 3}, "incomplete header"),
        ({"vocabularies": {"waves": {"terms": 1}}}, "not a stored vocabulary"),
        ({"thresholds": {"diagnosis": [0.5]}}, "thresholds of diagnosis: 5 expected, not 1"),
        ({"thresholds": {"diagnosis": [float("nan")] * 5}}, "thresholds of .* out of range"),
        ({"temperatures": {"diagnosis": [1, 1, 1, 1, 0]}}, "temperatures of .* out of range"),
        ({"temperatures": {"diagnosis": ["a"]}}, "incomplete header"),
        ({"weights_sha256": "0"}, "weights do not have their checksum"),
        ({"weights_sha256": ...}, "incomplete header"),
    ],
)
def test_headers_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, path: Path
) -> None:
    rewrite(path, **changes)
    with pytest.raises(BadBundle, match=message):
        read_bundle(path)


def test_an_unknown_task_is_refused(small: Bundle, path: Path) -> None:
    recipe = small.recipe.model_dump(mode="json")
    recipe["tasks"]["speech"] = recipe["tasks"]["beats"]
    vocabulary = superclasses().to_dict()
    header = {name: v.to_dict() for name, v in small.vocabularies.items()}
    rewrite(path, recipe=recipe, vocabularies={**header, "speech": vocabulary})
    with pytest.raises(BadBundle, match="unknown task speech; known: waves, beats, diagnosis"):
        read_bundle(path)


def test_another_number_of_classes_is_refused(small: Bundle, tmp_path: Path) -> None:
    terms = superclasses().terms
    fewer = {**small.vocabularies, "diagnosis": Vocabulary(terms[:4])}
    with pytest.raises(BadBundle, match="thresholds of diagnosis: 4 expected, not 5"):
        save_bundle(replace(small, vocabularies=fewer), tmp_path / "b")
    other = replace(small, vocabularies=fewer, thresholds={}, temperatures={})
    with pytest.raises(BadBundle, match=r"heads\.diagnosis\.out\.bias of shape \(4,\) expected"):
        save_bundle(other, tmp_path / "b")
    kinds = {**small.vocabularies, "beats": Vocabulary((Term("a", "b", "c"),))}
    with pytest.raises(BadBundle, match="beats has other classes than N, S, V, F, Q"):
        save_bundle(replace(small, vocabularies=kinds), tmp_path / "b")
    assert not list(tmp_path.iterdir())


def change(weights: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    name = next(iter(weights))
    match what:
        case "nan":
            return weights | {name: torch.full_like(weights[name], float("nan"))}
        case "infinite":
            return weights | {name: torch.full_like(weights[name], float("inf"))}
        case "whole":
            return weights | {name: weights[name].to(torch.int32)}
        case "more":
            return weights | {"more": torch.ones(1)}
        case "fewer":
            return {key: weight for key, weight in weights.items() if key != name}
        case _:
            return weights | {name: weights[name][..., :-1]}


@pytest.mark.parametrize("what", ["nan", "infinite", "whole", "more", "fewer", "shape"])
def test_weights_that_do_not_fit_are_refused(what: str, small: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"not finite|do not fit the recipe"):
        save_bundle(replace(small, weights=change(dict(small.weights), what)), tmp_path / "b")


@pytest.mark.parametrize("what", ["nan", "more", "shape"])
def test_weights_that_do_not_fit_are_refused_in_a_file(
    what: str, small: Bundle, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as unchecked:
        unchecked.setattr(module, "_check", lambda *_: None)
        save_bundle(replace(small, weights=change(dict(small.weights), what)), path)
    with pytest.raises(BadBundle, match=r"small\.safetensors: .*(not finite|do not fit)"):
        read_bundle(path)


def test_a_recipe_of_an_enormous_net_takes_no_memory(small: Bundle, path: Path) -> None:
    recipe = small.recipe.model_dump(mode="json")
    recipe["backbone"]["filters"] = [2**16, 2**16]  # 80 GB of kernels
    rewrite(path, recipe=recipe)
    with pytest.raises(BadBundle, match=r"backbone.* expected, found"):
        read_bundle(path)


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_bundle(small: Bundle, path: Path) -> None:
    before = path.read_bytes()
    with full_disk(5000), pytest.raises(BadBundle, match="cannot be written"):
        save_bundle(replace(small, card={"note": "new"}), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(small: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadBundle, match="cannot be written"):
        save_bundle(small, tmp_path / "file" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_bundle_without_classes_for_its_diagnosis_is_refused(small: Bundle) -> None:
    empty = replace(small, vocabularies={**small.vocabularies, "diagnosis": Vocabulary(())})
    with pytest.raises(BadBundle, match="needs classes"):
        empty.check_shapes()
    with pytest.raises(BadRequest):
        empty.tasks()


@pytest.mark.parametrize("schema", [1, 2])
def test_every_schema_is_read_forever(schema: int) -> None:
    path = Path(__file__).parent / "golden" / f"bundle_schema_{schema}.safetensors"
    golden = read_bundle(path)
    expected = json.loads(path.with_suffix(".json").read_text())
    assert golden.weights_sha256 == expected["weights_sha256"]
    clock = np.arange(500) / 125
    signal = 0.5 * np.sin(2 * np.pi * np.outer(np.arange(1, 13), clock)).astype(np.float32)
    sines = Prepared(signal, np.ones(12, dtype=np.bool_), encode_covariates(60, "F"))
    arrays = Model(golden).probabilities(sines)
    assert set(arrays) == set(expected["answers"])
    for task, array in arrays.items():
        found = [float(array.mean()), float(array.std()), float(array.flat[0])]
        assert found == pytest.approx(expected["answers"][task], abs=1e-4), task

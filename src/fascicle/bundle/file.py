"""A bundle in a file, which is written whole or not at all, and refused where it is not sound."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fascicle.bundle.nets import Bundle, difference
from fascicle.decode.ensembles import Vote
from fascicle.errors import BadBundle, FascicleError
from fascicle.files import write_whole
from fascicle.labels import Vocabulary
from fascicle.recipe import parse_recipe
from fascicle.record import LEADS
from fascicle.tasks import TASKS

SCHEMA = 1
ENSEMBLE_SCHEMA = 2
DEFAULT = "default.safetensors"
LARGEST = 2**30


def save_bundle(bundle: Bundle, path: Path, *, half: bool = False) -> Bundle:
    """Write a bundle, whole or not at all, and return it as it will be read.

    Parameters
    ----------
    bundle, path
        What is written, and where.
    half
        Store the weights in 16 bits: half the file; the net still computes in 32.

    Raises
    ------
    BadBundle
        If `read_bundle` would refuse it, or the file cannot be written.
    """
    kind = torch.float16 if half else None
    weights = {name: _stored(weight, kind) for name, weight in bundle.weights.items()}
    bundle = replace(bundle, weights=weights)
    _check(bundle, path)
    header = _header(bundle)
    text = json.dumps({**header, "header_sha256": _digest(header)}, allow_nan=False)
    content = save(weights, metadata={"fascicle": text})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise BadBundle(f"{path}: cannot be written ({error.strerror})") from None
    return replace(bundle, sha256=hashlib.sha256(content).hexdigest())


def _stored(weight: Tensor, kind: torch.dtype | None) -> Tensor:
    weight = weight.detach().cpu()
    return weight.to(kind if weight.is_floating_point() else None).contiguous()


def _header(bundle: Bundle) -> dict[str, Any]:
    header = {
        "schema": ENSEMBLE_SCHEMA if bundle.members else SCHEMA,
        "recipe": bundle.recipe.model_dump(mode="json"),
        "leads": list(LEADS),
        "unit": "mV",
        "vocabularies": {name: v.to_dict() for name, v in bundle.vocabularies.items()},
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
        "temperatures": {name: list(values) for name, values in bundle.temperatures.items()},
        "card": bundle.card,
        "licence": bundle.licence,
        "weights_sha256": bundle.weights_sha256,
    }
    if bundle.members:
        shared = ("schema", "leads", "unit", "vocabularies", "weights_sha256")
        members = [
            {k: v for k, v in _header(member).items() if k not in shared}
            | {"sha256": member.sha256}
            for member in bundle.members
        ]
        header |= {"vote": bundle.vote, "members": members}
    return header


def _digest(header: Mapping[str, Any]) -> str:
    """Return the checksum of the header without its own."""
    kept = {key: value for key, value in header.items() if key != "header_sha256"}
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def read_bundle(path: Path) -> Bundle:
    """Return the bundle in a file.

    Raises
    ------
    BadBundle
        If the file is absent, damaged, not a fascicle bundle, of another schema version, or its
        parts do not fit each other.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise BadBundle(f"{path}: larger than {LARGEST} bytes; not a fascicle bundle")
        weights = load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        header = json.loads(metadata["fascicle"])
    except FileNotFoundError:
        raise BadBundle(f"{path}: no such file") from None
    except KeyError:
        raise BadBundle(f"{path}: a safetensors file, but not a fascicle bundle") from None
    except OSError as error:
        raise BadBundle(f"{path}: cannot be read ({error.strerror})") from None
    except (SafetensorError, ValueError, RecursionError) as error:
        raise BadBundle(f"{path}: not a safetensors file, or damaged ({error})") from None
    bundle = _parse(header, weights, hashlib.sha256(content).hexdigest(), path)
    _check(bundle, path)
    return bundle


def _parse(header: Any, weights: dict[str, Tensor], digest: str, path: Path) -> Bundle:
    found = header.get("schema") if isinstance(header, dict) else None
    if found not in (SCHEMA, ENSEMBLE_SCHEMA):
        raise BadBundle(
            f"{path}: bundle schema {SCHEMA} or {ENSEMBLE_SCHEMA} expected, found {found!r:.40}"
        )
    # the bundles of the first trainings have no header_sha256
    if header.get("header_sha256", _digest(header)) != _digest(header):
        raise BadBundle(f"{path}: damaged: the header does not have its checksum")
    try:
        if tuple(header["leads"]) != LEADS or header["unit"] != "mV":
            raise BadBundle(
                f"{path}: leads {', '.join(LEADS)} in mV expected, found "
                f"{header['leads']!r:.200} in {header['unit']!r:.20}"
            )
        terms = {n: Vocabulary.from_dict(v) for n, v in header["vocabularies"].items()}
        bundle = replace(_described(header, terms, path), weights=weights, sha256=digest)
        if found == ENSEMBLE_SCHEMA:
            members = tuple(_described(member, terms, path) for member in header["members"])
            bundle = replace(bundle, members=members, vote=header["vote"])
            _check_members(bundle, path)
        promised = header["weights_sha256"]
    except BadBundle:
        raise
    except FascicleError as error:
        raise BadBundle(str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBundle(f"{path}: incomplete header ({error!r:.200})") from None
    if promised != bundle.weights_sha256:
        raise BadBundle(f"{path}: damaged: the weights do not have their checksum")
    return bundle


def _described(
    header: Mapping[str, Any], vocabularies: Mapping[str, Vocabulary], path: Path
) -> Bundle:
    """Return what a header says of one net, or of an ensemble as a whole; no weights yet."""
    return Bundle(
        recipe=parse_recipe(header["recipe"], str(path)),
        vocabularies=vocabularies,
        thresholds={n: tuple(map(float, v)) for n, v in header["thresholds"].items()},
        temperatures={n: tuple(map(float, v)) for n, v in header["temperatures"].items()},
        weights={},
        card=dict(header["card"]),
        licence=str(header["licence"]),
        sha256=str(header.get("sha256", "")),
    )


def _check(bundle: Bundle, path: Path) -> None:
    """Refuse a bundle whose parts do not fit each other."""
    _check_classes(bundle, path)
    for name, weight in bundle.weights.items():
        counts = weight.dtype == torch.int64  # the batches that a batch norm has seen
        if not (counts or (weight.is_floating_point() and bool(torch.isfinite(weight).all()))):
            raise BadBundle(f"{path}: weights {name} are not finite numbers")
    if bundle.members:
        _check_members(bundle, path)
    try:
        for net in bundle.nets():
            net.check_shapes()
    except BadBundle as error:
        raise BadBundle(f"{path}: {error}") from None


def _check_members(bundle: Bundle, path: Path) -> None:
    if bundle.vote not in get_args(Vote):
        raise BadBundle(f"{path}: vote {' or '.join(get_args(Vote))} expected: {bundle.vote!r:.40}")
    if len(bundle.members) < 2:
        raise BadBundle(f"{path}: an ensemble of two or more expected, not {len(bundle.members)}")
    for place, member in enumerate(bundle.members):
        differs = difference(bundle, member)
        if differs:
            raise BadBundle(f"{path}: the ensemble and its member {place} differ in {differs}")
        _check_classes(member, path)


def _check_classes(bundle: Bundle, path: Path) -> None:
    """Refuse classes that are not the task's, and thresholds that do not fit the classes."""

    def codes(vocabulary: Vocabulary) -> list[str]:
        return [term.code for term in vocabulary.terms]

    for name, settings in bundle.recipe.tasks.items():
        kind = settings.kind or name
        if kind not in TASKS or name not in bundle.vocabularies:
            raise BadBundle(f"{path}: unknown task {name}; known: {', '.join(TASKS)}")
        classes = len(bundle.vocabularies[name])
        fixed = TASKS[kind].vocabulary
        if fixed and codes(fixed) != codes(bundle.vocabularies[name]):
            raise BadBundle(f"{path}: {name} has other classes than {', '.join(codes(fixed))}")
        for what, values, least in (
            ("thresholds", bundle.thresholds.get(name, ()), 0.0),
            ("temperatures", bundle.temperatures.get(name, ()), 1e-6),
        ):
            if len(values) not in (0, classes):
                raise BadBundle(f"{path}: {what} of {name}: {classes} expected, not {len(values)}")
            if not all(math.isfinite(value) and value >= least for value in values):
                raise BadBundle(f"{path}: {what} of {name} out of range")


def default_bundle() -> Path:
    """Return the path of the bundle that ships with the package."""
    return Path(str(files("fascicle") / "bundles" / DEFAULT))

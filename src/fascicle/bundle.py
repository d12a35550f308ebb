"""Bundles: one safetensors file that holds weights and all that their use needs.

The header (key "fascicle", JSON) has the schema version, recipe, vocabularies, thresholds,
temperatures, model card, licence, and the checksums of the weights and of itself. An ensemble is a
bundle whose header also has those of its members. No pickle is read or written anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fascicle.decode.ensembles import Vote
from fascicle.errors import BadBundle, BadRequest, FascicleError
from fascicle.files import write_whole
from fascicle.labels import Vocabulary
from fascicle.models.context import ContextHead
from fascicle.models.network import HeadPlan, Network, build_network
from fascicle.models.typical import TypicalView
from fascicle.recipe import PerceiverRecipe, Recipe, parse_recipe
from fascicle.record import BEAT_KINDS, LEADS, BundleInfo
from fascicle.tasks import TASKS, Task, make_task

SCHEMA = 1
ENSEMBLE_SCHEMA = 2
DEFAULT = "default.safetensors"
CONTEXT = "context."
"""How the weights of the second stage begin, which tells a beat's kind from those around it."""
TYPICAL = "typical."
"""How the weights of the second view begin, which reads diagnoses from a record's typical beat."""
VIEWED = "diagnosis"
"""The task that a second view answers; it goes by the beats that the net finds."""
LARGEST = 2**30


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trained net with all that its use needs.

    Parameters
    ----------
    recipe
        How it was trained: preprocessing, backbone, tasks.
    vocabularies
        Task -> its classes, in the order of the logits.
    thresholds, temperatures
        Task -> one value per class: decision threshold, and divisor of the logit.
    weights
        Name -> tensor, as `Network` names them; of member k after "members.k."; those of a
        second stage for beats after "context.", of a second view of diagnoses after "typical.".
    card
        What it was trained on and the scores that `fascicle evaluate` wrote.
    sha256
        Of the file it was read from; empty for one that was just made.
    members
        The bundles of an ensemble, without their weights; its own recipe tells what they share.
    vote
        How the members' answers for whole records become one.
    """

    recipe: Recipe
    vocabularies: Mapping[str, Vocabulary]
    thresholds: Mapping[str, tuple[float, ...]]
    temperatures: Mapping[str, tuple[float, ...]]
    weights: Mapping[str, Tensor]
    card: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    sha256: str = ""
    members: tuple[Bundle, ...] = ()
    vote: Vote = "mean"
    views: dict[str, TypicalView] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """The second view, once it is made: every record asks for it."""

    @property
    def weights_sha256(self) -> str:
        """Checksum of the weights alone: it stays when the card changes."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            tensor = self.weights[name].detach().contiguous().cpu()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def info(self) -> BundleInfo:
        """Name, version and checksum, as findings carry them."""
        return BundleInfo(self.recipe.name, self.recipe.version, self.sha256)

    def tasks(self) -> dict[str, Task]:
        """Return the tasks with their vocabularies, in the recipe's order."""
        made = {
            name: make_task(
                name,
                self.vocabularies[name],
                kind=settings.kind,
                head=settings.head,
                loss=settings.loss,
                needs=settings.needs,
                rewrite=settings.rewrite,
            )
            for name, settings in self.recipe.tasks.items()
        }
        if self._part(TYPICAL):
            finds = tuple(name for name in ("waves", "beats") if name in made)
            needs = tuple(dict.fromkeys((*made[VIEWED].needs, *finds)))
            made[VIEWED] = replace(made[VIEWED], needs=needs)
        return made

    def thresholds_of(self, task: str) -> tuple[float, ...]:
        """Return one threshold per class, 0.5 where none was fitted."""
        return tuple(self.thresholds.get(task) or (0.5,) * len(self.vocabularies[task]))

    def nets(self) -> tuple[Bundle, ...]:
        """Return the bundles of single nets, with their weights: this one, or its members.

        Raises BadBundle if weights belong to no member.
        """
        if not self.members:
            return (self,)
        parts: dict[str, dict[str, Tensor]] = {str(k): {} for k in range(len(self.members))}
        for name, weight in self.weights.items():
            prefix, place, own = (*name.split(".", 2), "", "")[:3]
            if prefix != "members" or place not in parts:
                raise BadBundle(f"weights {name} belong to no member")
            parts[place][own] = weight
        pairs = zip(self.members, parts.values(), strict=True)
        return tuple(replace(member, weights=part) for member, part in pairs)

    def network(self) -> Network:
        """Return the net with these weights.

        Raises
        ------
        BadBundle
            If they do not fit the recipe.
        BadRequest
            If this is an ensemble, which has several.
        """
        if self.members:
            raise BadRequest(f"{self.recipe.name} is an ensemble: a bundle of one net is needed")
        self.check_shapes()
        network = new_network(self.recipe, self.tasks())
        network.load_state_dict(widened(self.net_weights))
        return network.eval()

    @property
    def net_weights(self) -> dict[str, Tensor]:
        """The weights of the net, without those of a second stage or view."""
        return {n: w for n, w in self.weights.items() if not n.startswith((CONTEXT, TYPICAL))}

    def _part(self, prefix: str) -> dict[str, Tensor]:
        """Return the weights whose names begin so, by the rest of their names; none of members."""
        if self.members:
            return {}
        return {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}

    def context(self) -> ContextHead | None:
        """Return the second stage for beats, if the bundle has one."""
        state = self._part(CONTEXT)
        if not state:
            return None
        head = ContextHead(len(BEAT_KINDS))
        head.load_state_dict(widened(state))
        return head.eval()

    def typical(self) -> TypicalView | None:
        """Return the second view of the diagnoses, if the bundle has one; not to be changed."""
        if TYPICAL not in self.views:
            state = self._part(TYPICAL)
            if not state:
                return None
            view = TypicalView(len(self.vocabularies[VIEWED]))
            view.load_state_dict(widened(state))
            self.views[TYPICAL] = view.eval()
        return self.views[TYPICAL]

    def check_shapes(self) -> None:
        """Refuse weights that do not fit the recipe, before any net takes memory (BadBundle)."""
        try:
            with torch.device("meta"):
                network = new_network(self.recipe, self.tasks())
                seconds: dict[str, nn.Module] = {CONTEXT: ContextHead(len(BEAT_KINDS))}
                if self._part(TYPICAL):
                    seconds[TYPICAL] = TypicalView(len(self.vocabularies[VIEWED]))
        except (FascicleError, RuntimeError, ValueError, LookupError) as error:
            raise BadBundle(f"the recipe makes no network: {error}") from None
        state = dict(network.state_dict())
        for prefix, second in seconds.items():
            if any(name.startswith(prefix) for name in self.weights):
                state |= {f"{prefix}{name}": w for name, w in second.state_dict().items()}
        wanted = {name: tuple(weight.shape) for name, weight in state.items()}
        found = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise BadBundle(
                    f"weights do not fit the recipe: {name} of shape {wanted.get(name)} expected, "
                    f"found {found.get(name)}"
                )


def difference(one: Bundle, other: Bundle) -> str | None:
    """Return in what two bundles differ that members of an ensemble share; None if in nothing."""
    kinds = [{k: t.kind or k for k, t in b.recipe.tasks.items()} for b in (one, other)]
    for what, mine, theirs in (
        ("rate", one.recipe.preprocessing.rate_hz, other.recipe.preprocessing.rate_hz),
        ("preprocessing", one.recipe.preprocessing, other.recipe.preprocessing),
        ("leads", ", ".join(one.recipe.leads), ", ".join(other.recipe.leads)),
        ("tasks", kinds[0], kinds[1]),
    ):
        if mine != theirs:
            return f"{what}: {mine} and {theirs}"
    for task in one.recipe.tasks:
        terms, others = one.vocabularies[task], other.vocabularies[task]
        if terms != others:
            pairs = zip(terms.terms, others.terms, strict=False)
            first = next((f", first {a.code} and {b.code}" for a, b in pairs if a != b), "")
            return f"classes of {task}: {len(terms)} and {len(others)}{first}"
    return None


def widened(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in 32 bits, whatever they are stored in; counts stay as they are."""
    return {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}


def new_network(recipe: Recipe, tasks: Mapping[str, Task]) -> Network:
    """Return a net of this recipe with fresh weights."""
    options = recipe.backbone.model_dump(exclude={"name"})
    if recipe.backbone.name != "unet":  # which has masks for absent leads, not channels
        options["leads"] = [LEADS.index(lead) for lead in recipe.leads]
    heads = [
        HeadPlan(name, task.head, len(task.classes), _head_options(recipe, name, task.head))
        for name, task in tasks.items()
    ]
    return build_network(recipe.backbone.name, options, heads, recipe.window)


def _head_options(recipe: Recipe, task: str, head: str) -> dict[str, Any]:
    """Return what the recipe says of a task's head."""
    settings = recipe.tasks[task]
    if head == "rhythm":
        return {"rate_hz": recipe.preprocessing.rate_hz}
    if head == "perceiver":
        options = (settings.perceiver or PerceiverRecipe()).model_dump()
        return {**options, "rate_hz": recipe.preprocessing.rate_hz}
    if (settings.kind or task) != "waves":
        return {}
    deep = settings.deep_supervision > 0
    return {"deep": deep, "stride": settings.stride, "width": settings.width}


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

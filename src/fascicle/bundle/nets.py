"""A bundle in memory: weights, all that their use needs, and the nets that they make."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from fascicle.decode.ensembles import Vote
from fascicle.errors import BadBundle, BadRequest, FascicleError
from fascicle.labels import Vocabulary
from fascicle.models.context import ContextHead
from fascicle.models.network import HeadPlan, Network, build_network
from fascicle.models.typical import TypicalView
from fascicle.recipe import PerceiverRecipe, Recipe
from fascicle.record import BEAT_KINDS, LEADS, BundleInfo
from fascicle.tasks import Task, make_task

CONTEXT = "context."
"""How the weights of the second stage begin, which tells a beat's kind from those around it."""
TYPICAL = "typical."
"""How the weights of the second view begin, which reads diagnoses from a record's typical beat."""
VIEWED = "diagnosis"
"""The task that a second view answers; it goes by the beats that the net finds."""


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

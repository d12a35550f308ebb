"""A bundle grows by a class: a head of its own beside the old ones, which stay as they are.

The new head, task "added", has pooling and embedding copied from a head that is there; each class
is a row of its last layer. So old answers are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fascicle.bundle import Bundle
from fascicle.errors import BadBundle, BadRequest
from fascicle.labels import Term, Vocabulary
from fascicle.models.network import Network
from fascicle.predict import Prepared, predict
from fascicle.recipe import TaskRecipe
from fascicle.train.new_class import Row

ADDED = "added"
HEADS: Mapping[str, tuple[str, str]] = {
    "diagnosis": ("diagnosis", "out"),
    "pooled": ("pooled", "out.0"),
    "challenge": ("pooled", "out.0"),
    "logistic": ("logistic", "out"),
    "softmax": ("logistic", "out"),
}
"""Head that is there -> head of new classes on what it embeds, and the last layer's name."""


def base_of(bundle: Bundle) -> str:
    """Return the task whose embedding new classes use: the added one, or the first of records.

    Raises
    ------
    BadBundle
        If it is an ensemble, or the net has no head for whole records.
    """
    if bundle.members:
        raise BadBundle("an ensemble has no one embedding: adapt each member, then join them again")
    tasks = bundle.tasks()
    every = [name for name, task in tasks.items() if task.resolution == "record"]
    of_records = [name for name in every if tasks[name].head in HEADS]
    if not of_records:
        why = f" (not as {', '.join(every)}, a Perceiver)" if every else ""
        raise BadBundle(f"a head for whole records is needed{why}; the net has {', '.join(tasks)}")
    return ADDED if ADDED in of_records else of_records[0]


def check_new(bundle: Bundle, term: Term) -> None:
    """Refuse a bundle that cannot learn a class, or has it, also as one that counts as another.

    Raises
    ------
    BadBundle
        As `base_of`.
    BadRequest
        If the bundle has the class.
    """
    base_of(bundle)
    for task, vocabulary in bundle.vocabularies.items():
        try:
            place = vocabulary.index(term.system, term.code)
        except BadRequest:
            continue
        known = vocabulary.terms[place]
        raise BadRequest(
            f"the bundle has {term.system} {term.code} already: {known.code} ({known.name}) "
            f"of {task}"
        )


def embedder(bundle: Bundle) -> Callable[[Prepared], NDArray[np.float32]]:
    """Return what turns a record into (embedding,), just as the bundle's own head sees it.

    A long record's is the mean over its windows: so a row's logit is the mean of its logits.
    """
    base = base_of(bundle)
    whole = bundle.network()
    head: Any = whole.heads[base]
    head.out = nn.Identity() if isinstance(head.out, nn.Linear) else nn.ModuleList([nn.Identity()])
    network = Network(whole.backbone, {base: head}).eval()
    network.windowed = whole.windowed
    raw = replace(bundle, temperatures={}, weights=bundle.net_weights)  # the net's own answer
    tasks = {base: replace(raw.tasks()[base], activate=_same, deciding=_same)}

    def embed(prepared: Prepared) -> NDArray[np.float32]:
        return predict(network, tasks, prepared, raw)[base]

    return embed


def _same(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return logits


def stored_kind(bundle: Bundle) -> type[np.floating[Any]]:
    """Return the kind of number in which the bundle keeps the weights that new classes copy."""
    head, _ = _head_of(bundle, base_of(bundle))
    weight = next(w for name, w in bundle.weights.items() if name.startswith(f"{head}."))
    return np.float16 if weight.dtype == torch.float16 else np.float32


def add_class(
    bundle: Bundle, term: Term, row: Row, threshold: float, entry: Mapping[str, Any]
) -> Bundle:
    """Return the bundle with one class more, and `entry` in its card under "added".

    Every tensor that was there is the same object, but the last layer of earlier added classes,
    which gets a row.

    Raises
    ------
    BadBundle, BadRequest
        As `check_new`.
    """
    check_new(bundle, term)
    base = base_of(bundle)
    prefix, last = _head_of(bundle, base)
    kind = torch.float16 if stored_kind(bundle) is np.float16 else torch.float32
    weight = torch.from_numpy(row.weight[np.newaxis]).to(kind)
    bias = torch.tensor([row.bias], dtype=torch.float64).to(kind)
    new = f"heads.{ADDED}"
    weights: dict[str, Tensor] = dict(bundle.weights)
    if base == ADDED:
        weight = torch.cat([weights[f"{new}.{last}.weight"], weight])
        bias = torch.cat([weights[f"{new}.{last}.bias"], bias])
    else:
        copied = {
            name.replace(prefix, new, 1): tensor.clone()
            for name, tensor in bundle.weights.items()
            if name.startswith(f"{prefix}.") and not name.startswith(f"{prefix}.out.")
        }
        weights |= copied
    weights |= {f"{new}.{last}.weight": weight, f"{new}.{last}.bias": bias}
    terms = bundle.vocabularies[ADDED].terms if base == ADDED else ()
    vocabularies = {**bundle.vocabularies, ADDED: Vocabulary((*terms, term))}
    thresholds = {**bundle.thresholds, ADDED: (*bundle.thresholds.get(ADDED, ()), threshold)}
    grown = replace(
        bundle,
        recipe=bundle.recipe.model_copy(
            update={"tasks": {**bundle.recipe.tasks, ADDED: _settings(bundle, base)}}
        ),
        vocabularies=vocabularies,
        thresholds=thresholds,
        weights=weights,
        card={**bundle.card, "added": [*bundle.card.get("added", []), dict(entry)]},
        sha256="",
    )
    grown.check_shapes()
    return grown


def _head_of(bundle: Bundle, base: str) -> tuple[str, str]:
    """Return how the weights of a task's head begin, and the name of its last layer."""
    return f"heads.{base}", HEADS[bundle.tasks()[base].head][1]


def _settings(bundle: Bundle, base: str) -> TaskRecipe:
    if base == ADDED:
        return bundle.recipe.tasks[ADDED]
    head = HEADS[bundle.tasks()[base].head][0]
    return TaskRecipe.model_validate({"kind": "diagnosis", "head": head})

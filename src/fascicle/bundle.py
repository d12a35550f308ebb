"""Bundles: one safetensors file that holds weights and all that their use needs.

The header (key "fascicle", JSON) has the schema version, recipe, vocabularies, thresholds,
temperatures, model card and licence. No pickle is read or written anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fascicle.errors import BadBundle, FascicleError
from fascicle.labels import Vocabulary
from fascicle.models.network import Network, build_network
from fascicle.recipe import Recipe, parse_recipe
from fascicle.record import LEADS, BundleInfo
from fascicle.tasks import TASKS, Task, make_task

SCHEMA = 1
DEFAULT = "default.safetensors"


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
        Name -> tensor, as `Network` names them.
    card
        What it was trained on and the scores that `fascicle evaluate` wrote.
    sha256
        Of the file it was read from; empty for one that was just made.
    """

    recipe: Recipe
    vocabularies: Mapping[str, Vocabulary]
    thresholds: Mapping[str, tuple[float, ...]]
    temperatures: Mapping[str, tuple[float, ...]]
    weights: Mapping[str, Tensor]
    card: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    sha256: str = ""

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
        return {name: make_task(name, self.vocabularies[name]) for name in self.recipe.tasks}

    def network(self) -> Network:
        """Return the net with these weights. Raises BadBundle if they do not fit the recipe."""
        network = new_network(self.recipe, self.tasks())
        try:
            network.load_state_dict({k: v.to(torch.float32) for k, v in self.weights.items()})
        except RuntimeError as error:
            raise BadBundle(f"weights do not fit the recipe: {error}") from None
        return network.eval()


def new_network(recipe: Recipe, tasks: Mapping[str, Task]) -> Network:
    """Return a net of this recipe with fresh weights."""
    options = recipe.backbone.model_dump(exclude={"name"})
    heads = [(name, task.head, len(task.vocabulary)) for name, task in tasks.items()]
    return build_network(recipe.backbone.name, options, heads)


def save_bundle(bundle: Bundle, path: Path) -> Bundle:
    """Write a bundle, whole or not at all, and return it with its checksum."""
    header = {
        "schema": SCHEMA,
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
    weights = {name: tensor.detach().contiguous().cpu() for name, tensor in bundle.weights.items()}
    content = save(weights, metadata={"fascicle": json.dumps(header)})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise BadBundle(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)
    return replace(bundle, sha256=hashlib.sha256(content).hexdigest())


def read_bundle(path: Path) -> Bundle:
    """Return the bundle in a file.

    Raises
    ------
    BadBundle
        If the file is absent, damaged, not a fascicle bundle, or of another schema version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["fascicle"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise BadBundle(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BadBundle(f"{path}: not a safetensors file, or damaged ({error})") from None
    except KeyError:
        raise BadBundle(f"{path}: a safetensors file, but not a fascicle bundle") from None
    return _parse(header, weights, digest, path)


def _parse(header: Any, weights: dict[str, Tensor], digest: str, path: Path) -> Bundle:
    found = header.get("schema") if isinstance(header, dict) else None
    if found != SCHEMA:
        raise BadBundle(f"{path}: bundle schema {SCHEMA} expected, found {found}")
    try:
        if tuple(header["leads"]) != LEADS or header["unit"] != "mV":
            raise BadBundle(f"{path}: leads {LEADS} in mV expected, found {header['leads']}")
        recipe = parse_recipe(header["recipe"], str(path))
        bundle = Bundle(
            recipe=recipe,
            vocabularies={n: Vocabulary.from_dict(v) for n, v in header["vocabularies"].items()},
            thresholds={n: tuple(map(float, v)) for n, v in header["thresholds"].items()},
            temperatures={n: tuple(map(float, v)) for n, v in header["temperatures"].items()},
            weights=weights,
            card=header["card"],
            licence=header["licence"],
            sha256=digest,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBundle(f"{path}: incomplete header ({error!r})") from None
    except FascicleError as error:
        raise BadBundle(str(error)) from None
    if header.get("weights_sha256") != bundle.weights_sha256:
        raise BadBundle(f"{path}: damaged: the weights do not have their checksum")
    for name in recipe.tasks:
        if name not in TASKS or name not in bundle.vocabularies:
            raise BadBundle(f"{path}: unknown task {name}; known: {', '.join(TASKS)}")
        classes = len(bundle.vocabularies[name])
        fitted = {"thresholds": bundle.thresholds, "temperatures": bundle.temperatures}
        for what, values in fitted.items():
            if len(values.get(name, ())) not in (0, classes):
                raise BadBundle(f"{path}: {what} of {name}: {classes} expected")
    return bundle


def default_bundle() -> Path:
    """Return the path of the bundle that ships with the package."""
    return Path(str(files("fascicle") / "bundles" / DEFAULT))

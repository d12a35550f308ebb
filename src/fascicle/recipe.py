"""Recipes: strict TOML becomes frozen values. An unknown key is an error that lists the known.

Everything that decides a training is in its recipe; the recipe travels inside the bundle.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from fascicle.data.augment import Augmentation
from fascicle.errors import BadRecipe, BadRequest
from fascicle.record import LEADS
from fascicle.signal.chain import Preprocessing

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a kernel must be odd, to stand on its sample")
    return value


Kernel = Annotated[int, Field(gt=0), AfterValidator(_odd)]
Channels = Annotated[int, Field(gt=0, multiple_of=8)]
"""Norms take channels in eight groups."""


def _lead(value: str) -> str:
    if value not in LEADS:
        raise ValueError(f"a lead is one of {', '.join(LEADS)}")
    return value


Lead = Annotated[str, AfterValidator(_lead)]


class Section(BaseModel):
    """A part of a recipe: frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class UNetRecipe(Section):
    """The U-Net of Sodmann et al. 2021, the default."""

    name: Literal["unet"] = "unet"
    filters: tuple[Channels, ...] = (32, 48, 64, 96, 128, 192)
    decoder: tuple[Channels, ...] = (32, 32, 48, 64, 96)
    skip: Channels = 8
    kernel: Kernel = 5
    stem_kernel: Kernel = 11
    deep_blocks: Annotated[int, Field(ge=0)] = 1
    dropout: Share = 0.1
    stem_stride: Literal[1, 2] = 2
    activation: Literal["silu", "mish"] = "silu"


class ResNet34Recipe(Section):
    """The residual net of Hughes et al. (after Rajpurkar 2017)."""

    name: Literal["resnet34"]
    width: Positive = 64
    widest: Positive = 256
    kernel: Positive = 16
    dropout: Share = 0.2


class SqueezeRecipe(Section):
    """The residual nets with squeeze-excitation of Ren, Xiong and Hooi 2021."""

    name: Literal["resnet18_se", "resnet34_se"]
    width: Positive = 64
    kernel: Kernel = 7
    stem_kernel: Kernel = 15
    dropout: Share = 0.2
    reduction: Positive = 16


class EfficientNetRecipe(Section):
    """EfficientNet with one-dimensional convolutions (Tan & Le 2019)."""

    name: Literal["efficientnet1d"]
    width: PositiveFloat = 1.0
    depth: PositiveFloat = 1.0
    dropout: Share = 0.2


class ConvolutionalRecipe(Section):
    """Private convolutional extractors and shared layers (the parameter-sharing paper)."""

    name: Literal["cnn1d"]
    extractors: Positive = 1
    width: Positive = 32
    shared: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    dropout: Share = 0.0
    kernel: Kernel = 7
    pool: Positive = 4
    layers: Positive = 1


class RecurrentRecipe(Section):
    """Private recurrent extractors and shared layers (the parameter-sharing paper)."""

    name: Literal["rnn", "lstm", "gru"]
    extractors: Positive = 1
    width: Positive = 32
    shared: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    dropout: Share = 0.0
    step: Positive = 4


BACKBONE_RECIPES: Mapping[str, type[Section]] = {
    "unet": UNetRecipe,
    "resnet34": ResNet34Recipe,
    "resnet18_se": SqueezeRecipe,
    "resnet34_se": SqueezeRecipe,
    "efficientnet1d": EfficientNetRecipe,
    "cnn1d": ConvolutionalRecipe,
    "rnn": RecurrentRecipe,
    "lstm": RecurrentRecipe,
    "gru": RecurrentRecipe,
}
"""Key of `models.network.BACKBONES` -> what a recipe can say of it."""


def _section(value: Any) -> str:
    """Return which section a backbone's table is; one without a name is the U-Net."""
    name = value.get("name", "unet") if isinstance(value, Mapping) else getattr(value, "name", "")
    section = BACKBONE_RECIPES.get(str(name))
    return "" if section is None else section.__name__


BackboneRecipe = Annotated[
    Annotated[UNetRecipe, Tag("UNetRecipe")]
    | Annotated[ResNet34Recipe, Tag("ResNet34Recipe")]
    | Annotated[SqueezeRecipe, Tag("SqueezeRecipe")]
    | Annotated[EfficientNetRecipe, Tag("EfficientNetRecipe")]
    | Annotated[ConvolutionalRecipe, Tag("ConvolutionalRecipe")]
    | Annotated[RecurrentRecipe, Tag("RecurrentRecipe")],
    Discriminator(_section),
]


class PerceiverRecipe(Section):
    """The Perceiver head (Jaegle et al. 2021); with `intervals` it needs waves and beats."""

    latents: Positive = 64
    width: Positive = 256
    iterations: Positive = 4
    attention_heads: Positive = 4
    outputs: Positive = 256
    bands: Positive = 6
    dropout: Share = 0.1
    intervals: bool = True


class TaskRecipe(Section):
    """One question: its kind (its own name, unless said), its classes, and how it is taught.

    `classes` keeps only these codes; `head` and `loss` replace those of the kind, `perceiver` has
    the options of that head; `reweigh` raises the weights of the classes that are weak on the
    validation records; `rewrite` teaches rhythm labels as `labels.rewriting` makes them.
    `deep_supervision` is what the loss of waves at the decoder's coarser levels counts, `stride`
    how many samples a frame of their marks has, `width` how many channels the map of a lead.
    With `prior` a "pooled", "challenge" or "logistic" head begins at its classes' shares of the
    training records.
    """

    kind: str | None = None
    weight: PositiveFloat = 1.0
    systems: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    min_positives: Positive = 20
    head: Literal["diagnosis", "pooled", "logistic", "challenge", "softmax", "perceiver"] | None = (
        None
    )
    loss: Literal["bce", "focal", "asymmetric", "challenge"] | None = None
    reweigh: bool = False
    prior: bool = False
    rewrite: bool = False
    deep_supervision: Annotated[float, Field(ge=0)] = 0.0
    stride: Literal[1, 2] = 2
    width: Channels = 16
    perceiver: PerceiverRecipe | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The tasks whose logits its head takes."""
        read = self.head == "perceiver" and (self.perceiver or PerceiverRecipe()).intervals
        return ("waves", "beats") if read else ()


class DecisionRecipe(Section):
    """How thresholds are fitted on the validation records, once the net is trained.

    `scope` is one threshold for all classes or one per class. `weights` says how often a record
    counts, by the beginning of its key; without it, Georgia counts 21 times and CPSC 7 times
    (the challenge-loss paper). `threshold` is one set by hand instead.
    """

    metric: Literal["f1", "youden", "challenge"] = "f1"
    scope: Literal["class", "global"] = "class"
    weights: dict[str, PositiveFloat] | None = None
    threshold: Share | None = None


class WindowsRecipe(Section):
    """Windows around known beats instead of any windows (the parameter-sharing paper).

    `classes` are the beats' classes and in which proportions they are drawn: "normal" and
    "abnormal", NSVT, SVTA, AFIB, AFL and "other", or "any" alone. `train`, `validation` and `test`
    are shares of each record, of its time or (`cut` = "class") of its beats of each class in their
    order; windows of two parts are at least `gap_s` apart. Test windows are never drawn.
    `per_class` keeps at most so many training windows of each class of each record.
    """

    classes: dict[str, PositiveFloat]
    cut: Literal["time", "class"] = "time"
    train: tuple[Share, Share] = (0.0, 1.0)
    validation: tuple[Share, Share] | None = None
    test: tuple[Share, Share] | None = None
    gap_s: PositiveFloat = 5.0
    per_class: Positive | None = None

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """The parts that are there, and their shares."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: span for part, span in every.items() if span is not None}


class GroupRecipe(Section):
    """Records of one source: which folds teach which tasks, and how many rows a batch has.

    Without `folds`, all teach that do not validate; `records` keeps those of these names, `codes`
    those with one of these codes among their labels. `window_s` is the length of the group's own
    windows, where it is another than the recipe's: diagnoses are learnt better from many short
    cuts, beats and waves from what is around them. Of its records the net sees `leads`
    alone, where they are said. `sampler` says how records are drawn: alike;
    inverse to the frequency of their positive classes; each part of the set alike (CinC's sources);
    or rare classes first, up to `fill_up` records of each class.
    With `task_per_record` each of the `records` is a task of its own (patients as tasks): the
    group and its one task are replaced by one of each per record, named TASK_RECORD.
    """

    source: str
    tasks: tuple[str, ...]
    rows: Positive
    folds: tuple[int, ...] | None = None
    validate_folds: tuple[int, ...] = ()
    window_s: PositiveFloat | None = None
    leads: Annotated[tuple[Lead, ...], Field(min_length=1)] | None = None
    records: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    rare_beats: Share = 0.0
    sampler: Literal["uniform", "inverse", "source", "fill_up"] = "uniform"
    fill_up: Positive = 4000
    windows: WindowsRecipe | None = None
    task_per_record: bool = False


class TrainingRecipe(Section):
    """The optimiser and its schedule; `steps` in all, each one change of the weights.

    "adam" adds the decay to the gradient (L2). After the warm-up the rate falls as a cosine, is
    constant, or is "cyclic": in `cycle_steps` it goes between its peak and `cycle_floor` of it.
    `accumulate` lists (first step, batches): a step takes the gradient of one batch, or from that
    step on of so many, as if they were one. `average` is the decay of the running average of the
    weights that is kept; 0 keeps the weights themselves. `mixup` is the fixed share of a second
    record. `snapshots` so many nets of the last third are kept as bundles beside the last one, for
    an ensemble of epochs. A training that starts from a bundle takes all its weights but
    `fresh` ones, and leaves `frozen` ones as they are (patterns of names).
    """

    optimiser: Literal["adamw", "adam", "ranger", "madgrad"] = "adamw"
    schedule: Literal["cosine", "constant", "cyclic"] = "cosine"
    steps: Positive = 3000
    learning_rate: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    clip_norm: PositiveFloat = 1.0
    precision: Literal["bf16", "fp32"] = "bf16"
    average: Share = 0.998
    checkpoint_steps: Positive = 200
    validate_steps: Positive = 1000
    cycle: Literal["triangular", "cosine"] = "triangular"
    cycle_steps: Positive | None = None
    cycle_floor: Share = 0.1
    accumulate: tuple[tuple[Annotated[int, Field(ge=0)], Positive], ...] = ()
    select: Literal["last", "best"] = "last"
    mixup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    snapshots: Annotated[int, Field(ge=0)] = 0
    fresh: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


def _real(value: int) -> int:
    if value < 64:
        raise ValueError("at least 64 records: correlations of fewer are mostly chance")
    return value


class PretrainingRecipe(Section):
    """What `fascicle pretrain` does before the training: Barlow Twins (Zbontar et al. 2021).

    Two views of each of `rows` records shall have the same embedding in the head of `task`, and
    outputs that are not correlated; `redundancy` is the lambda of that, and `weight` what the loss
    counts beside those of the other tasks, which are taught as ever.
    """

    task: str = "diagnosis"
    steps: Positive = 2000
    rows: Annotated[int, AfterValidator(_real)] = 64
    redundancy: PositiveFloat = 0.005
    weight: PositiveFloat = 0.01
    learning_rate: PositiveFloat = 1e-3


class Recipe(Section):
    """A whole training. The net sees `leads` only, in training and in use."""

    name: str
    version: str = "1"
    seed: int = 1
    window_s: PositiveFloat = 10.0
    leads: Annotated[tuple[Lead, ...], Field(min_length=1)] = LEADS
    preprocessing: Preprocessing = Preprocessing()
    backbone: BackboneRecipe = UNetRecipe()
    tasks: dict[str, TaskRecipe]
    groups: Annotated[tuple[GroupRecipe, ...], Field(min_length=1)]
    training: TrainingRecipe = TrainingRecipe()
    pretraining: PretrainingRecipe | None = None
    augmentation: Augmentation = Augmentation()
    decision: DecisionRecipe = DecisionRecipe()

    @property
    def window(self) -> int:
        """Samples of a training window."""
        return round(self.window_s * self.preprocessing.rate_hz)

    def samples_of(self, group: GroupRecipe) -> int:
        """Return the samples of a group's windows."""
        return round((group.window_s or self.window_s) * self.preprocessing.rate_hz)


def read_recipe(path: Path, changes: Iterable[str] = ()) -> Recipe:
    """Return the recipe in a TOML file.

    Parameters
    ----------
    path
        The file.
    changes
        "key=value" with dots into tables and list places, such as "training.steps=10" or
        "groups.0.folds=[1, 2]"; the value is TOML.

    Raises
    ------
    BadRecipe
        If the file is not TOML, a key is unknown or missing, or a value is impossible.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecipe(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRecipe(f"{path}: not TOML: {error}") from None
    for change in changes:
        _apply(tree, change)
    return parse_recipe(tree, str(path))


def parse_recipe(tree: Mapping[str, Any], where: str) -> Recipe:
    """Return the recipe of a tree of plain values. Raises BadRecipe as `read_recipe` does."""
    try:
        recipe = _with_record_tasks(Recipe.model_validate(tree), where)
    except ValidationError as error:
        raise BadRecipe("; ".join(_explain(where, e) for e in error.errors())) from None
    except BadRequest as error:  # a preprocessing or augmentation that cannot be
        raise BadRecipe(f"{where}: {error}") from None
    _check_whole(recipe, where)
    return recipe


def _with_record_tasks(recipe: Recipe, where: str) -> Recipe:
    """Return the recipe with a group and a task for each record, where a group asks for that."""
    tasks, groups = dict(recipe.tasks), []
    for place, group in enumerate(recipe.groups):
        if not group.task_per_record:
            groups.append(group)
            continue
        records, found = group.records or (), [name for name in group.tasks if name in recipe.tasks]
        if not records or len(found) != 1 or group.rows % len(records):
            raise BadRecipe(
                f"{where}: groups.{place}.task_per_record needs records, one task, and as many "
                "rows for each record"
            )
        settings = recipe.tasks[found[0]]
        tasks.pop(found[0], None)
        for record in records:
            name = f"{found[0]}_{record}"
            tasks[name] = settings
            change = {"records": (record,), "tasks": (name,), "rows": group.rows // len(records)}
            groups.append(group.model_copy(update={**change, "task_per_record": False}))
    return recipe.model_copy(update={"tasks": tasks, "groups": tuple(groups)})


def _check_whole(recipe: Recipe, where: str) -> None:
    """Refuse values that do not fit each other."""
    backbone = recipe.backbone
    if isinstance(backbone, UNetRecipe) and len(backbone.decoder) != len(backbone.filters) - 1:
        raise BadRecipe(f"{where}: backbone.decoder needs one level fewer than backbone.filters")
    if list(recipe.leads) != [lead for lead in LEADS if lead in recipe.leads]:
        raise BadRecipe(f"{where}: leads must be once each, in the order {', '.join(LEADS)}")
    if recipe.window < 1:
        raise BadRecipe(f"{where}: window_s = {recipe.window_s} holds no sample")
    _check_schedule(recipe.training, where)
    if recipe.pretraining is not None and recipe.pretraining.task not in recipe.tasks:
        raise BadRecipe(
            f"{where}: pretraining.task {recipe.pretraining.task} is none of the recipe's tasks "
            f"{', '.join(recipe.tasks)}"
        )
    for name, task in recipe.tasks.items():
        if (task.head == "challenge") != (task.loss == "challenge"):
            raise BadRecipe(f"{where}: tasks.{name}: the challenge head and loss need each other")
        if task.prior and task.head not in ("pooled", "challenge", "logistic"):
            raise BadRecipe(
                f"{where}: tasks.{name}.prior needs the head pooled, challenge or logistic"
            )
        _check_task(recipe, name, task, where)
    for place, group in enumerate(recipe.groups):
        if group.windows is not None and (group.validate_folds or group.sampler != "uniform"):
            raise BadRecipe(
                f"{where}: groups.{place}: windows around beats part by time and are drawn by "
                "their classes; no validate_folds, no sampler"
            )
        if group.window_s is not None:
            if group.windows is not None:
                raise BadRecipe(f"{where}: groups.{place}: windows around beats have no window_s")
            if recipe.samples_of(group) < 1:
                raise BadRecipe(f"{where}: groups.{place}.window_s holds no sample")
        strange = [lead for lead in group.leads or () if lead not in recipe.leads]
        if strange:
            raise BadRecipe(f"{where}: groups.{place}.leads: the net has no {', '.join(strange)}")
        strangers = set(group.tasks) - set(recipe.tasks)
        if strangers:
            raise BadRecipe(
                f"{where}: groups.{place}.tasks names {', '.join(sorted(strangers))}; "
                f"the recipe has the tasks {', '.join(recipe.tasks)}"
            )
        shared = set(group.validate_folds) & set(group.folds or ())
        if shared:
            raise BadRecipe(f"{where}: groups.{place} trains and validates on {sorted(shared)}")


def _check_schedule(training: TrainingRecipe, where: str) -> None:
    """Refuse a cycle without its length, a length without cycles, and changes out of order."""
    if (training.schedule == "cyclic") != (training.cycle_steps is not None):
        raise BadRecipe(
            f'{where}: training.schedule = "cyclic" and training.cycle_steps need each other'
        )
    firsts = [first for first, _ in training.accumulate]
    if firsts != sorted(set(firsts)):
        raise BadRecipe(f"{where}: training.accumulate must name steps once, in their order")


def _check_task(recipe: Recipe, name: str, task: TaskRecipe, where: str) -> None:
    """Refuse options of a task that its head, net or loss cannot have."""
    here, kind = f"{where}: tasks.{name}", task.kind or name
    if task.perceiver is not None and task.head != "perceiver":
        raise BadRecipe(f'{here}.perceiver: only with head = "perceiver"')
    options = task.perceiver or PerceiverRecipe()
    if options.width % options.attention_heads:
        raise BadRecipe(f"{here}.perceiver.width must be a multiple of attention_heads")
    for need in ("waves", "beats") if kind == "rhythm" else task.needs:
        if need not in recipe.tasks or recipe.tasks[need].kind not in (None, need):
            what = "its head needs" if kind == "rhythm" else "the intervals of its head need"
            raise BadRecipe(f"{here}: {what} the task {need}")
    backbone = recipe.backbone
    levels = len(backbone.decoder) if isinstance(backbone, UNetRecipe) else 0
    if task.deep_supervision and (kind != "waves" or levels < 2):
        raise BadRecipe(f"{here}.deep_supervision: only of waves, on a U-Net of several levels")
    for option in ("stride", "width"):
        usual = TaskRecipe.model_fields[option].default
        if kind != "waves" and getattr(task, option) != usual:
            raise BadRecipe(f"{here}.{option}: only of waves")
    if task.rewrite and (task.reweigh or task.loss == "challenge"):
        raise BadRecipe(f"{here}.rewrite: not with reweigh or the challenge loss")


def _explain(where: str, error: Any) -> str:
    tags = {section.__name__ for section in BACKBONE_RECIPES.values()}
    loc = tuple(part for part in error["loc"] if part not in tags)
    place = ".".join(str(part) for part in loc)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: unknown key {place}; known here: {', '.join(_known(error['loc']))}"
    if error["type"] == "union_tag_invalid":
        return f"{where}: {place}.name: one of {', '.join(BACKBONE_RECIPES)} expected"
    return f"{where}: {place or 'recipe'}: {error['msg']} (found {error.get('input')!r:.60})"


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that stand where the unknown one stood."""
    sections: dict[str, Any] = {
        "tasks": TaskRecipe,
        "groups": GroupRecipe,
        "training": TrainingRecipe,
        "pretraining": PretrainingRecipe,
        "decision": DecisionRecipe,
        "preprocessing": Preprocessing,
        "augmentation": Augmentation,
        **{section.__name__: section for section in BACKBONE_RECIPES.values()},
    }
    outer = str(loc[1] if loc[0] == "backbone" else loc[0])
    section = sections.get(outer, Recipe) if len(loc) > 1 else Recipe
    if outer == "groups" and "windows" in loc[:-1]:
        section = WindowsRecipe
    if outer == "tasks" and "perceiver" in loc[2:-1]:
        section = PerceiverRecipe
    if dataclasses.is_dataclass(section):
        return [field.name for field in dataclasses.fields(section)]
    return list(section.model_fields)


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"] if equals else None
    except tomllib.TOMLDecodeError:
        parsed = value
    if parsed is None:
        raise BadRecipe(f"--set {change}: expected key=value")
    *path, last = key.strip().split(".")
    node: Any = tree
    try:
        for part in path:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = parsed
    except (ValueError, IndexError, TypeError, AttributeError):
        raise BadRecipe(f"--set {change}: no such place in the recipe") from None

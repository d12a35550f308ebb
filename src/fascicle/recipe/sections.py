"""The sections of a recipe, and the recipe that holds them: frozen values with their defaults.

What a value may be stands here; what must fit each other is in `checks`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fascicle.data.augment import Augmentation
from fascicle.recipe.backbones import BackboneRecipe, UNetRecipe
from fascicle.recipe.values import Channels, Lead, Positive, PositiveFloat, Section, Share
from fascicle.record import LEADS
from fascicle.signal.chain import Preprocessing


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

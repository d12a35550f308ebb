"""The commands and their options; what they do stands in the modules that they import."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fascicle.cli.data import data
from fascicle.cli.options import BundlePath, DataDir, Device, Leads, PacksDir, Resume

app = typer.Typer(
    name="fascicle",
    help="One network reads an electrocardiogram: waves, beats, intervals and diagnoses.\n\n"
    "Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
app.add_typer(data, name="data")


@app.command()
def analyze(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER...",
            help="WFDB (.hea, .dat, .mat or without suffix), .csv, .tsv, .npy, .npz; folders are "
            "searched through all their levels.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the findings go.")],
    bundle: BundlePath = None,
    lead_set: Leads = None,
    formats: Annotated[
        str, typer.Option("--format", help="Any of json,png,svg,pdf,atr,challenge, with commas.")
    ] = "json,png",
    lead_names: Annotated[
        str | None, typer.Option(help="Names of the leads in the file's order, with commas.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Samples per second, where the file does not tell.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="uV, mV or V, where the file does not tell.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0 is one per core.", min=0, max=256)] = 0,
) -> None:
    """Read ECGs and write what is in them: NAME.json, a 12-lead page, annotations.

    Exit code 0: all were analysed; 1: some failed; 2: none was.

    Example: fascicle analyze ecg.hea --out findings --format json,pdf
    """
    from fascicle.cli.analysis import Request, analyze_paths

    request = Request(
        out=out,
        bundle=bundle,
        lead_set=lead_set.value if lead_set else None,
        formats=tuple(part.strip() for part in formats.split(",") if part.strip()),
        lead_names=tuple(n.strip() for n in lead_names.split(",")) if lead_names else None,
        rate_hz=rate,
        unit=unit,
    )
    raise typer.Exit(analyze_paths(paths, request, jobs))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the findings go.")] = Path("out/demo"),
    bundle: BundlePath = None,
) -> None:
    """Analyse the synthetic ECG that ships with the package and print what was found."""
    from fascicle.cli.analysis import run_demo

    run_demo(out, bundle)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file, such as recipes/default.toml.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints, log and bundle.")],
    data_dir: DataDir = None,
    packs: PacksDir = None,
    resume: Resume = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help='Change the recipe, such as "training.steps=100".'),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(help="Development bundle: take its classes, thresholds and temperatures."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Bundle whose weights to start from, but training.fresh."),
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Train a bundle from a recipe. Several processes: torchrun -m fascicle train ..."""
    from fascicle.cli.training import train_command

    changes = tuple(change or ())
    train_command(recipe, out, data_dir, packs, resume, changes, threads, device, like, start)


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="TOML file that says how, under pretraining.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints, log and bundle.")],
    data_dir: DataDir = None,
    packs: PacksDir = None,
    resume: Resume = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help='Change the recipe, such as "pretraining.steps=500".'),
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Teach a net's classification branch from ECGs without their labels, before its training.

    Two views of each record, varied as the recipe's augmentation says, shall have the same
    embedding, and its outputs shall not be redundant (Barlow Twins). The other tasks are taught as
    ever. In the log twins.alike should climb towards 1, and twins.redundancy fall after a while.

    The bundle is a start for a training; its diagnoses mean nothing yet.

    Example: fascicle pretrain RECIPE --data DIR --out pre

    Then: fascicle train RECIPE --data DIR --out run --from pre/bundle.safetensors
    """
    from fascicle.cli.training import pretrain_command

    changes = tuple(change or ())
    pretrain_command(recipe, out, data_dir, packs, resume, changes, threads, device)


@app.command()
def adapt(
    bundle: Annotated[Path, typer.Argument(help='Bundle file, or "default".')],
    new_class: Annotated[
        str, typer.Option(help='Code of the class, such as "SCP-ECG:2AVB", or one of your own.')
    ],
    out: Annotated[Path, typer.Option("--out", help="The new bundle; must not be there yet.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data", help="CSV list path,label[,patient]; with --source the data sets' folder."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="ludb, ptbxl, ptbxl100 or cinc2021 instead of a list.")
    ] = None,
    fold: Annotated[
        list[int] | None, typer.Option(help="Only this fold; may be given several times.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people read; for a code of yours.")] = None,
    method: Annotated[str, typer.Option(help="auto, logistic or prototype.")] = "auto",
    negatives: Annotated[
        int, typer.Option(help="At most so many records without the class; 0 takes all.", min=0)
    ] = 0,
    lead_names: Annotated[
        str | None, typer.Option(help="Names of the leads in the files' order, with commas.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Samples per second, where the files do not tell.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="uV, mV or V, where the files do not tell.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds and draws.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Teach a bundle a class from 5 records or more; its old answers stay as they are, bit by bit.

    It prints, and the card keeps, what to expect: cross-validated by patient, with intervals.

    Example: fascicle adapt default --new-class WPW --source ptbxl --out ours.safetensors
    """
    from functools import partial

    from fascicle.cli.adapting import Wish, adapt_command
    from fascicle.io import read

    names = tuple(part.strip() for part in lead_names.split(",")) if lead_names else None
    read_file = partial(read, rate_hz=rate, unit=unit, lead_names=names, annotations=False)
    wish = Wish(new_class, name, method, negatives, seed, read_file)
    adapt_command(bundle, out, data_dir, source, tuple(fold) if fold else None, wish, threads)


@app.command()
def context(
    bundle: Annotated[Path, typer.Argument(help='Bundle file, or "default".')],
    out: Annotated[Path, typer.Option("--out", help="The new bundle; must not be there yet.")],
    data_dir: DataDir = None,
    fold: Annotated[
        list[int] | None,
        typer.Option(help="MIT-BIH's folds: 1 is DS1 (the default), 2 is DS2; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.", min=0)] = 0,
    keep: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished records, to go on later.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Teach a bundle to tell the kind of a beat (N S V F Q) from the beats around it.

    The net stays as it is. A small second stage is taught on MIT-BIH's beats, as they are and set
    into other rhythms.

    Example: fascicle context default --data DIR --out ours.safetensors
    """
    from fascicle.cli.context import context_command

    context_command(bundle, out, data_dir, tuple(fold or (1,)), seed, keep, threads)


@app.command()
def typical(
    bundle: Annotated[Path, typer.Argument(help='Bundle file, or "default".')],
    out: Annotated[Path, typer.Option("--out", help="The new bundle; must not be there yet.")],
    data_dir: DataDir = None,
    packs: PacksDir = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.", min=0)] = 0,
    like: Annotated[
        Path | None,
        typer.Option(help="Development bundle: take its thresholds, temperatures and scores."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Of the new bundle. Default: as it was.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the weights in 16 bits.")] = False,
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Teach a bundle to read diagnoses from a record's typical beat as well.

    The net stays as it is: it finds the beats. A small second view is taught on the median beat of
    each record that taught the net's diagnoses; these are then answered by both. Thresholds are
    fitted anew on the records that the net's recipe holds out.

    Example: fascicle typical runs/mine/bundle.safetensors --data DIR --out mine.safetensors
    """
    from fascicle.cli.typical import typical_command

    typical_command(bundle, out, data_dir, packs, seed, like, version, half, threads)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help='Bundle file, or "default".')],
    source: Annotated[str, typer.Option(help="mitdb, ludb, ptbxl, ptbxl100 or cinc2021.")],
    data_dir: DataDir = None,
    fold: Annotated[
        list[int] | None, typer.Option(help="Only this fold; may be given several times.")
    ] = None,
    lead_set: Leads = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for all scores.")] = None,
    resamples: Annotated[
        int, typer.Option(help="Draws of patients behind each interval.", min=0)
    ] = 1000,
    card: Annotated[bool, typer.Option(help="Write the scores into the bundle's card.")] = False,
    threads: Annotated[int, typer.Option(help="Threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Score a bundle on a data set, with 95 % intervals over patients."""
    from fascicle.cli.training import evaluate_command

    evaluate_command(
        bundle,
        source,
        data_dir,
        tuple(fold) if fold else None,
        lead_set.value if lead_set else None,
        out,
        resamples,
        card,
        threads,
    )


class EscapeBeats(StrEnum):
    """The class of escape beats: N as in this project's nets, S as in WFDB's bxb."""

    normal = "N"
    supraventricular = "S"


@app.command()
def score(
    reference: Annotated[
        Path,
        typer.Argument(metavar="LABELS_DIR|REF", help="Label headers; or reference annotations."),
    ],
    estimate: Annotated[
        Path,
        typer.Argument(metavar="OUTPUTS_DIR|TEST", help="Output files; or a detector's beats."),
    ],
    beats: Annotated[
        bool, typer.Option("--beats", help="Beat by beat after AAMI EC57: files or folders.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file for all scores.")] = None,
    start: Annotated[
        float | None,
        typer.Option(help="With --beats: score from this second on. Default: 300."),
    ] = None,
    suffix: Annotated[
        str | None,
        typer.Option(help="With --beats: suffix of TEST's files, where there are several kinds."),
    ] = None,
    escape: Annotated[
        EscapeBeats | None,
        typer.Option(help="With --beats: class of escape beats. Default: N; bxb has S."),
    ] = None,
) -> None:
    """Score files: PhysioNet/CinC Challenge 2021, or beats as WFDB's bxb does.

    Examples: fascicle score labels outputs; fascicle score --beats mitdb found --suffix .qrs
    """
    from fascicle.cli.scoring import score_beats_command, score_command

    if beats:
        score_beats_command(reference, estimate, out, start, suffix, escape or EscapeBeats.normal)
    elif start is not None or suffix is not None or escape is not None:
        from fascicle.errors import BadRequest

        raise BadRequest("--start, --suffix and --escape belong to --beats")
    else:
        score_command(reference, estimate, out)


class Votes(StrEnum):
    """How the answers of an ensemble's nets become one."""

    mean = "mean"
    majority = "majority"


@app.command()
def ensemble(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help='Bundle files; "default" is one.')
    ],
    out: Annotated[Path, typer.Option("--out", help="The ensemble, a bundle like any other.")],
    vote: Annotated[
        Votes,
        typer.Option(help="Mean of probabilities and thresholds, or majority of decisions."),
    ] = Votes.mean,
    name: Annotated[str, typer.Option(help="What findings call it.")] = "ensemble",
    half: Annotated[bool, typer.Option("--half", help="Store the weights in 16 bits.")] = False,
) -> None:
    """Make one bundle of several: of the epochs of a training, or of different nets.

    Example: fascicle ensemble run/snapshot_*.safetensors --out epochs.safetensors
    """
    from fascicle.cli.ensembles import ensemble_command

    ensemble_command(bundles, out, vote.value, name, half)


@app.command()
def info(
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle file; default: the shipped.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole card as JSON.")] = False,
) -> None:
    """Print a bundle's model card: classes, training data, scores."""
    from fascicle.cli.training import info_command

    info_command(bundle, json)

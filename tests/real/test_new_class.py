"""A real class that the development bundle lacks, from the records that PTB-XL has of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fascicle.data.sources import SOURCES
from fascicle.labels import SCP
from fascicle.metrics.classification import auroc
from fascicle.predict import Model, choose_leads, load, predict
from fascicle.signal.quality import assess
from fascicle.train.adapt import Taught, adapt
from fascicle.train.added import embedder
from fascicle.train.cases import Case, find_term

DEVELOPMENT = Path(__file__).parents[2] / "benchmarks" / "development" / "bundle.safetensors"


def test_atrial_flutter_is_learnt_from_seven_records(data_dir: Path) -> None:
    model = load(DEVELOPMENT, threads=1)
    source = SOURCES["ptbxl"]
    items = source.index(data_dir / "ptbxl")
    flutter = {item.key for item in items if "AFLT" in source.load(item).labels[SCP]}
    taught = [item for item in items if item.fold <= 7]
    negatives = [item for item in taught if item.key not in flutter][::20]
    chosen = [item for item in taught if item.key in flutter] + negatives
    cases = [
        Case(item.key, item.patient, item.key in flutter, partial(source.load, item))
        for item in chosen
    ]
    grown = Model(
        adapt(model.bundle, find_term("AFLT"), cases, Taught("ptbxl", None, ("ptbxl",)), seen=True)
    )
    (entry,) = grown.bundle.card["added"]
    assert entry["positives"] == 7
    assert entry["expected"]["auroc"] > 0.9
    tested = [item for item in items if item.fold > 7]
    shown = [item for item in tested if item.key in flutter] + tested[::30]
    truth, scores = [], []
    for item in shown:
        record = source.load(item)
        old, new = model.analyze(record), grown.analyze(record)
        assert new.diagnoses[:-1] == old.diagnoses
        assert new.waves == old.waves
        truth.append(item.key in flutter)
        scores.append(new.diagnoses[-1].probability)
    assert auroc(np.array([truth]).T, np.array([scores]).T)[0] > 0.95


def test_embeddings_make_the_same_logits_as_the_head(data_dir: Path) -> None:
    model = load(DEVELOPMENT, threads=1)
    item = SOURCES["mitdb"].index(data_dir / "mitdb")[0]
    whole = choose_leads(SOURCES["mitdb"].load(item), None)
    record = replace(whole, signal=whole.signal[:, : int(120 * whole.rate_hz)])
    prepared = model.prepare(record, assess(record))
    weights = model.network.state_dict()
    embedding = embedder(model.bundle)(prepared)
    weight, bias = (weights[f"heads.diagnosis.out.{part}"].numpy() for part in ("weight", "bias"))
    logits = embedding @ weight.T + bias
    alone = replace(model.bundle, weights=model.bundle.net_weights)
    said = predict(model.network, alone.tasks(), prepared, alone)["diagnosis"]
    temperatures = np.array(model.bundle.temperatures["diagnosis"])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits / temperatures)), said, atol=1e-4)

"""Draw the 12-lead page of a synthetic left bundle branch block, as PDF in true size."""

from pathlib import Path

import fascicle
from fascicle.report import write_findings
from fascicle.synth import Noise, synthesize

record = synthesize("lbbb", seed=4, noise=Noise())
findings = fascicle.load().analyze(record)
for path in write_findings(record, findings, Path("out/examples"), ("json", "pdf")):
    print("wrote", path)

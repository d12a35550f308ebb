"""Read an ECG, analyse it, print what was found: the shortest use of fascicle from Python."""

import sys

import fascicle
from fascicle.report import summarize
from fascicle.synth import synthesize

if len(sys.argv) > 1:
    record = fascicle.read(sys.argv[1])
else:
    record = synthesize("avb1", seed=1)  # a synthetic ECG with first-degree AV block

findings = fascicle.load().analyze(record)
print(summarize(findings))

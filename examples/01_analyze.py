"""Read an ECG, analyse it, print what was found: the shortest use of fascicle from Python."""

import sys

import fascicle
from fascicle.report import summarize
from fascicle.synth import synthesize

# Without a file: a synthetic ECG with first-degree AV block.
record = fascicle.read(sys.argv[1]) if len(sys.argv) > 1 else synthesize("avb1", seed=1)
findings = fascicle.load().analyze(record)
print(summarize(findings))

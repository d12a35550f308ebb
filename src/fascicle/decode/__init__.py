"""Network probabilities become findings: waves, beats, intervals, thresholds, stitching.

Plain numpy and scipy on arrays; no torch. Times are seconds from the first sample, and sample i
stands for the instant i / rate_hz.
"""

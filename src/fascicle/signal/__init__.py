"""A Record becomes a cleaner Record: filters, resampling, leads, quality. numpy and scipy only.

Signals are (lead, sample) float32 in millivolts. Every function returns a new array, keeps the time
of every sample (zero phase, no shift) and returns finite samples: gaps (NaN) are bridged by a
straight line.
"""

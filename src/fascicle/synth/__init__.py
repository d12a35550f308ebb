"""Synthetic 12-lead ECGs whose waves, beats, rhythm and conditions are exactly known.

A dipole moves through the heart cycle; a lead field turns it into twelve leads (mV). Parameters are
drawn from a seed, then pure functions make the signal and its marks.
"""

from fascicle.synth.conditions import CONDITIONS, Condition
from fascicle.synth.generate import synthesize
from fascicle.synth.noise import NOISE_KINDS, Noise, add_noise

__all__ = ["CONDITIONS", "NOISE_KINDS", "Condition", "Noise", "add_noise", "synthesize"]

"""Tensors become logits. This room imports no other room of fascicle and can be lifted out alone.

Shapes are written in words, batch first: signal (batch, lead, sample) float32 in mV at the net's
own rate, `present` (batch, lead) bool, `valid` (batch,) samples that are not padding.
"""

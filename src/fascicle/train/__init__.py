"""A recipe and data become weights: batches, steps, checkpoints. Resuming is exact."""

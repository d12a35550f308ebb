"""Records become batches: data sets, their download and check, splits, packs, windows."""

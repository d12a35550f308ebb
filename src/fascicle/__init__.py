"""One network reads an electrocardiogram: waves, beats, intervals and diagnoses."""

"""The rooms below the net work alone: clean a record, look at its quality, score marks."""

from fascicle.metrics.waves import annotated_span, boundary_counts, wave_scores
from fascicle.signal.chain import Preprocessing, prepare
from fascicle.signal.quality import assess
from fascicle.synth import Noise, add_noise, synthesize

truth = synthesize("sinus", seed=2, heart_rate_bpm=80, noise=Noise())
noisy = add_noise(truth, snr_db=6, kind="muscle", seed=2)
cleaned = prepare(noisy.signal, noisy.rate_hz, Preprocessing())
print("cleaned to", cleaned.shape, "at 250 Hz")
for lead, quality in assess(noisy).items():
    print(lead, quality.status, *quality.reasons)

waves = [wave for wave in truth.waves if wave.lead == "II" and wave.onset_s and wave.offset_s]
counts = boundary_counts(waves, waves, tolerance_s=0.15, span=annotated_span(waves))
print("a perfect delineator has", wave_scores([counts])["QRS.f1"])

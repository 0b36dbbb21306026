"""How a sound is shown to people, in the report and by `captioner serve`."""

from captioner.audio.logmel import LogMelSettings

SPECTROGRAM = LogMelSettings(  # windows and hops as the task's front-end, in more bands
    kind="logmel",
    sample_rate_hz=44100,
    window="hamming",
    n_fft=2048,
    hop=1024,
    n_mels=96,
    f_min_hz=0.0,
    f_max_hz=22050.0,
    power=2,
    log_offset=1e-10,
    log_floor="maximum",
    scale="decibel",
    peak_normalise=False,
    storage="float32",
)
DYNAMIC_RANGE_DB = 80  # shown, below the loudest
LOWEST_TOP_DB = -20  # of a tone about 60 dB below full scale: silence, at -100 dB, is black

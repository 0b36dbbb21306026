"""The Slaney mel filter bank."""

import numpy as np

# Slaney, "Auditory Toolbox", version 2, Technical Report 1998-010, Interval Research: linear below
# 1 kHz (3 mel per 200 Hz), logarithmic above (27 mel for a factor of 6.4).
HZ_PER_MEL = 200 / 3
BREAK_HZ = 1000.0
BREAK_MEL = BREAK_HZ / HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Frequency in Hz to mel on Slaney's scale."""
    hz = np.asarray(hz, dtype=np.float64)
    logarithmic = BREAK_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, hz / HZ_PER_MEL, logarithmic)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Mel on Slaney's scale to frequency in Hz."""
    mel = np.asarray(mel, dtype=np.float64)
    logarithmic = BREAK_HZ * np.exp(LOG_STEP * (np.maximum(mel, BREAK_MEL) - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * HZ_PER_MEL, logarithmic)


def mel_filter_bank(
    sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float
) -> np.ndarray:
    """Give triangular filters (n_mels, n_fft // 2 + 1) float64 of unit area (Slaney's norm).

    Filter m rises from edge m to edge m + 1 and falls to edge m + 2, where the n_mels + 2 edges
    are equally spaced in mel; its height is 2 / (edge m + 2 - edge m), in 1/Hz. A
    filter so narrow that no FFT bin lies inside is all zeros.
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(f_min_hz), hz_to_mel(f_max_hz), n_mels + 2))
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # (n_mels, 1)
    bins = np.arange(n_fft // 2 + 1) * (sample_rate_hz / n_fft)  # Hz
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.maximum(triangles, 0) * (2 / (upper - lower))

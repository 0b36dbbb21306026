"""Reading audio, and front-ends: from a waveform to a feature matrix (n_frames, n_features)."""

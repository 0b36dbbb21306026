"""A trained system as ONNX graphs: from a waveform to captions without PyTorch."""

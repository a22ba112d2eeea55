"""Encoded bytes -> waveform -> spectrogram -> windows."""

"""Trainable parts of the detectors, and the files they are saved in."""

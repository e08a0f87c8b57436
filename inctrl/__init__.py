"""Few-shot visual anomaly detection: k normal images in, score, verdict and heat map out."""

__version__ = "0.1.0"

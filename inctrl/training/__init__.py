"""Training of the embedded backbone: the program that makes the weights of `tiny`."""

"""The HTTP service, what a plant uses every day. Importing this loads nothing heavy."""

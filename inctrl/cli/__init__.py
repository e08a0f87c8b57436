"""The command line. Each command is a module with `register` and `run`; main.py lists them."""

"""Training: the program that makes the weights of `tiny`, and the loops of `inctrl train`.

prompt_context.py   CoOp's prompts, on labelled images of other items
registration.py     RegAD's registration, on normal images of other items
all others          the embedded backbone's text side (`python -m inctrl.training`)
"""

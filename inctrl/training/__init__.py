"""Training: what `inctrl train` runs.

fusion.py           InCTRL's bottleneck and heads, on episodes of labelled images
prompt_context.py   CoOp's prompts, on labelled images of other items
registration.py     RegAD's registration, on normal images of other items
tiny/               the program that makes the embedded backbone's text side
"""

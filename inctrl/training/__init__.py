"""Training: what `inctrl train` runs.

job.py              InCTRL's adapter from the sets to the trained module
auxiliary.py        which sets are trained on and which is held out; the table of their features
examples.py         their images, and drawn defects
episodes.py         which queries and shots a step sees
fusion.py           InCTRL's bottleneck and heads on frozen features
tuned.py            the same with low-rank updates of the image tower
loop.py             epochs, checkpoints, early stop; processes.py beside it
prompt_context.py   CoOp's prompts, on labelled images of other items
registration.py     RegAD's registration, on normal images of other items
"""

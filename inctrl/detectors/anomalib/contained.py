"""Nothing of the library reaches beyond a call: random numbers, log lines, warnings."""

import io
import logging
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import numpy as np
import torch

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def contained(seed: int) -> Iterator[None]:
    """Random numbers follow the seed within and are as before after; the library is quiet.

    One thread at a time: these numbers, and what makes the towers, belong to the whole process.
    """
    with _ONE_AT_A_TIME, _quiet(), torch.random.fork_rng(devices=[]):
        states = random.getstate(), np.random.get_state()
        # Of the CPU alone, where all is trained; another device would not be put back.
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's advice and progress bars are for those who call it directly."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

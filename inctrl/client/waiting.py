"""Following a job until it has ended."""

import time
from collections.abc import Callable

from inctrl.errors import Busy
from inctrl.service.schemas import JobReply

ENDED = ("succeeded", "failed", "cancelled", "interrupted")


def ended(
    look: Callable[[], JobReply],
    on_change: Callable[[JobReply], object],
    every: float,
    timeout: float | None,
) -> JobReply:
    """What `look` gives once the job has ended; Busy where it goes on after `timeout` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    before = None
    while True:
        job = look()
        if job != before:
            on_change(job)
        if job.state in ENDED:
            return job
        if until is not None and time.monotonic() >= until:
            raise Busy(f"job {job.id} is {job.state} after {timeout:g} s; wait longer", every)
        before = job
        time.sleep(every)

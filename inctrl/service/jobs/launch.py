"""Becomes a command that does not outlive its parent: `python launch.py PARENT COMMAND...`.

On Linux the kernel kills it when the thread that started it ends; elsewhere it goes on, and the
lock of its job's folder, which it has inherited, keeps others out until it is done. A program of
its own, because no Python code may run between fork and exec in a process with threads.
"""

import ctypes
import os
import signal
import sys

SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG in <linux/prctl.h>."""
NICE = 10


def main(parent: int, command: list[str]) -> None:
    os.nice(NICE)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() == parent:  # else it has died before the kernel was asked
        os.execv(command[0], command)  # noqa: S606  that is its purpose


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

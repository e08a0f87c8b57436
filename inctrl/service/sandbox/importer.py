"""The child that reads an archive: `python -m inctrl.service.sandbox.importer`.

It holds no more than a share of the machine, and says how it ended as a line of JSON:
{"name": of the set} or {"error": name of the class, "detail": why}.
"""

import argparse
import json
import os
import resource
import sys
from pathlib import Path

from inctrl.errors import InctrlError
from inctrl.service.sandbox.limits import die_with, lower
from inctrl.store import open_store
from inctrl.store.transfer import import_set

NICE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--name")
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    parser.add_argument("--seconds", type=int, required=True, help="of processor")
    parser.add_argument("--pixels", type=int, required=True, help="of one image")
    parser.add_argument("--parent", type=int, required=True, help="the process to die with")
    args = parser.parse_args()
    die_with(args.parent)
    confine(args.memory, args.seconds)
    try:
        with open_store(args.store) as store:
            version = import_set(store, args.archive, name=args.name, pixels=args.pixels)
        outcome = {"name": version.name}
    except MemoryError:
        outcome = {"error": "MemoryError", "detail": ""}
    except InctrlError as error:
        outcome = {"error": type(error).__name__, "detail": str(error)}
    sys.stdout.write(json.dumps(outcome))


def confine(memory: int, seconds: int) -> None:
    """Leave the machine to others, and end where an archive keeps the decoders busy for ever."""
    os.nice(NICE)
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        lower(kind, limit)


if __name__ == "__main__":
    main()

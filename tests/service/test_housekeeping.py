"""Services that share a store: which of them are alive, and what died with the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inctrl.service.housekeeping import PREFIX, SERVICES, ServiceLock
from inctrl.store import InFlight, Store, open_store

KILLED = """
import os, sys
from pathlib import Path
from inctrl.service.housekeeping import ServiceLock
from inctrl.store import open_store
store = open_store(sys.argv[1])
ServiceLock(store).__enter__()
store.replies.begin("killed", "digest")
os._exit(9)
"""


def signs(store: Store) -> set[str]:
    return {path.name.removeprefix(PREFIX) for path in (store.folder / SERVICES).iterdir()}


def test_what_the_living_do_stays_and_what_the_dead_did_may_be_done_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env=os.environ)
    with open_store(tmp_path) as first, open_store(tmp_path) as second:
        with pytest.raises(InFlight):
            first.replies.begin("killed", "digest")
        assert len(signs(first)) == 1
        with ServiceLock(first):
            assert signs(first) == {first.replies.owner}
            assert first.replies.begin("killed", "digest") is None
            with ServiceLock(second):
                assert signs(first) == {first.replies.owner, second.replies.owner}
                with pytest.raises(InFlight):
                    second.replies.begin("killed", "digest")
            assert signs(first) == {first.replies.owner}
            with ServiceLock(second), pytest.raises(InFlight):
                second.replies.begin("killed", "digest")
        with ServiceLock(second):
            assert second.replies.begin("killed", "digest") is None
        assert signs(first) == set()

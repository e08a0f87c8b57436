"""`inctrl serve` from the start to the end: what is refused, by which names it can be called."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from inctrl.errors import UsageError
from inctrl.service.http.tokens import write_token_file
from inctrl.service.server import serve
from inctrl.service.settings import LOOPBACK, Settings


@contextmanager
def command(store: Path, *options: str) -> "Iterator[subprocess.Popen[str]]":
    arguments = [sys.executable, "-m", "inctrl", "serve", "--no-page", "--port=0", "--threads=1"]
    with subprocess.Popen(
        [*arguments, f"--store={store}", *options], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    found = re.search(r"http://\S+", process.stderr.readline())
    assert found is not None
    return found[0]


def test_it_can_be_called_by_the_address_at_which_it_listens(tmp_path: Path) -> None:
    with command(tmp_path, "--host=127.0.0.2") as process:
        url = address(process)
        assert url.startswith("http://127.0.0.2:")
        assert httpx2.get(f"{url}/livez", trust_env=False).status_code == 200
        other = httpx2.get(f"{url}/livez", headers={"Host": "127.0.0.3"}, trust_env=False)
        assert (other.status_code, other.json()["code"]) == (400, "bad_host")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    with command(tmp_path, "--backbone=hf:/nope") as process:
        address(process)
        assert process.stderr is not None
        assert process.wait(60) == 5
        (line,) = process.stderr.read().splitlines()
        assert re.match("inctrl: .*/nope", line)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"detector": "nonsense"}, "unknown detector 'nonsense'"),
        ({"detector": "incontex"}, "did you mean 'incontext'"),
        ({"adapter": "nonsense"}, "unknown adapter 'nonsense'"),
        ({"adapter": "job:0000"}, "unknown adapter"),
        ({"alpha": 0.0}, "--alpha 0 is not in"),
        ({"alpha": 0.51}, "--alpha 0.51 is not in"),
        ({"alpha": float("nan")}, "--alpha nan"),
        ({"batch": 0}, "--batch 0"),
        ({"threads": 0}, "--threads 0"),
        ({"threads": -1}, "--threads -1"),
        ({"image_size": 0}, "--image-size 0"),
        ({"host": "192.0.2.1"}, "--token-file"),
        ({"host": ""}, "--token-file"),
    ],
)
def test_what_cannot_be_served_is_refused_before_the_port_is_taken(
    tmp_path: Path, chosen: dict[str, Any], told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=told) as refused:
            serve(Settings(store=tmp_path, **({"port": port} | chosen)), say=refuse)
    assert "\n" not in str(refused.value)


def refuse(_: str) -> None:
    raise AssertionError("it listens")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "", "0x0"])  # noqa: S104
def test_every_address_is_no_name(tmp_path: Path, host: str) -> None:
    write_token_file(tmp_path / "tokens")
    settings = Settings(store=tmp_path / "store", host=host, tokens=tmp_path / "tokens")
    assert settings.hosts == LOOPBACK
    with pytest.raises(UsageError, match="--allow-host"):
        serve(settings, say=refuse)
    assert not (tmp_path / "store").exists()

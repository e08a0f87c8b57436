"""The service that the tests of this folder share: one for each file, or one of the file's own."""

from collections.abc import Iterator

import httpx2
import pytest
from live import SHOTS, Live, live

from inctrl import Client


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """With the set `part`; a file whose service differs has a fixture of this name."""
    with live(tmp_path_factory.mktemp("service")) as running:
        with running.client() as client:
            client.create_set("part", SHOTS, item="part")
        yield running


@pytest.fixture
def client(service: Live) -> Iterator[Client]:
    with service.client() as found:
        yield found


@pytest.fixture
def http(service: Live) -> Iterator[httpx2.Client]:
    with service.http() as found:
        yield found

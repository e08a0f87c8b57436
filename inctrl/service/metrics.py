"""What the service counts, for Prometheus: base units, and no word of a user as a label."""

import json
import logging
import time
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inctrl.version import __version__

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32)
access = logging.getLogger("inctrl.access")


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.requests = counter("inctrl_requests", "Replies by route and status", ["route", "code"])
        self.seconds = histogram(
            "inctrl_request_duration_seconds",
            "From the head of a request to the end of its reply",
            ["route"],
            buckets=SECONDS,
        )
        self.stages = histogram(
            "inctrl_stage_duration_seconds",
            "Of a query: decode, read, encode, score, map",
            ["stage"],
            buckets=SECONDS,
        )
        self.batches = histogram("inctrl_batch_size", "Queries encoded together", buckets=SIZES)
        self.rejected = counter("inctrl_rejected", "Requests that were not let in", ["reason"])
        self.verdicts = counter("inctrl_verdicts", "Queries", ["verdict"])
        self.jobs = gauge("inctrl_jobs", "Jobs by state", ["state"])
        self.queue = gauge("inctrl_queue_depth", "Images under way")
        self.loaded = gauge("inctrl_model_loaded", "1 once the model is")
        gauge("inctrl_build_info", "Always 1", ["version"]).labels(__version__).set(1)

    def query(self, verdict: str, timing: Mapping[str, float]) -> None:
        """A query was answered."""
        self.verdicts.labels(verdict).inc()
        for stage, seconds in timing.items():
            self.stages.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class Observed:
    """ASGI middleware: counts and times each request, and logs it as a line of JSON.

    The line holds no name of a file or set, no query string and no token: the route's pattern
    stands for the path.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            route = route_of(scope)
            # 499: the client had gone before there was a reply.
            self.metrics.requests.labels(route, str(status or 499)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "request_id": scope.get("state", {}).get("request_id"),
                "method": scope["method"] if scope["method"] in METHODS else "other",
                "route": route,
                "status": status or 499,
                "seconds": round(seconds, 4),
            }
            access.info("%s", json.dumps(line))


class Routed:
    """ASGI middleware just outside of the routes: notes which of them answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            pattern = getattr(scope.get("route"), "path", None)
            if pattern:
                scope.setdefault("state", {})["route"] = str(pattern)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered; one word for the page's and for unknown ones."""
    noted: str | None = scope.get("state", {}).get("route")
    return noted or ("unknown" if scope["path"].startswith("/v1") else "page")

"""`Client`: everything that a service can do, as methods that return values and raise errors."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from inctrl.client import calls
from inctrl.client.calls import Call, Compared
from inctrl.client.transport import Transport
from inctrl.client.uploads import Image, file_bytes
from inctrl.frames import Frame
from inctrl.service import schemas
from inctrl.service.detection_schemas import Detection, MapFormat, ScorePage, ScoreReply
from inctrl.views import Orientation, Tiles


class Client:
    """A service of inctrl.

    url       where it is; any address of its page or API will do, with or without http://
    token     what it wants where it is not on this machine
    timeout   seconds without a sign of life after which a call ends with Unreachable
    deadline  seconds in which a detection is answered or refused, calls that are sent again
              included (default: the service's own, for each)
    retries   times that a call is sent again when the service is busy, or did not answer and
              sending it twice does no harm; never when its deadline has passed

    Images are files, their bytes, or arrays. A set is NAME or NAME@VERSION. Every failure is an
    InctrlError: NotStored, Conflict, Busy (with `retry_after`), UnreadableImage, UsageError,
    NoSpace, Unauthorised, Unreachable, ServiceFailed. Threads may share a client.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        timeout: float = 75.0,
        deadline: float | None = None,
        *,
        retries: int = 2,
    ) -> None:
        self.deadline = deadline
        self._transport = Transport(url, token, timeout, retries)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    # Normal sets

    def create_set(
        self,
        name: str,
        images: Iterable[Image],
        *,
        item: str = "object",
        note: str = "",
        orientation: Orientation = "fixed",
        tiles: Tiles = 1,
        frame: Frame = "all",
    ) -> schemas.SetReply:
        """A new set of normals; Conflict where there is one of this name.

        orientation, tiles    how they and all queries are seen, as in `inctrl.Inspector.fit`
        """
        form = {"name": name, "item": item, "note": note, "frame": frame}
        form |= {"orientation": orientation, "tiles": str(tiles)}
        return self._transport.read(calls.normals("/v1/sets", images, form), schemas.SetReply)

    def add_images(
        self,
        name: str,
        images: Iterable[Image],
        *,
        note: str = "",
        frame: Frame = "all",
        base: schemas.SetReply | None = None,
    ) -> schemas.SetReply:
        """A version with further normals; Conflict where the set is not at `base` any more."""
        form = {"note": note, "frame": frame}
        call = calls.normals(calls.set_path(name, "images"), images, form, base)
        return self._transport.read(call, schemas.SetReply)

    def change_set(
        self,
        name: str,
        *,
        orientation: Orientation | None = None,
        tiles: Tiles | None = None,
        note: str = "",
        base: schemas.SetReply | None = None,
    ) -> schemas.SetReply:
        """A version that is seen in another way; the latest where nothing changes."""
        form = {"orientation": orientation, "tiles": tiles, "note": note}
        headers = calls.matching(base)
        call = Call("PATCH", calls.set_path(name), form=form, headers=headers, repeatable=not base)
        return self._transport.read(call, schemas.SetReply)

    def sets(self) -> Iterator[schemas.SetSummary]:
        """All sets by name, each by its latest version."""
        yield from self._transport.pages("/v1/sets", schemas.SetPage, {})

    def set(self, name: str, version: int | None = None) -> schemas.SetReply:
        """A set at its latest version, or at another."""
        path = calls.set_path(name, *(() if version is None else ("versions", int(version))))
        return self._transport.get(path, schemas.SetReply)

    def versions(self, name: str) -> Iterator[schemas.VersionSummary]:
        """All versions, the newest first; `set` gives one with its shots."""
        return self._transport.pages(calls.set_path(name, "versions"), schemas.VersionPage, {})

    def diff(self, name: str, before: int, after: int) -> schemas.DifferenceReply:
        """What changed between two versions."""
        query = {"before": before, "after": after}
        return self._transport.get(calls.set_path(name, "diff"), schemas.DifferenceReply, query)

    def shot(self, name: str, version: int, sha256: str, size: int | None = None) -> bytes:
        """A normal image as PNG, reduced to `size` pixels on its longest side where asked."""
        call = Call("GET", calls.shot_path(name, version, sha256), query={"size": size})
        return self._transport.send(call).content

    def drop_image(
        self, name: str, version: int, sha256: str, *, note: str = ""
    ) -> schemas.SetReply:
        """A version without an image; Conflict where `version` is not the latest any more."""
        path = calls.shot_path(name, version, sha256)
        call = Call("DELETE", path, query={"note": note or None}, repeatable=False)
        return self._transport.read(call, schemas.SetReply)

    def remove_set(self, name: str) -> None:
        """Remove a set with all versions; scores of the history stay."""
        self._transport.send(Call("DELETE", calls.set_path(name), repeatable=False))

    def export_set(self, name: str, path: str | Path, *, overwrite: bool = False) -> Path:
        """A set with all versions, images and feedback as a zip file."""
        return self._save(calls.set_path(name, "export"), path, overwrite)

    def import_set(self, path: str | Path, name: str | None = None) -> schemas.SetReply:
        """Bring in what `export_set` wrote, under its name or another; twice does no more."""
        files = [("archive", ("archive.zip", file_bytes(path)))]
        call = Call("POST", "/v1/imports", form={"name": name}, files=files, timeout=calls.SLOW)
        return self._transport.read(call, schemas.SetReply)

    def verify(self) -> schemas.VerifyReply:
        """Whether every byte of the store is as it was written."""
        return self._transport.read(
            Call("GET", "/v1/verify", timeout=calls.SLOW), schemas.VerifyReply
        )

    # Detection

    def detect(
        self,
        queries: Iterable[Image],
        *,
        maps: MapFormat | None = None,
        **compared: Unpack[Compared],
    ) -> Detection:
        """Outcomes of the queries in their order, against a `set` or against `shots`.

        compared    these, `item`, `detector`, `adapter`, `alpha`, `frame` of stacks (all), and
                    `orientation` and `tiles` of shots; a set has its own
        """
        call = calls.detection(queries, compared, maps, self.deadline)
        return self._transport.read(call, Detection)

    @overload
    def map(
        self, query: Image, *, format: Literal["npz"] = ..., **compared: Unpack[Compared]
    ) -> NDArray[np.float32]: ...

    @overload
    def map(
        self, query: Image, *, format: Literal["png", "overlay"], **compared: Unpack[Compared]
    ) -> bytes: ...

    def map(
        self, query: Image, *, format: MapFormat = "npz", **compared: Unpack[Compared]
    ) -> NDArray[np.float32] | bytes:
        """The map of a query, against what `detect` takes: float32 H W, or a PNG."""
        call = calls.drawing(query, compared, format, self.deadline)
        data = self._transport.send(call).content
        return calls.map_values(data) if format == "npz" else data

    # Feedback and history

    def false_alarm(
        self, set: str, image: Image, *, note: str = "", frame: Frame = "all"
    ) -> schemas.FeedbackReply:
        """Take an image among the normals of a set, as a new version."""
        form = {"kind": "false_alarm", "set": set, "note": note, "frame": frame}
        return self._transport.read(calls.remark(form, image), schemas.FeedbackReply)

    def confirm_defect(
        self, set: str, image: Image, *, frame: Frame = "all"
    ) -> schemas.FeedbackReply:
        """Let a defect count for the limit of a set, and for nothing else."""
        form = {"kind": "defect", "set": set, "frame": frame}
        return self._transport.read(calls.remark(form, image), schemas.FeedbackReply)

    def undo(self, id: str) -> schemas.FeedbackReply:
        """Take feedback back."""
        call = Call("POST", f"/v1/feedback/{calls.known(id)}/undo", repeatable=False)
        return self._transport.read(call, schemas.FeedbackReply)

    def feedback(self, set: str) -> Iterator[schemas.FeedbackReply]:
        """All feedback on a set, the newest first."""
        yield from self._transport.pages("/v1/feedback", schemas.FeedbackPage, {"set": set})

    def scores(self, set: str | None = None) -> Iterator[ScoreReply]:
        """The history, newest first; of one set if asked."""
        yield from self._transport.pages("/v1/scores", ScorePage, {"set": set})

    def score(self, id: str) -> ScoreReply:
        """A score with its limit, its set version and the identity of the model."""
        return self._transport.get(f"/v1/scores/{calls.known(id)}", ScoreReply)

    # Jobs

    def submit(self, spec: Mapping[str, Any] | BaseModel) -> schemas.JobReply:
        """Queue a job: {"kind": "folder" | "train" | "evaluate", "data": ..., ...}."""
        values = spec.model_dump(mode="json") if isinstance(spec, BaseModel) else dict(spec)
        call = Call("POST", "/v1/jobs", json=values, headers=calls.once())
        return self._transport.read(call, schemas.JobReply)

    def job(self, id: str) -> schemas.JobReply:
        """A job as it goes."""
        return self._transport.get(f"/v1/jobs/{calls.known(id)}", schemas.JobReply)

    def jobs(self, state: str | None = None) -> Iterator[schemas.JobSummary]:
        """The jobs, newest first."""
        yield from self._transport.pages("/v1/jobs", schemas.JobPage, {"state": state})

    def cancel(self, id: str) -> schemas.JobReply:
        """End a job, within 5 s where it runs."""
        return self._act(id, "cancel")

    def resume(self, id: str) -> schemas.JobReply:
        """Queue an interrupted job again."""
        return self._act(id, "resume")

    def wait(
        self,
        id: str,
        on_change: Callable[[schemas.JobReply], object] = lambda _: None,
        *,
        every: float = 0.5,
        timeout: float | None = None,
    ) -> schemas.JobReply:
        """A job once it has ended, however that was; Busy where it goes on after `timeout` s.

        on_change   called with the job whenever anything of it has changed
        """
        return calls.until_ended(lambda: self.job(id), on_change, every, timeout)

    def job_file(self, id: str, name: str) -> bytes:
        """A file of a job's result, by its name in `job(id).files`."""
        return self._transport.send(Call("GET", calls.file_path(id, name))).content

    def adapter(self, id: str, path: str | Path, *, overwrite: bool = False) -> Path:
        """The adapter that a training made, as a zip of its folder."""
        return self._save(f"/v1/jobs/{calls.known(id)}/adapter", path, overwrite)

    def data(self) -> schemas.DataReply:
        """The data sets that jobs may name."""
        return self._transport.get("/v1/data", schemas.DataReply)

    # The service

    def limits(self) -> schemas.LimitsReply:
        """What a request may hold."""
        return self._transport.get("/v1/limits", schemas.LimitsReply)

    def models(self) -> schemas.ModelsReply:
        """What `detector` and `adapter` may name."""
        return self._transport.get("/v1/models", schemas.ModelsReply)

    def ready(self) -> bool:
        """Whether the model is loaded; Unreachable where nothing answers."""
        return self._transport.status("/readyz") == 200

    def _act(self, id: str, what: str) -> schemas.JobReply:
        call = Call("POST", f"/v1/jobs/{calls.known(id)}/{what}", repeatable=False)
        return self._transport.read(call, schemas.JobReply)

    def _save(self, path: str, target: str | Path, overwrite: bool) -> Path:
        call = Call("GET", path, timeout=calls.SLOW)
        return self._transport.save(call, Path(target), overwrite=overwrite)

"""Images to features: batched, and remembered on disk by content.

An entry is keyed by image content, backbone fingerprint and fit, so that it can be wrong for
nobody; it is written to a temporary name and renamed, so that any number of processes may share
a folder. A damaged entry counts as absent.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import platformdirs
import safetensors
import safetensors.torch
import torch

from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.protocols import Backbone
from inctrl.types import Features, Fit

DEFAULT_LIMIT = 2 * 1024**3
"""Bytes kept on disk; the entries unused for longest go first."""

ABANDONED = 3600
"""Seconds after which a temporary file belongs to a writer that died."""


class FeatureCache:
    """A folder of feature files, one an image."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UsageError(
                f"cache folder {str(folder)!r} cannot be written ({error.strerror}); "
                "give another with --cache DIR, or --cache off"
            ) from None

    def read(self, key: str) -> Features | None:
        path = self._path(key)
        try:
            stored = safetensors.torch.load_file(path)
            os.utime(path)
            image = stored.pop("image")
            return Features(tuple(stored[name] for name in sorted(stored)), image)
        except (OSError, KeyError, safetensors.SafetensorError):
            return None

    def write(self, key: str, features: Features) -> None:
        path = self._path(key)
        # Cloned, as a row of a batch would be stored with the whole batch behind it.
        named = {f"patches{i:02d}": patches for i, patches in enumerate(features.patches)}
        tensors = {
            name: tensor.cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in {"image": features.image, **named}.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(safetensors.torch.save(tensors))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def prune(self) -> None:
        """Delete the entries unused for longest until the folder is within its limit."""
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*/*"):
            try:
                stat = path.stat()
            except OSError:  # another process pruned it first
                continue
            if path.suffix == ".tmp" and time.time() - stat.st_mtime < ABANDONED:
                continue  # another process is writing it
            entries.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def default_folder() -> Path:
    """The platform's user cache folder, or `INCTRL_CACHE`."""
    chosen = os.environ.get("INCTRL_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("inctrl"), "features")


def open_cache(setting: str | Path | None) -> FeatureCache | None:
    """`off` -> None; None -> the default folder; else the folder named."""
    if setting == "off":
        return None
    return FeatureCache(Path(setting) if setting else default_folder())


def encode(
    backbone: Backbone,
    images: Sequence[Image],
    fit: Fit = "squash",
    cache: FeatureCache | None = None,
    batch: int = 8,
) -> Features:
    """Features of b images in their order, on the CPU; only those not remembered are computed.

    Memory for pixels is bounded by `batch`; equal images are encoded once.
    """
    keys = [_key(image, backbone, fit) for image in images]
    found: dict[str, Features] = {}
    if cache:
        for key in dict.fromkeys(keys):
            remembered = cache.read(key)
            if remembered is not None:
                found[key] = remembered
    missing = [(k, im) for k, im in dict(zip(keys, images, strict=True)).items() if k not in found]
    for start in range(0, len(missing), batch):
        part = missing[start : start + batch]
        features = backbone.encode_images(backbone.preprocess([im for _, im in part], fit))
        features = Features(tuple(p.cpu() for p in features.patches), features.image.cpu())
        for i, (key, _) in enumerate(part):
            found[key] = features[i : i + 1]
            if cache:
                cache.write(key, found[key])
    return concatenate([found[key] for key in keys])


def concatenate(parts: Sequence[Features]) -> Features:
    """Features of several calls, one after the other."""
    layers = range(len(parts[0].patches))
    return Features(
        tuple(torch.cat([part.patches[i] for part in parts]) for i in layers),
        torch.cat([part.image for part in parts]),
    )


def _key(image: Image, backbone: Backbone, fit: Fit) -> str:
    return hashlib.sha256(f"{image.sha256} {backbone.fingerprint} {fit}".encode()).hexdigest()

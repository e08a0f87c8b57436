"""Do two states of the code give the same scores, verdicts, limits and maps?

    python -m benchmarks.same_scores BASE [--data DATA] [--sets brain_mri cookie ...]

BASE is a commit, or a folder with the code; it is compared with this working tree. Both run every
detector on `tiny` over the two demo sets, and over the named sets of DATA (layout of MVTec AD; the
first 4 shots and 6 queries by name), in a process of their own with as many threads. The adapters
of `inctrl` and `coop` are trained by BASE on the demo sets for a moment, and used by both. Exits
with 1 where a verdict differs, or a score, limit or value of a map by more than 1e-6.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DEMOS = ROOT / "demos" / "images"
SETS = ("brain_mri", "cookie", "hazelnut_toy", "magnetic_tile")
DETECTORS = [
    "incontext",
    "inctrl",
    "patchcore",
    "padim",
    "spade",
    "regad",
    "winclip",
    "winclip-by-sentences",
    "coop",
    "zeroshot",
]
TRAINED = {"inctrl": ["--epochs", "1", "--steps", "4"], "coop": ["--epochs", "2"]}
SHOTS, QUERIES = 4, 6
ALLOWED = 1e-6
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="a commit, or a folder with the code")
    parser.add_argument("--data", type=Path, help="folder of sets in the layout of MVTec AD")
    parser.add_argument("--sets", nargs="+", default=SETS, help=f"default: {' '.join(SETS)}")
    given = parser.parse_args()
    data = given.data and given.data.resolve()
    items = {
        name: (DEMOS / name / "normal", DEMOS / name / "query") for name in ("brick", "gravel")
    }
    if data:
        items |= {s: (data / s / "train/good", data / s / "test") for s in given.sets}
    with tempfile.TemporaryDirectory() as folder, checkout(given.base, Path(folder)) as base:
        adapters = {kind: train(base, kind, Path(folder) / kind) for kind in TRAINED}
        before, after = (
            collected(tree, items, adapters, Path(folder) / f"{name}.npz")
            for name, tree in (("before", base), ("after", ROOT))
        )
    sys.exit(compared(before, after))


@contextlib.contextmanager
def checkout(base: str, folder: Path) -> Iterator[Path]:
    """The code of BASE as a folder."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    tree = folder / "base"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), base], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def train(tree: Path, kind: str, out: Path) -> str:
    command = ["-m", "inctrl", "train", kind, "--data", str(DEMOS / "sets.csv"), "--out", str(out)]
    run(tree, [*command, *TRAINED[kind], "--quiet"])
    return str(out)


def collected(
    tree: Path,
    items: dict[str, tuple[Path, Path]],
    adapters: dict[str, str],
    out: Path,
) -> tuple[Found, Any]:
    """What the code of a tree answers, by detector, set and query."""
    task = {
        "items": {k: [[str(p) for p in pictures(f)] for f in v] for k, v in items.items()},
        "adapters": adapters,
        "out": str(out),
    }
    # -P: no module of this folder is taken for one of the library's.
    written = out.with_suffix(".task")
    written.write_text(json.dumps(task), "utf-8")
    run(tree, ["-P", __file__, "--collect", str(written)])
    return json.loads(out.with_suffix(".json").read_text("utf-8")), np.load(out)


def pictures(folder: Path) -> list[Path]:
    suffixes = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not found:
        sys.exit(f"no images below {folder}; check --data and --sets")
    return found


def run(tree: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run([sys.executable, *arguments], cwd=tree, env=environment, check=True)


def collect(task: Found) -> None:
    """Runs in the tree that is measured, by its public API alone."""
    import inctrl

    logging.disable(logging.WARNING)

    found: Found = {}
    maps: dict[str, Any] = {}
    for name in DETECTORS:
        detector = name.removesuffix("-by-sentences")
        inspector = inctrl.Inspector.load(
            "tiny", detector=detector, adapter=task["adapters"].get(detector), cache="off"
        )
        for item, (normals, queries) in task["items"].items():
            shots = [] if name.endswith("-by-sentences") else normals[:SHOTS]
            fitted = inspector.fit(shots, item=item.replace("_", " "))
            step = max(1, len(queries) // QUERIES)
            for result in fitted.inspect(queries[::step][:QUERIES]):
                key = f"{name}/{item}/{result.image.sha256[:16]}"
                found[key] = {
                    "verdict": result.verdict,
                    "score": result.score,
                    "limit": result.threshold,
                    "p": result.p_value,
                    "pixel limit": result.pixel_limit,
                    "regions": len(result.regions),
                }
                maps[key] = result.anomaly_map[::4, ::4]
    out = Path(task["out"])
    np.savez(out, **maps)
    out.with_suffix(".json").write_text(json.dumps(found), "utf-8")


def compared(before: tuple[Found, Any], after: tuple[Found, Any]) -> int:
    """Print a line for each detector; 1 where anything differs."""
    bad = 0
    print(f"{'detector':22}{'queries':>8}{'verdicts':>10}{'score':>10}{'limit':>10}{'map':>10}")
    for name in DETECTORS:
        keys = [key for key in before[0] if key.startswith(f"{name}/")]
        if not keys or set(keys) != {key for key in after[0] if key.startswith(f"{name}/")}:
            print(f"{name:22}the two answered for different queries")
            bad += 1
            continue
        olds, news = ([found[0][key] for key in keys] for found in (before, after))
        other = sum(
            (a["verdict"], a["regions"]) != (b["verdict"], b["regions"])
            for a, b in zip(olds, news, strict=True)
        )
        score, limit = (
            max(
                apart(a[field], b[field])
                for a, b in zip(olds, news, strict=True)
                for field in group
            )
            for group in (("score", "p"), ("limit", "pixel limit"))
        )
        heat = max(float(np.abs(before[1][key] - after[1][key]).max()) for key in keys)
        bad += bool(other) or max(score, limit, heat) > ALLOWED
        print(f"{name:22}{len(keys):8}{other:10}{score:10.1e}{limit:10.1e}{heat:10.1e}")
    print("the same" if not bad else f"{bad} of {len(DETECTORS)} differ", f"(allowed: {ALLOWED:g})")
    return 1 if bad else 0


def apart(a: float, b: float) -> float:
    return 0.0 if a == b else abs(a - b)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--collect"]:
        collect(json.loads(Path(sys.argv[2]).read_text("utf-8")))
    else:
        main()

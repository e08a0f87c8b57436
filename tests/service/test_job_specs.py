"""What a job may be asked for, and the command that is made of it."""

from pathlib import Path
from typing import Any

import pytest
from jobwork import made_root
from labelled import picture, save, write_set

from inctrl.cli.main import build_parser
from inctrl.errors import MissingData, UsageError
from inctrl.service.jobs import EvaluateJob, FolderJob, TrainJob
from inctrl.service.jobs.dataroot import data_sets, inside, inside_with_layout
from inctrl.service.jobs.specs import Places, command, read_spec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "..", "../other", "made/../../other", "/etc", "//etc", "-x", "--help", "~/x", "",
        "made/\0", "a\nb", "out", "ring", "out/secret.png", "mvtec:../other", "mvtec:/etc",
        "mvtec:-x", "mvtec:out", "x" * 5000, "\udcff",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_data_root(name: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/secret.png").touch()
    (root / "out").symlink_to(tmp_path / "other")
    (root / "ring").symlink_to(root / "ring")
    for resolve in (inside, inside_with_layout):
        with pytest.raises((UsageError, MissingData)) as refused:
            resolve(root, name)
        assert str(tmp_path) not in str(refused.value)


def test_names_in_the_data_root_are_paths_and_nothing_else(root: Path) -> None:
    (root / "-x").mkdir()
    (root / "folder:..").mkdir()
    (root / "link").symlink_to(root / "-x")
    (root / "trick").symlink_to(root / "folder:..")
    assert inside(root, "made") == "./made"
    assert inside(root, "./made//field/") == "./made/field"
    assert inside(root, ".") == "./."
    assert inside(root, "link") == "./-x"
    assert inside_with_layout(root, "trick") == "./folder:.."
    assert inside_with_layout(root, "mvtec:made") == "mvtec:./made"


def test_data_sets_are_listed_by_names_that_jobs_take(root: Path) -> None:
    write_set(root / "deep/er", "bolt")
    (root / "empty").mkdir()
    (root / "round").symlink_to(root)
    found = data_sets(root)
    assert [(one.name, one.layout, one.categories) for one in found.sets] == [
        ("deep/er", "mvtec", 1),
        ("made", "mvtec", 2),
        ("made/field", "mvtec", 1),
        ("made/plain", "mvtec", 1),
    ]
    assert found.complete
    assert [inside(root, one.name) for one in found.sets][:2] == ["./deep/er", "./made"]
    assert not data_sets(root, most=1).complete
    assert data_sets(root, seconds=0).sets == []


def test_single_categories_and_sets_beside_them_can_be_chosen_from_a_root_of_categories(
    tmp_path: Path,
) -> None:
    for name in ("bolt", "nut"):
        write_set(tmp_path, name)
    write_set(tmp_path / "sets/more", "screw", train=2)
    for part in ("OK", "NG"):
        (tmp_path / "own" / part).mkdir(parents=True)
        save(tmp_path / "own" / part / "0.png", picture(0))
    found = data_sets(tmp_path)
    assert [(one.name, one.layout) for one in found.sets] == [
        (".", "mvtec"),
        ("bolt", "mvtec"),
        ("nut", "mvtec"),
        ("own", "folder"),
        ("sets/more", "mvtec"),
    ]
    assert found.complete
    assert [inside(tmp_path, one.name) for one in found.sets[1:3]] == ["./bolt", "./nut"]


def test_the_list_names_what_sets_leave_out(root: Path) -> None:
    (root / "made/odd/clean").mkdir(parents=True)
    save(root / "made/odd/clean/0.png", picture(0))
    made = next(one for one in data_sets(root).sets if one.name == "made")
    assert made.left_out == [
        "odd: 1 image is not used (0.png): no folder 'train/good' (it has clean)"
    ]
    assert str(root) not in str(data_sets(root))


GOOD = {
    "folder": {"kind": "folder", "data": "made", "set": "bottle@3"},
    "train": {"kind": "train", "data": ["made"], "name": "mine"},
    "evaluate": {"kind": "evaluate", "data": ["made"]},
}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("folder", {"set": "--store=/x"}),
        ("folder", {"set": "Bottle"}),
        ("folder", {"set": "bottle@0"}),
        ("folder", {"set": "bottle\n"}),
        ("folder", {"set": "../x"}),
        ("folder", {"data": "-x"}),
        ("folder", {"detector": "--allow-network"}),
        ("folder", {"detector": "a b"}),
        ("folder", {"adapter": "../../x"}),
        ("folder", {"adapter": "/etc"}),
        ("folder", {"adapter": "job:../x"}),
        ("folder", {"alpha": 1.5}),
        ("folder", {"alpha": 0.7}),
        ("folder", {"alpha": float("nan")}),
        ("folder", {"out": "/x"}),
        ("train", {"name": "../x"}),
        ("train", {"name": ".hidden"}),
        ("train", {"name": "a/b"}),
        ("train", {"name": "a\n"}),
        ("train", {"data": []}),
        ("train", {"exclude": ["--out=/x"]}),
        ("train", {"exclude": ["a\0b"]}),
        ("train", {"hold_out": "-v"}),
        ("train", {"shots": [-1]}),
        ("train", {"shots": ["2", "--out"]}),
        ("train", {"epochs": 10**9}),
        ("train", {"rate": float("inf")}),
        ("train", {"seed": -1}),
        ("train", {"loss": "mine"}),
        ("train", {"method": "tiny"}),
        ("train", {"method": "coop", "steps": 5}),
        ("train", {"method": "regad", "shots": [1, 2]}),
        ("evaluate", {"detectors": ["patchcore@openclip:x//etc/passwd"]}),
        ("evaluate", {"detectors": ["spade:file=/etc/passwd"]}),
        ("evaluate", {"alpha": 0.7}),
        ("evaluate", {"orientation": "up"}),
        ("evaluate", {"tiles": 9}),
        ("evaluate", {"tiles": 2.5}),
        ("evaluate", {"tiles": True}),
        ("evaluate", {"seeds": 0}),
        ("evaluate", {"group_by": "(a+)+$"}),
        ("evaluate", {"only": ["-h"]}),
        ("evaluate", {"kind": "detect"}),
    ],
)
def test_hostile_values_make_no_spec(kind: str, values: dict[str, Any]) -> None:
    read_spec(GOOD[kind])
    with pytest.raises(UsageError) as refused:
        read_spec({**GOOD[kind], **values})
    assert "\n" not in str(refused.value)


FULL = [
    FolderJob(
        data="made", set="bottle@3", recursive=True, detector="anomalib:padim", adapter="mine",
        alpha=0.1, name="monday",
    ),
    TrainJob(
        data=("made", "mvtec:made"), name="mine", exclude=("a b",), hold_out="plain",
        shots=(1, 2), epochs=3, steps=4, batch=8, rate=1e-3, loss="bce", seed=5, fit="pad",
        patience=2, pixels=1, synthetic="none",
    ),
    TrainJob(data=("made",), name="mine", method="regad", shots=(4,), epochs=9, rate=0.1),
    TrainJob(data=("made",), name="mine", method="coop", epochs=9, fit="crop"),
    EvaluateJob(
        data=("made",), detectors=("patchcore:neighbours=1,keep=0.5",), adapters=("a",),
        shots=(0, 8), seeds=3, only=("field",), exclude=("plain",), alpha=0.2, fit="pad",
        group_by="group", orientation="any", tiles="auto",
    ),
]  # fmt: skip


@pytest.mark.parametrize("spec", FULL, ids=lambda spec: f"{spec.kind}-{spec.name or 'x'}")
def test_the_command_line_reads_what_a_spec_says(spec: Any, root: Path, tmp_path: Path) -> None:
    places = Places(root, tmp_path / "store", tmp_path / "result", lambda id: tmp_path / id)
    argv = command(read_spec(spec.model_dump(mode="json")), places)
    args = vars(build_parser().parse_args(argv))
    told = {name: value for name, value in spec.model_dump().items() if value not in (None, ())}
    assert args.pop("command") == {"folder": "detect"}.get(spec.kind, spec.kind)
    wanted = {
        "data": ["./made", "mvtec:./made"][: len(spec.data)],
        "detectors": "detector",
        "adapters": "adapter",
        "batch": "queries" if getattr(spec, "method", "") == "inctrl" else "batch",
    }
    for name, value in told.items():
        if name in ("kind", "name"):
            continue
        if spec.kind == "folder" and name == "data":
            assert args["queries"] == ["./made"]
            continue
        value = wanted["data"] if name == "data" else value
        given = args[wanted.get(name, name) if name != "data" else "data"]
        if getattr(spec, "method", "") == "regad" and name == "shots":
            given = [given]
        assert (list(given) if isinstance(value, tuple) else given) == (
            list(value) if isinstance(value, tuple) else value
        ), name
    end = "result/mine" if spec.kind == "train" else "result"
    assert args["out"] == tmp_path / end


def test_linked_data_sets_are_listed_once_and_those_outside_are_named(
    root: Path, tmp_path: Path
) -> None:
    write_set(tmp_path / "elsewhere", "bolt")
    write_set(root / ".pool/v2", "nut")
    (root / "away").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to("made")
    (root / "nuts").symlink_to(".pool/v2")
    (root / "made/up").symlink_to("..")
    found = data_sets(root)
    assert [one.name for one in found.sets] == ["made", "made/field", "made/plain", "nuts"]
    assert found.left_out == ["away: a link that leads out of the data root"]
    assert found.complete
    assert inside(root, "nuts") == "./.pool/v2"


def test_a_set_tells_nothing_of_what_its_links_lead_to_outside(root: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "elsewhere", "secret")
    (root / "made/gear").symlink_to(tmp_path / "elsewhere/secret")
    made = data_sets(root).sets[0]
    assert "secret" not in str(made)
    assert made.left_out == ["gear is a link that is not followed"]

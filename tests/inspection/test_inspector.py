import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from awkward import part, stack
from fakes import FakeBackbone

from inctrl.backbones.cache import FeatureCache
from inctrl.detectors.incontext import InContext, InContextOptions
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import ContextMismatch, InvalidFile, OutputError, UnreadableImage, UsageError
from inctrl.frames import Frame
from inctrl.images import Window
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.types import Failure, Fit, Result


def photograph(seed: int, size: tuple[int, int] = (40, 60), spot: bool = False) -> np.ndarray:
    """A noisy gray field; the spot is a red square at rows 10-20, columns 30-45."""
    random = np.random.default_rng(seed)
    pixels = random.normal(120, 8, (*size, 3)).clip(0, 255).astype(np.uint8)
    if spot:
        pixels[10:20, 30:45] = (250, 20, 20)
    return pixels


def inspector(**options: object) -> Inspector:
    return Inspector(backbone=FakeBackbone(), detector=InContext(), **options)  # type: ignore[arg-type]


def without_shots(**options: object) -> Inspector:
    return Inspector(FakeBackbone(has_text=True), ZeroShot(), **options)  # type: ignore[arg-type]


SHOTS = [photograph(seed) for seed in range(5)]


def test_the_main_job() -> None:
    fitted = inspector().fit(SHOTS)
    good, bad = fitted.inspect([photograph(50), photograph(51, spot=True)])
    assert good.verdict != "anomalous"
    assert good.regions == ()
    assert bad.verdict == "anomalous"
    assert bad.score > bad.threshold > good.score
    assert bad.p_value == bad.p_floor == 1 / 6
    assert bad.anomaly_map.shape == (40, 60)
    assert bad.anomaly_map.dtype == np.float32
    row, column = np.unravel_index(bad.anomaly_map.argmax(), bad.anomaly_map.shape)
    assert 8 <= row < 22
    assert 28 <= column < 47
    box = bad.regions[0].box
    assert box.left < 38 < box.right
    assert box.top < 15 < box.bottom


def test_evidence_names_the_nearest_normal_patch() -> None:
    fitted = inspector().fit(SHOTS)
    [result] = fitted.inspect([photograph(51, spot=True)])
    evidence = result.evidence
    assert evidence is not None
    assert evidence.distance > evidence.normal_distance == fitted.calibration.normal_peak
    assert evidence.distance >= result.score
    assert evidence.query_box.left < 45
    assert evidence.query_box.right > 30
    assert evidence.shot_name == fitted.shots[evidence.shot].name


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (32, 32), (300, 9), (5, 200)])
def test_maps_come_back_at_the_size_of_the_image(fit: Fit, size: tuple[int, int]) -> None:
    fitted = inspector(fit_mode=fit).fit([photograph(s, size) for s in range(3)])
    [result] = fitted.inspect([photograph(9, size)])
    assert result.anomaly_map.shape == size
    assert np.isfinite(result.anomaly_map).all()


def test_one_by_one_equals_batches_of_any_size() -> None:
    queries = [photograph(seed, spot=seed % 2 == 0) for seed in range(20, 31)]
    scores = [
        [r.score for r in inspector(batch=batch).fit(SHOTS).inspect(queries)]
        for batch in (1, 3, 8, 64)
    ]
    for other in scores[1:]:
        assert other == pytest.approx(scores[0], abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 70])
def test_any_number_of_shots(k: int) -> None:
    fitted = inspector().fit([photograph(seed) for seed in range(k)])
    [result] = fitted.inspect([photograph(99, spot=True)])
    assert result.verdict == ("undecided" if k == 1 else "anomalous")


def test_an_unreadable_query_fails_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    fitted = inspector(batch=2).fit(SHOTS)
    queries = [photograph(20), broken, photograph(21), broken, broken]
    outcomes = list(fitted.stream(queries))
    assert [isinstance(o, Failure) for o in outcomes] == [False, True, False, True, True]
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].name == str(broken)
    with pytest.raises(UnreadableImage, match="broken.png"):
        fitted.inspect(queries)


def test_a_crop_that_would_see_a_sliver_is_refused() -> None:
    fitted = inspector(fit_mode="crop").fit(SHOTS)
    [outcome] = fitted.stream([np.zeros((4, 15_000_000), dtype=np.uint8)])
    assert isinstance(outcome, Failure)
    assert "too elongated" in outcome.error


def test_unreadable_and_equal_shots_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING, "inctrl"):
        fitted = inspector().fit([SHOTS[0], broken, SHOTS[1], SHOTS[0], SHOTS[2]])
    assert len(fitted.shots) == 3
    warnings = " ".join(fitted.calibration.warnings)
    assert "broken.png" in warnings
    assert "counted once" in warnings
    assert "counted once" in caplog.text


def test_no_usable_shot_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    for normals in ([], [broken]):
        with pytest.raises(UsageError, match="no normal image can be used"):
            inspector().fit(normals)


def test_a_query_that_is_also_a_shot_is_said() -> None:
    [result] = inspector().fit(SHOTS).inspect([SHOTS[2]])
    assert result.score < 1e-6
    assert any("also the normal shot" in note for note in result.notes)


def test_sixteen_bit_queries_are_shown_in_the_window_of_the_shots(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def deep(level: float, name: str) -> Path:
        values = random.normal(level, 40, (32, 32)).astype(np.uint16)
        PIL.Image.fromarray(values).save(tmp_path / name)
        return tmp_path / name

    fitted = inspector().fit([deep(1000, f"{i}.tif") for i in range(4)])
    same, brighter = fitted.inspect([deep(1000, "same.tif"), deep(1300, "brighter.tif")])
    assert brighter.image.rgb.mean() > same.image.rgb.mean() + 50
    assert brighter.score > same.score


def test_remembered_features_are_not_computed_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    first, second = inspector(cache=cache), inspector(cache=cache)
    queries = [photograph(seed) for seed in range(20, 24)]
    before = [r.score for r in first.fit(SHOTS).inspect(queries)]
    after = [r.score for r in second.fit(SHOTS).inspect(queries)]
    assert before == after
    assert isinstance(first.backbone, FakeBackbone)
    assert isinstance(second.backbone, FakeBackbone)
    assert first.backbone.encoded == len(SHOTS) + len(queries)
    assert second.backbone.encoded == 0


def test_a_prepared_context_encodes_no_reference_again() -> None:
    one = inspector()
    fitted = one.fit(SHOTS)
    assert isinstance(one.backbone, FakeBackbone)
    before = one.backbone.encoded
    fitted.inspect([photograph(20)])
    assert one.backbone.encoded == before + 1


def test_a_saved_context_gives_the_same_results(tmp_path: Path) -> None:
    one = inspector()
    fitted, query = one.fit(SHOTS, item="field"), photograph(51, spot=True)
    save_context(fitted, tmp_path / "field")
    [before], [after] = (
        fitted.inspect([query]),
        load_context(one, tmp_path / "field").inspect([query]),
    )
    assert isinstance(after, Result)
    assert (after.score, after.threshold, after.verdict) == (
        before.score,
        before.threshold,
        before.verdict,
    )
    assert after.evidence == before.evidence
    with pytest.raises(OutputError, match="not empty"):
        save_context(fitted, tmp_path / "field")


def test_a_context_of_another_backbone_or_options_is_refused(tmp_path: Path) -> None:
    save_context(inspector().fit(SHOTS), tmp_path / "c")
    other = Inspector(backbone=FakeBackbone("fake-2"), detector=InContext())
    with pytest.raises(ContextMismatch, match="other weights under the same name"):
        load_context(other, tmp_path / "c")
    other = Inspector(FakeBackbone(), InContext(InContextOptions(top_share=0.5)))
    with pytest.raises(ContextMismatch, match=r"with top_share 0\.03, not 0\.5"):
        load_context(other, tmp_path / "c")


def test_a_damaged_context_is_refused(tmp_path: Path) -> None:
    save_context(inspector().fit(SHOTS), tmp_path / "c")
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "c/shots/0001.png")
    with pytest.raises(InvalidFile, match="not those"):
        load_context(inspector(), tmp_path / "c")
    (tmp_path / "c/context.json").write_text("{")
    with pytest.raises(InvalidFile, match="cannot be read"):
        load_context(inspector(), tmp_path / "c")
    with pytest.raises(UsageError, match="no saved context"):
        load_context(inspector(), tmp_path)


def test_the_card_names_all_that_made_a_result() -> None:
    card = inspector().fit(SHOTS, item="field").card
    assert (card.backbone, card.fingerprint, card.detector) == ("fake", "fake-1", "incontext")
    assert len(card.shots) == len(set(card.shots)) == 5
    assert card.options["top_share"] == 0.03
    assert card.text_prior.startswith("off")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"backbone": "tinny"}, "did you mean 'tiny'"),
        ({"alpha": 0.0}, "alpha"),
        ({"fit": "stretch"}, "fit"),
        ({"detector": "patchcor"}, "unknown detector"),
        ({"adapter": "none-such"}, "unknown adapter"),
        ({"device": "abacus"}, "abacus"),
        ({"image_size": 100}, "multiple of 32"),
        ({"layers": ["stride3"]}, "stride"),
        ({"batch": 0}, "batch"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Inspector.load(cache="off", **arguments)  # type: ignore[arg-type]


def test_a_single_image_is_not_taken_apart() -> None:
    fitted = inspector().fit(SHOTS)
    for lone in ("query.png", Path("query.png"), SHOTS[0], b"bytes"):
        with pytest.raises(UsageError, match="give a list"):
            fitted.inspect(lone)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="give a list"):
            inspector().fit(lone)  # type: ignore[arg-type]
    with pytest.raises(UnreadableImage, match="5 is no path"):
        fitted.inspect([5])  # type: ignore[list-item]


def test_a_shot_that_the_fit_cannot_show_is_left_out() -> None:
    sliver = np.zeros((4, 15_000_000), dtype=np.uint8)
    fitted = inspector(fit_mode="crop").fit([*SHOTS, sliver])
    assert len(fitted.shots) == 5
    assert "too elongated" in fitted.calibration.warnings[0]


def test_mixed_depths_are_said() -> None:
    deep = np.random.default_rng(0).normal(1000, 40, (32, 32)).astype(np.uint16)
    [result] = inspector().fit(SHOTS).inspect([deep])
    assert any("the shots have 8 bits" in note for note in result.notes)
    [result] = inspector().fit([deep, deep + 50, deep + 9]).inspect([SHOTS[0]])
    assert any("more than 8 bits a pixel" in note for note in result.notes)


def test_a_context_whose_tensors_were_exchanged_is_refused(tmp_path: Path) -> None:
    save_context(inspector().fit(SHOTS), tmp_path / "a")
    save_context(inspector().fit([photograph(seed) for seed in range(50, 55)]), tmp_path / "b")
    (tmp_path / "a/context.safetensors").write_bytes(
        (tmp_path / "b/context.safetensors").read_bytes()
    )
    with pytest.raises(InvalidFile, match="not the one it was saved with"):
        load_context(inspector(), tmp_path / "a")


def test_a_context_may_be_read_at_another_alpha(tmp_path: Path) -> None:
    save_context(inspector(alpha=0.05).fit(SHOTS), tmp_path / "c")
    loose = load_context(inspector(), tmp_path / "c", alpha=0.3).calibration
    assert loose == inspector(alpha=0.3).fit(SHOTS).calibration


@pytest.mark.parametrize("options", [{"top_share": 5}, {"top_share": "nan"}, {"image_weight": -1}])
def test_options_out_of_range_are_named(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Inspector.load(options=options, cache="off")  # type: ignore[arg-type]


def test_large_shots_are_kept_reduced_and_a_saved_context_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.inspection.inputs.SHOWN", 600)
    one, query = inspector(), photograph(51, spot=True)
    fitted = one.fit(SHOTS)
    assert all(shot.rgb.size <= 3 * 600 for shot in fitted.shots)
    [result] = fitted.inspect([SHOTS[1]])
    assert result.score < 1e-6  # features are those of the full image
    assert any("also the normal shot" in note for note in result.notes)
    save_context(fitted, tmp_path / "c")
    [before], [after] = fitted.inspect([query]), load_context(one, tmp_path / "c").inspect([query])
    assert after.score == before.score
    assert after.evidence == before.evidence
    assert before.evidence is not None
    shot = fitted.shots[before.evidence.shot]
    assert before.evidence.shot_box.right <= shot.size[1]


def test_zero_shot_ranks_and_gives_no_verdict() -> None:
    fitted = without_shots().fit([], item="hazelnut")
    results = fitted.inspect([photograph(50), photograph(51, spot=True)])
    for result in results:
        assert 0 < result.score < 1
        assert result.verdict == "undecided"
        assert result.threshold == result.pixel_limit == np.inf
        assert result.p_value == result.p_floor == 1
        assert (result.regions, result.evidence, result.notes) == ((), None, ())
    row, column = np.unravel_index(results[1].anomaly_map.argmax(), (40, 60))
    assert 8 <= row < 22
    assert 28 <= column < 47
    assert (fitted.card.shots, fitted.card.text_prior) == ((), "bank 'inctrl'")


def test_zero_shot_with_shots_has_a_limit_and_the_same_scores() -> None:
    queries = [photograph(50), photograph(51, spot=True)]
    alone, given = without_shots().fit([]), without_shots().fit(SHOTS)
    assert given.calibration.method == "prediction"
    assert np.isfinite(given.calibration.threshold)
    scores = [[result.score for result in fitted.inspect(queries)] for fitted in (alone, given)]
    assert scores[0] == scores[1]


def test_shots_are_optional_only_where_the_detector_needs_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none was given, and this detector needs them"):
        inspector().fit([])
    with pytest.raises(UsageError, match="no text tower"):
        Inspector(FakeBackbone(), ZeroShot()).fit([])
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no normal image can be used.*broken.png"):
        without_shots().fit([tmp_path / "broken.png"])


def test_without_shots_a_deep_query_says_whose_window_it_has() -> None:
    deep = np.random.default_rng(0).normal(1000, 40, (32, 32)).astype(np.uint16)
    [own] = without_shots().fit([]).inspect([deep])
    assert any("give one for all" in note for note in own.notes)
    fitted = without_shots().fit([], window=Window(0, 2000))
    given, shallow = fitted.inspect([deep, photograph(50)])
    assert given.notes == ("uint16 values 0..2000 shown",)
    assert 100 < given.image.rgb.mean() < 155
    assert shallow.notes == ()


@pytest.mark.parametrize("k", [0, 1, 4])
def test_a_saved_zero_shot_context_gives_the_same_results(tmp_path: Path, k: int) -> None:
    fitted = without_shots().fit(SHOTS[:k], item="hazelnut")
    save_context(fitted, tmp_path / "c")
    loaded = load_context(without_shots(), tmp_path / "c")
    assert loaded.calibration == fitted.calibration
    assert loaded.card == fitted.card
    [before], [after] = fitted.inspect([photograph(50)]), loaded.inspect([photograph(50)])
    assert (after.score, after.verdict) == (before.score, before.verdict)


def test_each_image_of_a_file_is_inspected_and_is_a_shot() -> None:
    """A crack in the second page is found, and the pages of a normal file are shots."""
    normals = [stack(part(0), part(1)), stack(part(2), part(3)), part(4)]
    fitted = inspector().fit(normals)
    assert [shot.name for shot in fitted.shots][:2] == ["bytes#1", "bytes#2"]
    assert len(fitted.shots) == 5
    good, bad = fitted.inspect([stack(part(50), part(51, spot=True))])
    assert (good.name, bad.name) == ("bytes#1", "bytes#2")
    assert good.verdict != "anomalous" == bad.verdict


@pytest.mark.parametrize(("frame", "names"), [("first", ["bytes"]), (2, ["bytes#2"])])
def test_one_image_of_each_file_can_be_asked_for(frame: Frame, names: list[str]) -> None:
    chosen = inspector(frame=frame)
    fitted = chosen.fit([stack(part(0), part(1)), stack(part(2), part(3)), part(4)])
    assert len(fitted.shots) == 3
    assert [result.name for result in fitted.inspect([stack(part(5), part(6))])] == names


def test_an_image_of_a_file_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    fitted = inspector(frame=3).fit(SHOTS)
    path = tmp_path / "two.tif"
    path.write_bytes(stack(part(5), part(6)))
    absent, result = fitted.stream([path, part(7)])
    assert isinstance(absent, Failure)
    assert (absent.name, absent.error) == (
        str(path),
        f"{str(path)!r} holds 2 images, there is no 3",
    )
    assert isinstance(result, Result)

import numpy as np
import PIL.Image
import pytest

from inctrl.reporting import Scale, overlay
from inctrl.reporting.colours import CIVIDIS, cividis
from inctrl.reporting.overlay import STRONGEST, TONES, layer, line_width, resample

SCALE = Scale(low=0.1, limit=0.4, high=0.9)


def as_rgba(picture: PIL.Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGBA"))


def test_cividis_ends_at_its_ends_and_brightens_all_the_way():
    colours = cividis(np.linspace(0, 1, 256, dtype=np.float32)).astype(float)
    assert bytes(colours[0].astype(np.uint8)).hex() == CIVIDIS[0]
    assert bytes(colours[-1].astype(np.uint8)).hex() == CIVIDIS[-1]
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -0.2).all()


def test_the_scale_runs_from_low_to_high_and_takes_any_value():
    values = np.array([0.1, 0.5, 0.9, -5, 5, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_allclose(SCALE.share(values), [0, 0.5, 1, 0, 1, 0, 1, 0], atol=1e-6)


def test_a_scale_without_width_still_gives_shares():
    shares = Scale(0.3, 0.3, 0.3).share(np.array([0.2, 0.3, 0.4], np.float32))
    np.testing.assert_array_equal(shares, [0, 0, 1])


def test_places_below_the_limit_are_clear_and_those_above_are_tinted(result):
    pixels = as_rgba(layer(result(regions=()), SCALE, (128, 96)))
    assert (pixels[:20, :, 3] == 0).all()
    assert (pixels[60:, :, 3] == 0).all()
    assert 0 < pixels[36, 48, 3] < 255


def test_a_value_at_the_limit_is_clear(result):
    at_limit = np.full((96, 128), SCALE.limit, np.float32)
    pixels = as_rgba(layer(result(anomaly_map=at_limit, regions=()), SCALE, (128, 96)))
    assert (pixels[..., 3] == 0).all()


def test_the_contour_is_light_inside_the_limit_and_dark_outside(result):
    pixels = as_rgba(layer(result(regions=()), SCALE, (128, 96)))
    assert tuple(pixels[36, 32]) == TONES[2]
    assert tuple(pixels[36, 31]) == TONES[1]
    assert tuple(pixels[24, 40]) == TONES[2]
    assert tuple(pixels[23, 40]) == TONES[1]


def test_the_edge_of_the_image_is_no_limit(result):
    everywhere = np.full((96, 128), 0.7, np.float32)
    pixels = as_rgba(layer(result(anomaly_map=everywhere, regions=()), SCALE, (128, 96)))
    assert (pixels == pixels[0, 0]).all()


def test_boxes_are_drawn_in_two_tones(result):
    flat = np.zeros((96, 128), np.float32)
    pixels = as_rgba(layer(result(anomaly_map=flat), SCALE, (128, 96)))
    assert tuple(pixels[24, 40]) == TONES[2]
    assert tuple(pixels[47, 63]) == TONES[2]
    assert tuple(pixels[23, 40]) == TONES[1]
    assert tuple(pixels[48, 64]) == TONES[1]


def test_a_map_value_has_the_same_colour_in_every_picture_of_a_run(result):
    hot = result().anomaly_map.copy()
    hot[80:, 100:] = 5.0
    alone = as_rgba(layer(result(regions=()), SCALE, (128, 96)))
    beside = as_rgba(layer(result(anomaly_map=hot, regions=()), SCALE, (128, 96)))
    np.testing.assert_array_equal(alone[36, 48], beside[36, 48])


def test_lines_grow_with_the_picture():
    assert line_width((128, 96)) == 1
    assert line_width((4096, 3000)) == 10


def test_a_small_defect_survives_the_scaling_down():
    values = np.zeros((1000, 1200), np.float32)
    values[333, 777] = 1.0
    small = resample(values, 100, 120)
    assert small.shape == (100, 120)
    assert small[33, 77] == 1
    assert small.sum() == 1


def test_enlarging_a_map_repeats_its_values():
    values = np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(resample(values, 4, 4), values.repeat(2, 0).repeat(2, 1))


def test_without_a_limit_heat_fades_towards_low_values_and_has_no_lines(result):
    rising = np.linspace(0, 1, 128, dtype=np.float32)[None].repeat(96, 0)
    scale = Scale(low=0.1, limit=np.inf, high=0.9)
    alpha = as_rgba(layer(result(anomaly_map=rising, regions=()), scale, (128, 96)))[..., 3]
    assert (alpha[:, rising[0] <= scale.low] == 0).all()
    assert (alpha[:, rising[0] >= scale.high] == STRONGEST).all()
    assert (np.diff(alpha[0].astype(int)) >= 0).all()
    assert (alpha == alpha[0]).all()


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(4, 4, (4, 4)), (10, 20_000, (4096, 2)), (20_000, 10, (2, 4096)), (96, 128, (128, 96))],
)
def test_every_shape_of_image_has_an_overlay(result, image, height, width, size):
    picture = overlay(result(image=image(height=height, width=width)), SCALE)
    assert picture.size == size
    assert picture.mode == "RGB"

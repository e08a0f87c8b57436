"""Over HTTP, shots and queries that are not of one kind: the same words as everywhere."""

import io

import numpy as np
import PIL.Image
from live import SHOTS, picture
from numpy.typing import NDArray
from scipy import ndimage

from inctrl import Client
from inctrl.service.detection_schemas import Scored


def plate(seed: int) -> NDArray[np.uint16]:
    values = np.random.default_rng(seed).normal(2000, 60, (48, 48))
    return values.astype(np.uint16)


def test_a_spot_beyond_the_window_is_never_normal_by_a_set_or_inline(client: Client) -> None:
    shots, query = [plate(seed) for seed in range(4)], plate(9)
    query[20:30, 20:30] = 65_000
    client.create_set("plates", shots)
    for found in (client.detect([query], set="plates"), client.detect([query], shots=shots)):
        [result] = found.results
        assert isinstance(result, Scored)
        assert result.verdict == "anomalous"
        assert any("4.3 % of the pixels lie far above" in note for note in result.notes)


def test_a_query_of_other_proportions_is_noted(client: Client) -> None:
    wide = picture(7, size=64)[:16]
    [result] = client.detect([wide], set="part").results
    assert isinstance(result, Scored)
    assert any("proportions (64 x 16) are not those of the shots" in note for note in result.notes)


def test_shots_of_several_proportions_and_copies_are_warned_of(client: Client) -> None:
    found = client.detect([picture(7)], shots=[*SHOTS, picture(8, size=64)[:16]])
    assert any("(64 x 16) have other proportions" in words for words in found.limit.warnings)
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (200, 200)), 3)
    photograph = PIL.Image.fromarray(np.clip(120 + 400 * smooth, 0, 255).astype(np.uint8))
    copies = []
    for quality in (95, 80, 60, 40):
        buffer = io.BytesIO()
        photograph.save(buffer, "JPEG", quality=quality)
        copies.append(buffer.getvalue())
    found = client.detect([np.full((200, 200, 3), (250, 10, 10), np.uint8)], shots=copies)
    assert found.limit.shots == 1
    assert any("nearly copies" in words for words in found.limit.warnings)
    [result] = found.results
    assert isinstance(result, Scored)
    assert result.verdict == "undecided"

"""How normal images and queries are seen, as two questions in plain words."""

from typing import Any

import gradio as gr

from inctrl.page.events import choices
from inctrl.views import AS_THEY_ARE, MOST_TILES, Views, orientation_of, tiles_of

WAYS = [("Yes", "fixed"), ("No, they lie any way round", "any")]
PARTS = [
    ("Off: the image as a whole", "1"),
    ("Automatic, by the size of the image", "auto"),
    *((f"{n} parts along the longer side", str(n)) for n in range(2, MOST_TILES + 1)),
]


class Seen:
    """The two questions."""

    def __init__(self, name: str) -> None:
        self.way = gr.Radio(
            WAYS,
            value=AS_THEY_ARE.orientation,
            label="Do the parts always lie the same way?",
            elem_id=f"{name}-way",
        )
        self.tiles = gr.Dropdown(
            PARTS,
            value=str(AS_THEY_ARE.tiles),
            label="Look closer, in parts of the image",
            info="Finds small defects in large images, and takes longer.",
            elem_id=f"{name}-tiles",
        )

    @property
    def answers(self) -> list[Any]:
        return [self.way, self.tiles]


def shown_as(views: Views) -> tuple[Any, Any]:
    """Updates of the questions to these answers."""
    return gr.Radio(choices=WAYS, value=views.orientation), choices(PARTS, str(views.tiles))


def views_of(way: str | None, tiles: str | None) -> Views:
    """What was answered; what was not is as usual."""
    return Views(orientation_of(way or "fixed"), tiles_of(tiles or 1))

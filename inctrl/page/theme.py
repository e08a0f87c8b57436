"""How the page looks: Gradio's parts in the colours of our reports, the rest by page.css."""

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
FAVICON = HERE / "favicon.png"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
INK = gr.themes.Color(
    *("#f6f6f3", "#edeeeb", "#dcdedb", "#c3c8c9", "#a2abb6", "#7a838d", "#57606b", "#414a54"),
    *("#323841", "#1b1f25", "#13161a"),
    name="ink",
)
BLUE = gr.themes.Color(
    *("#e9f1f8", "#d3e4f2", "#b4d0ea", "#86bdf4", "#5a9bd8", "#2f78b8", "#1d5c99", "#174a7c"),
    *("#133d66", "#1a2c3d", "#10202e"),
    name="blue",
)
LIGHT_AND_DARK = {
    "body_background_fill": ("#f6f6f3", "#13161a"),
    "body_text_color": ("#1c2127", "#e7e9ec"),
    "body_text_color_subdued": ("#57606b", "#a2abb6"),
    "background_fill_primary": ("#ffffff", "#1b1f25"),
    "background_fill_secondary": ("#f6f6f3", "#13161a"),
    "block_background_fill": ("#ffffff", "#1b1f25"),
    "block_border_color": ("#dcdedb", "#323841"),
    "block_label_text_color": ("#57606b", "#a2abb6"),
    "block_title_text_color": ("#1c2127", "#e7e9ec"),
    "block_info_text_color": ("#57606b", "#a2abb6"),
    "border_color_primary": ("#dcdedb", "#323841"),
    "input_background_fill": ("#ffffff", "#13161a"),
    "input_border_color": ("#8b949e", "#67717d"),
    "button_primary_background_fill": ("#1d5c99", "#86bdf4"),
    "button_primary_background_fill_hover": ("#174a7c", "#b4d0ea"),
    "button_primary_text_color": ("#ffffff", "#10202e"),
    "button_secondary_background_fill": ("#edeeeb", "#2a3038"),
    "button_secondary_background_fill_hover": ("#dcdedb", "#3a424c"),
    "button_secondary_text_color": ("#1c2127", "#e7e9ec"),
    "slider_color": ("#1d5c99", "#86bdf4"),
    "checkbox_label_border_color": ("#dcdedb", "#323841"),
}
SHAPES = {
    "block_radius": "14px",
    "button_large_radius": "10px",
    "input_radius": "8px",
    "input_border_width": "1px",
    "input_shadow": "none",
    "checkbox_label_border_width": "1px",
}


def theme() -> gr.themes.Base:
    """Fonts of the system: none is fetched."""
    found = gr.themes.Base(
        primary_hue=BLUE, secondary_hue=BLUE, neutral_hue=INK, font=SANS, font_mono=MONO
    )
    dark = {f"{name}_dark": value for name, (_, value) in LIGHT_AND_DARK.items()}
    light = {name: value for name, (value, _) in LIGHT_AND_DARK.items()}
    return found.set(**light, **dark, **SHAPES)


def head() -> str:
    """Our style; as part of the head it is not rewritten by Gradio."""
    return f"<style>\n{(HERE / 'page.css').read_text(encoding='utf-8')}</style>"

"""A program: a small page of Gradio behind the layers, on a free port, which it prints."""

import sys
import tempfile

import gradio
from fastapi import FastAPI
from served import serving

from inctrl.service.http.limits import Limits


def main() -> None:
    with gradio.Blocks() as blocks:
        box = gradio.Textbox()
        box.submit(lambda text: text, box, box, api_name="same")
        gradio.Gallery()
        gradio.Image()
        gradio.ImageSlider()
        gradio.LinePlot()
    app = gradio.mount_gradio_app(FastAPI(), blocks, "/", enable_monitoring=False)
    with serving(app, Limits(request_bytes=100_000)) as served:
        sys.stdout.write(f"{served.port}\n")
        sys.stdout.flush()
        sys.stdin.read()  # until whoever started this closes it


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        main()

"""What is given as weights and is something else is called what it is, and is never run."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from inctrl.adapters.file import open_adapter
from inctrl.backbones import load_backbone
from inctrl.cli.main import run
from inctrl.data.sources.released import read_fewshot_list
from inctrl.errors import InctrlError, InvalidFile, MissingModel
from inctrl.files.tensors import read_state, read_tensors

STATE = {"w": torch.arange(6.0)}


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must not run",))


def saved(stored: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(stored, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("checkpoint.pyth"))
    return stream.getvalue()


def arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, w=np.zeros(3))
    return stream.getvalue()


def script() -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), stream)
    return stream.getvalue()


PAGE = b"\r\n<!DOCTYPE html>\n<html><title>Virus scan warning</title></html>"
WRONG = {
    "page": (PAGE, "a web page (HTML); download the file itself"),
    "page-with-mark": (b"\xef\xbb\xbf<html>", "a web page (HTML)"),
    "page-in-utf16": ("<html><body>".encode("utf-16"), "a web page (HTML)"),
    "page-xhtml": (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>", "a web page (HTML)"),
    "page-with-comment": (b"<!-- saved from url -->\n<html>", "a web page (HTML)"),
    "denied": (b"<?xml version='1.0'?><Error><Code>AccessDenied", "an XML document"),
    "json": (b'{"message": "Not Found"}', "JSON text"),
    "text": (b"404: Not Found", "text ('404: Not Found')"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "git-annex": (b"/annex/objects/MD5E-s1--0.pt\n", "git annex get"),
    "empty": (b"", "empty (0 bytes)"),
    "blank": (b" \n", "text ('')"),
    "gzip": (gzip.compress(b"x" * 100), "a gzip archive; unpack it"),
    "tar": (tarred(), "a tar archive; unpack it"),
    "zip": (zipped(checkpoint=b"x"), "a zip archive (of 'checkpoint'); unpack it"),
    "empty-zip": (zipped(), "an empty zip archive"),
    "npz": (arrays(), "an archive of NumPy arrays"),
    "jpeg": (b"\xff\xd8\xff\xe0JFIF", "a JPEG image"),
    "noise": (os.urandom(200) + b"\0\xff\xff\xff", "of no kind that is known"),
    "zeros": (bytes(500), "of no kind that is known"),
    "pickle": (pickle.dumps({"w": 1}), "a plain pickle, which could run code"),
    "pickle-with-code": (pickle.dumps(Payload()), "a plain pickle, which could run code"),
    "script": (script(), "a program of TorchScript"),
    "cut": (saved(STATE)[:300], "cut off or damaged; copy or download it again"),
    "cut-old": (saved(STATE, zipped=False)[:-5], "cut off or damaged"),
    "cut-safetensors": (safetensors.torch.save(STATE)[:-3], "cut off or damaged"),
    "code": (saved({"w": Payload()}), "holds objects (print) that could run code"),
    "code-old": (saved(Payload(), zipped=False), "holds objects (print) that could run code"),
    "model": (saved(nn.Linear(2, 2)), "(torch.nn.modules.linear.Linear)"),
}
ADVICE = ("weights_only", "torch.load", "PyTorch", "trust", "issue")
"""What torch says of files that it does not read safely."""


def written(folder: Path, name: str, suffix: str = ".pt") -> tuple[Path, str]:
    data, says = WRONG[name]
    (folder / f"given{suffix}").write_bytes(data)
    return folder / f"given{suffix}", says


def refused(error: InctrlError, says: str) -> None:
    assert says in str(error)
    assert "\n" not in str(error)
    assert not [word for word in ADVICE if word in str(error)], error


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_file_of_tensors_is_called_what_it_is(
    tmp_path: Path, name: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, says = written(tmp_path, name, suffix)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidFile, match="not a readable weights file") as caught:
            read_state(path)
    refused(caught.value, says)
    assert str(path) in str(caught.value)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["torch.pt", "torch.safetensors", "old.pth", "st.safetensors", "st.pt"]
)
def test_a_file_of_tensors_is_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    made = {"torch": saved(STATE), "old": saved(STATE, zipped=False)}
    (tmp_path / name).write_bytes(made.get(name.split(".")[0]) or safetensors.torch.save(STATE))
    assert torch.equal(read_state(tmp_path / name)["w"], STATE["w"])


def test_a_folder_and_an_address_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="a folder; give the file in it"):
        read_tensors(tmp_path)
    with pytest.raises(MissingModel, match="download the file"):
        read_tensors(Path("https://example.org/checkpoint.pyth"))


@pytest.mark.parametrize("name", ["page", "git-lfs", "cut", "code", "empty", "pickle"])
def test_every_reader_of_weights_says_the_same(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, says = written(tmp_path, name)
    for backbone in (f"openclip:ViT-B-32/{path}", f"cnn:resnet18/{path}"):
        with pytest.raises(InvalidFile, match="not a readable weights file") as caught:
            load_backbone(backbone)
        refused(caught.value, says)
    with pytest.raises(InvalidFile, match="not a readable few-shot list") as caught:
        read_fewshot_list(path)
    refused(caught.value, says)
    assert run(["adapters", "import", str(path), "--name", "x"]) == 5
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not [word for word in ADVICE if word in error]


@pytest.mark.parametrize("name", ["page", "git-lfs", "cut-safetensors", "code", "empty"])
def test_the_weights_of_an_adapter_say_the_same(tmp_path: Path, name: str) -> None:
    path, says = written(tmp_path, name)
    config = '{"kind": "inctrl", "backbone": "tiny", "fingerprint": "x", "image_size": 9, '
    config += '"layers": [], "shape": {}, "text": true, "version": 1}'
    (tmp_path / "adapter_config.json").write_text(config)
    path.rename(tmp_path / "adapter_model.safetensors")
    with pytest.raises(InvalidFile, match="adapter_model.safetensors") as caught:
        open_adapter(tmp_path)
    refused(caught.value, "a file of torch" if name == "code" else says)
    (tmp_path / "adapter_config.json").write_bytes(PAGE)
    with pytest.raises(InvalidFile, match="adapter_config.json.*web page"):
        open_adapter(tmp_path)


def test_a_checkpoint_is_no_adapter_and_a_zip_of_one_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pyth").write_bytes(saved(STATE))
    with pytest.raises(InvalidFile, match=r"file of weights.*`inctrl adapters import`"):
        open_adapter(tmp_path / "checkpoint.pyth")
    (tmp_path / "adapter.zip").write_bytes(zipped(adapter=b"x"))
    with pytest.raises(InvalidFile, match="a zip archive .*unpack it"):
        open_adapter(tmp_path / "adapter.zip")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("name", ["page", "git-lfs", "empty"])
def test_a_folder_of_transformers_with_pointers_in_it_is_told(
    tmp_path: Path, name: str, file: str
) -> None:
    path, says = written(tmp_path, name)
    path.rename(tmp_path / file)
    with pytest.raises(InvalidFile, match=file) as caught:
        load_backbone(f"hf:{tmp_path}")
    refused(caught.value, says)

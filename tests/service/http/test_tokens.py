"""Tokens: how they are made and kept."""

import hashlib
import re

import pytest

from inctrl.errors import Conflict, InvalidFile, OutputError, UsageError
from inctrl.service.http.tokens import TokenFile, new_token, write_token_file

TOKEN = "inctrl_right"  # noqa: S105


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"inctrl_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_a_written_token_is_let_in_and_no_other(tmp_path):
    path = tmp_path / "tokens"
    first, second = write_token_file(path), write_token_file(path, "laptop")
    tokens = TokenFile.read(path)
    assert [name for name, _ in tokens.digests] == ["default", "laptop"]
    assert tokens.check(first)
    assert tokens.check(second)
    for wrong in ("", first[:-1], first + " ", first.upper(), new_token(), "\udcff", "x" * 10_000):
        assert not tokens.check(wrong)


def test_the_file_holds_hashes_for_the_owner_alone(tmp_path):
    path = tmp_path / "tokens"
    token = write_token_file(path)
    write_token_file(path, "b")
    assert path.stat().st_mode & 0o777 == 0o600
    first, second = path.read_text().splitlines()
    assert first == f"default:sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    assert re.fullmatch(r"b:sha256:[0-9a-f]{64}", second)
    assert [left.name for left in tmp_path.iterdir()] == ["tokens"]


def test_every_entry_is_tried_whichever_matches(tmp_path, monkeypatch):
    path = tmp_path / "tokens"
    tokens = [write_token_file(path, name) for name in ("a", "b", "c")]
    tried = []
    monkeypatch.setattr(
        "inctrl.service.http.tokens.hmac.compare_digest", lambda a, b: tried.append(a) or a == b
    )
    for token in tokens:
        tried.clear()
        assert TokenFile.read(path).check(token)
        assert len(tried) == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_a_file_that_others_may_touch_is_refused(tmp_path, mode):
    path = tmp_path / "tokens"
    write_token_file(path)
    path.chmod(mode)
    with pytest.raises(InvalidFile, match="chmod 600"):
        TokenFile.read(path)


GOOD = "a:sha256:" + "0a" * 32
DAMAGE = [
    *[("sha256", "md5"), ("0a", ""), ("0a", "0a0a"), ("0a", "0A"), ("0a", "0g"), ("0a", "0a ")],
    *[("a:", ":"), ("a:", "A b:"), ("a:", "a::"), (GOOD, ""), (GOOD, TOKEN), (GOOD, GOOD + ":x")],
]


@pytest.mark.parametrize("line", [GOOD.replace(*damage, 1) for damage in DAMAGE])
def test_a_damaged_line_is_named_but_not_shown(tmp_path, line):
    path = tmp_path / "tokens"
    write_token_file(path, "b")
    good = path.read_text() + GOOD + "\n"
    path.write_text(good)
    assert len(TokenFile.read(path).digests) == 2
    path.write_text(good + line + "\n")
    with pytest.raises(InvalidFile, match="line 3 of") as refusal:
        TokenFile.read(path)
    assert TOKEN not in str(refusal.value)


def test_a_line_of_an_older_kind_asks_for_a_new_token(tmp_path):
    path = tmp_path / "tokens"
    write_token_file(path)
    old = "a:scrypt,n=16384,r=8,p=1:" + "A" * 24 + ":" + "A" * 43 + "="
    path.write_text(path.read_text() + old + "\n")
    for act in (TokenFile.read, lambda path: write_token_file(path, "b")):
        with pytest.raises(InvalidFile, match="line 2 of .* make a new token$"):
            act(path)


def test_no_file_an_empty_file_or_a_taken_name_are_errors(tmp_path):
    path = tmp_path / "tokens"
    with pytest.raises(InvalidFile, match="cannot read"):
        TokenFile.read(path)
    path.touch(0o600)
    with pytest.raises(InvalidFile, match="holds no token"):
        TokenFile.read(path)
    path.unlink()
    write_token_file(path)
    with pytest.raises(Conflict, match="has a token 'default'"):
        write_token_file(path)
    with pytest.raises(UsageError, match="no name"):
        write_token_file(path, "a:b")
    with pytest.raises(OutputError, match="cannot be written"):
        write_token_file(tmp_path / "none" / "tokens")

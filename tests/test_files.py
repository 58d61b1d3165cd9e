"""Files are whole or absent, and a changed byte is noticed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import files
from bench.errors import BadFile, StoreError
from bench.files import (
    atomic_write,
    canonical_json,
    digest,
    exclusive,
    load_tensors,
    read_header,
    read_json,
    save_tensors,
)

OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TENSORS = {
    "float": torch.linspace(-1, 1, 6).view(2, 3),
    "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "yes": torch.tensor([True, False]),
    "scalar": torch.tensor(7, dtype=torch.int64),
    "none": torch.empty(0, 3),
}
HEADER: dict[str, Any] = {"kind": "test", "numbers": [1, 2.5, None], "nested": {"ü": True}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def written(folder: Path) -> bytes:
    path = folder / "good.safetensors"
    if not path.exists():
        save_tensors(path, TENSORS, HEADER)
    return path.read_bytes()


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    def raw(tensor: Tensor) -> tuple[Any, ...]:
        flat = tensor.contiguous().reshape(-1).view(torch.uint8)
        return tensor.dtype, tensor.shape, flat.tolist()

    return {k: raw(v) for k, v in ours.items()} == {k: raw(v) for k, v in theirs.items()}


def run(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    files.write_text(path, "old")

    def fail_half_way() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")
    code = (
        "import os, sys; from pathlib import Path; from bench.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('new'); os.kill(os.getpid(), 9)"
    )
    with run(code, path) as process:
        assert process.wait() == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"Cannot write .*file/below"):
        files.write_text(tmp_path / "file" / "below", "text")
    with pytest.raises(StoreError, match="Cannot write"), exclusive(tmp_path / "file" / "lock"):
        pass


def test_tensors_and_header_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "tensors.safetensors"
    rows = torch.arange(12.0).view(3, 4).T  # not contiguous
    sha256 = save_tensors(path, TENSORS | {"rows": rows}, HEADER)
    tensors, header = load_tensors(path)
    assert same(tensors, TENSORS | {"rows": rows})
    assert header == HEADER == read_header(path)
    assert sha256 == files.tensors_digest(tensors, header)


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    shared = {"whole": whole, "part": whole[2:4], "again": whole}
    save_tensors(tmp_path / "shared", shared, {})
    assert same(load_tensors(tmp_path / "shared")[0], shared)


def test_loaded_tensors_are_private_copies_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tensors.safetensors"
    save_tensors(path, TENSORS, HEADER)
    load_tensors(path)[0]["float"].zero_()
    assert same(load_tensors(path)[0], TENSORS)


@OWN_FOLDER
@given(st.data())
def test_a_changed_byte_is_noticed_unless_it_changes_nothing(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(written(tmp_path))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    try:
        tensors, header = load_tensors(changed)
    except BadFile:
        return
    assert same(tensors, TENSORS)
    assert header == HEADER


def test_every_byte_of_the_tensors_themselves_counts(tmp_path: Path) -> None:
    content = written(tmp_path)
    start = 8 + int.from_bytes(content[:8], "little")
    changed = tmp_path / "changed.safetensors"
    for position in range(start, len(content)):
        changed.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        with pytest.raises(BadFile):
            load_tensors(changed)


@OWN_FOLDER
@given(st.data())
def test_a_truncated_file_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = written(tmp_path)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(BadFile):
        load_tensors(cut)


@pytest.mark.parametrize("length", [0, 1, 2**20, files.MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_an_impossible_header_length_is_refused_before_it_is_read(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + written(tmp_path)[8:])
    with pytest.raises(BadFile, match="header length is impossible"):
        read_header(path)


def test_a_header_beyond_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.setattr(files, "MAX_HEADER_BYTES", 64)
    with pytest.raises(BadFile, match="header length is impossible"):
        read_header(tmp_path / "good.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"bench": "[]"}, {"bench": "{"}, {"bench": "1"}, {"bench": "{}"}],
    ids=str,
)
def test_a_safetensors_file_of_somebody_else_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    from safetensors.torch import save

    path = tmp_path / "foreign.safetensors"
    path.write_bytes(save({"x": torch.zeros(2)}, metadata))
    with pytest.raises(BadFile):
        load_tensors(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="absent"):
        load_tensors(tmp_path / "absent")


@given(JSON)
def test_canonical_json_comes_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    reverse = dict(reversed(value.items()))
    assert canonical_json(reverse) == canonical_json(value)
    assert digest(reverse) == digest(value)


def test_digest_is_sha256_of_the_text_anyone_would_write() -> None:
    text = '{"a":[1,2.5,null],"b":"ü"}'
    assert canonical_json({"b": "ü", "a": [1, 2.5, None]}) == text
    assert digest({"b": "ü", "a": [1, 2.5, None]}) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": value})


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b""])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="cannot be read as JSON"):
        read_json(path)


def test_json_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[1, 2, 3]")
    with pytest.raises(BadFile, match="larger than 5 bytes"):
        read_json(path, max_bytes=5)


HOLD = (
    "import sys; from pathlib import Path; from bench.files import exclusive\n"
    "with exclusive(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_a_lock_excludes_other_processes_until_its_holder_is_gone(tmp_path: Path) -> None:
    lock = tmp_path / "store" / "lock"
    with run(HOLD, lock) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="in use by another run"), exclusive(lock, wait=False):
            pass
        holder.kill()
    with exclusive(lock, wait=False):
        pass


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock):
        waiter = run(HOLD, lock)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(0.3)
    with waiter:
        assert waiter.communicate("")[0] == "held\n"


def test_an_error_inside_is_not_mistaken_for_a_taken_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), exclusive(tmp_path / "lock", wait=False):
        raise BlockingIOError("of the body")

"""Which files of a folder are outputs, and what it means that they cannot be uploaded."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import botocore.config
import pytest
from s3transfer.utils import OSUtils

import upload_outputs
from bucket import TransferError
from tests.support.relay import Answer, Relay, Request
from upload_outputs import LONGEST_KEY, Found, find_files, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_the_smallest_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, size in (("large", 30), ("sub/small", 1), ("empty", 0), ("also", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    found = find_files(str(tmp_path), "p")
    assert found.files == [("empty", 0), ("also", 1), ("sub/small", 1), ("large", 30)]
    assert (found.left_out, found.problems) == ([], [])


def test_links_and_special_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("/etc")
    (tmp_path / "file").symlink_to("/etc/passwd")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = find_files(str(tmp_path), "p")
    assert found.files == []
    assert sorted(found.left_out) == [
        f"{tmp_path}/{name}" for name in ("broken", "file", "folder", "pipe")
    ]


def test_keys_have_an_end(tmp_path: Path) -> None:
    """At most 1,024 bytes of UTF-8.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    (tmp_path / "é").write_bytes(b"")
    prefix = "p" * (LONGEST_KEY - len("/é".encode()))
    assert LONGEST_KEY == 1024
    assert find_files(str(tmp_path), prefix).files == [("é", 0)]
    found = find_files(str(tmp_path), prefix + "p")
    assert found.problems == ["'é': its key would be longer than 1024 bytes"]


def test_a_folder_that_the_job_has_removed_has_no_files(tmp_path: Path) -> None:
    found = find_files(str(tmp_path / "gone"), "p")
    assert (found.files, found.left_out, found.problems) == ([], [], [])


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    [problem] = find_files(str(tmp_path / "out"), "p").problems
    assert problem.endswith("out': Not a directory")


# --- errors of the network ---


@contextmanager
def _server(says: bytes) -> Iterator[tuple[str, list[socket.socket]]]:
    """A port that answers every connection with some bytes and keeps it open, or with nothing."""
    kept: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            kept.append(connection)
            if says:
                connection.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", kept
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in kept:
        each.close()


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A client that tries once, and waits 0.3 seconds for a response."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MNGEN_OUTPUTS_REGION", "us-east-1")
    monkeypatch.setattr(upload_outputs, "ATTEMPTS", 1)
    config = partial(botocore.config.Config, read_timeout=0.3)
    monkeypatch.setattr(botocore.config, "Config", config)
    return monkeypatch


@pytest.mark.parametrize(
    ("scheme", "says", "reason"),
    [
        pytest.param("http", b"", "Read timeout on endpoint URL", id="silent"),
        pytest.param("https", b"no TLS at all\r\n", "SSL validation failed", id="bad-tls"),
    ],
)
def test_an_error_of_the_network_is_not_one_of_the_folder(
    once: pytest.MonkeyPatch, tmp_path: Path, scheme: str, says: bytes, reason: str
) -> None:
    """In botocore, a read timeout and an SSL error are an OSError too.

    Source: https://github.com/boto/botocore/blob/develop/botocore/exceptions.py
    """
    (tmp_path / "file").write_bytes(b"x")
    with _server(says) as (address, connections):
        once.setenv("AWS_ENDPOINT_URL_S3", f"{scheme}://{address}")
        with pytest.raises(TransferError) as caught:
            upload(str(tmp_path), "s3://bucket/out/1")
    said = str(caught.value)
    assert caught.value.code == 70, said
    assert said.startswith("cannot upload to s3://bucket/out/1: no response from S3: "), said
    assert reason in said
    assert len(connections) == 1


def test_a_proxy_that_refuses_is_not_an_error_of_the_folder(
    once: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: it refuses connections
        once.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        once.setenv("AWS_ENDPOINT_URL_S3", "https://s3.invalid")
        with pytest.raises(TransferError) as caught:
            upload(str(tmp_path), "s3://bucket/out/1")
    assert caught.value.code == 70, caught.value
    assert "Failed to connect to proxy URL" in str(caught.value)


# --- files that change ---


class _Store(Relay):
    """Takes objects as S3 does, and lets a test act before it has one.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1")
        self.objects: dict[str, bytes] = {}
        self.before: Callable[[str], None] = lambda _: None

    def handle(self, request: Request) -> Answer:
        """Keep the object."""
        assert request.method == "PUT", request
        key = request.target.removeprefix("/bucket/")
        self.before(key)
        self.objects[key] = request.body
        return Answer(200, (("ETag", '"e"'),), b"")


@pytest.fixture
def store(once: pytest.MonkeyPatch) -> Iterator[_Store]:
    # Bodies as they are, without the frames of a checksum after them.
    once.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    with _Store() as made:
        once.setenv("AWS_ENDPOINT_URL_S3", made.endpoint)
        yield made


def test_the_record_has_what_was_sent(
    store: _Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what was listed: another user may write to a shared folder."""
    for name in ("grown", "same"):
        (tmp_path / name).write_bytes(b"1")

    def listed(folder: str, prefix: str) -> Found:
        found = find_files(folder, prefix)
        (tmp_path / "grown").write_bytes(b"12345")
        return found

    monkeypatch.setattr(upload_outputs, "find_files", listed)
    said = upload(str(tmp_path), "s3://bucket/out/1")
    assert store.objects["out/1/grown"] == b"12345"
    record = json.loads(store.objects["out/1.json"])
    assert (record["files"], record["bytes"], record["changed"]) == (2, 6, 0)
    assert said.startswith("2 files, 6 B to ")


@pytest.mark.parametrize("change", ["write", "touch", "remove"])
def test_a_file_that_changes_during_the_upload_is_named(
    store: _Store, tmp_path: Path, change: str
) -> None:
    for name in ("first", "log"):
        (tmp_path / name).write_bytes(b"12")

    def write(key: str) -> None:
        if key.endswith("/log"):
            if change == "write":
                (tmp_path / "log").write_bytes(b"123456")
            elif change == "touch":
                os.utime(tmp_path / "log", (1, 1))
            else:
                (tmp_path / "log").unlink()

    store.before = write
    said = upload(str(tmp_path), "s3://bucket/out/1")
    record = json.loads(store.objects["out/1.json"])
    sent = sum(len(store.objects[f"out/1/{name}"]) for name in ("first", "log"))
    assert (record["files"], record["bytes"], record["changed"]) == (2, sent, 1)
    assert said.endswith("; changed during the upload: 'log'")


def test_a_size_that_nfs_has_cached_does_not_cut_a_file_short(
    store: _Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a file is opened, stat may return what it was before another node wrote to it.

    Source: https://man7.org/linux/man-pages/man5/nfs.5.html (close-to-open, attribute caching)
    """
    (tmp_path / "checkpoint").write_bytes(b"123456")
    opened = set()

    def fresh(path: str, flags: int, opening: Callable[..., int] = os.open) -> int:
        opened.add(path)
        return opening(path, flags)

    def size(_: OSUtils, path: str) -> int:
        return 6 if path in opened else 2

    monkeypatch.setattr(os, "open", fresh)
    monkeypatch.setattr(OSUtils, "get_file_size", size)
    upload(str(tmp_path), "s3://bucket/out/1")
    assert store.objects["out/1/checkpoint"] == b"123456"
    assert json.loads(store.objects["out/1.json"])["bytes"] == 6


def test_a_file_that_cannot_be_opened_does_not_stop_the_others(
    store: _Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good").write_bytes(b"1")

    def listed(_: str, prefix: str) -> Found:
        assert prefix == "out/1"
        return Found([("gone", 1), ("good", 1)], [], [])

    monkeypatch.setattr(upload_outputs, "find_files", listed)
    with pytest.raises(TransferError) as caught:
        upload(str(tmp_path), "s3://bucket/out/1")
    assert caught.value.code == 64
    assert "1 file uploaded to s3://bucket/out/1/, not these: 'gone': No such" in str(caught.value)
    assert store.objects == {"out/1/good": b"1"}

"""Which files of a folder are outputs, and what it means that they cannot be uploaded."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import botocore.config
import pytest

import upload_outputs
from bucket import TransferError
from upload_outputs import LONGEST_KEY, find_files, upload

if TYPE_CHECKING:
    from collections.abc import Iterator
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
def _server(says: bytes) -> Iterator[str]:
    """A port that answers every connection with some bytes and keeps it open, or with nothing."""
    kept = []

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
        yield f"127.0.0.1:{listening.getsockname()[1]}"
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
    with _server(says) as address:
        once.setenv("AWS_ENDPOINT_URL_S3", f"{scheme}://{address}")
        with pytest.raises(TransferError) as caught:
            upload(str(tmp_path), "s3://bucket/out/1")
    said = str(caught.value)
    assert caught.value.code == 70, said
    assert said.startswith("cannot upload to s3://bucket/out/1: no response from S3: "), said
    assert reason in said


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

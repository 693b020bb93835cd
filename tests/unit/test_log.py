"""What the package logs: shown as it is, from any thread, and stopping nothing."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from mngen._log import Lines, handled_by

LOG = logging.getLogger("mngen.images._bake")


def test_messages_are_shown_as_they_are_from_info_on() -> None:
    lines: list[str] = []
    with handled_by(Lines(lines.append)):
        LOG.debug("not for a screen")
        LOG.info("%s: %s", "x86_64-4", "50 % of the image")
        LOG.warning("100%")
    LOG.error("after the block")
    assert lines == ["x86_64-4: 50 % of the image", "100%"]


def test_the_package_s_logger_is_left_as_it_was() -> None:
    logger = logging.getLogger("mngen")
    before = (logger.level, list(logger.handlers))
    with pytest.raises(KeyboardInterrupt), handled_by(Lines(print)):
        raise KeyboardInterrupt
    assert (logger.level, list(logger.handlers)) == before


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
def test_a_line_that_cannot_be_written_stops_nothing(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(_: str) -> None:
        raise error

    with handled_by(Lines(show)):
        LOG.info("lost")
    assert capsys.readouterr() == ("", "")


def test_lines_of_images_that_are_baked_in_parallel_are_whole() -> None:
    written = io.StringIO()

    def show(line: str) -> None:
        for character in f"{line}\n":
            written.write(character)

    def bake(name: str) -> None:
        for stage in range(200):
            LOG.info("%s: stage %d", name, stage)

    names = ["x86_64-4", "x86_64-48", "arm64-64"]
    with handled_by(Lines(show)):
        threads = [threading.Thread(target=bake, args=[name]) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = written.getvalue().splitlines()
    for name in names:
        mine = [line for line in lines if line.startswith(f"{name}:")]
        assert mine == [f"{name}: stage {stage}" for stage in range(200)]
    assert len(lines) == 600

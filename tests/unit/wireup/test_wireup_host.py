"""How a node describes itself, and which descriptions the main node accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mngen_wireup.host import checked_host, count_cores, count_gpus, has_efa, interface_of
from mngen_wireup.messages import packed, parsed
from tests.support.wireup_parts import KEY, changed, host

if TYPE_CHECKING:
    from pathlib import Path

HOST = host(1, "10.0.0.2", "10.0.0.0/24", 48, 24, port=2222, key=KEY)


def test_cores_are_counted_by_their_siblings(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
    assert count_cores({0, 1, 2, 3}, str(tmp_path)) == 2
    assert count_cores({0, 1}, str(tmp_path)) == 2
    assert count_cores({7, 8, 9}, str(tmp_path)) == 3, "unknown: each is one"


def test_efa_is_seen_by_its_device(tmp_path: Path) -> None:
    assert not has_efa(str(tmp_path / "absent"))
    assert not has_efa(str(tmp_path))
    (tmp_path / "uverbs0").touch()
    assert has_efa(str(tmp_path))


def test_gpus_are_counted_by_their_devices(tmp_path: Path) -> None:
    # As https://docs.nvidia.com/cuda/cuda-installation-guide-linux/ names them.
    for name in ("null", "nvidiactl", "nvidia-uvm", "nvidia-caps", "nvidia-modeset"):
        (tmp_path / name).touch()
    assert count_gpus(str(tmp_path)) == 0
    for name in ("nvidia0", "nvidia3", "nvidia15"):
        (tmp_path / name).touch()
    assert count_gpus(str(tmp_path)) == 3


def test_interface_is_found_by_its_address() -> None:
    assert interface_of("127.0.0.1") == ("lo", "127.0.0.0/8")
    assert interface_of("192.0.2.1") == ("", "192.0.2.1/32")


def test_host_that_makes_sense() -> None:
    assert checked_host(parsed(packed({"host": HOST.values()}))["host"]) == HOST
    assert checked_host(changed(HOST, port=0, key="").values()).key == ""


@pytest.mark.parametrize(
    "change",
    [
        {"address": "10.0.0.2\nHost *"},
        {"address": "evil.example"},
        {"address": "٣.0.0.1"},
        {"network": "10.0.0.0/24,0.0.0.0/0"},
        {"network": "eth0"},
        {"key": "ssh-ed25519 " + "A" * 60 + "\nevil AAA"},
        {"key": KEY + "\n* " + KEY},
        {"key": KEY.replace("ed25519", "rsa")},
        {"cpus": 0},
        {"cpus": True},
        {"cores": 49},
        {"port": 65536},
        {"efa": 1},
        {"gpus": -1},
        {"gpus": True},
        {"ranks": -1},
        {"threads": 100_001},
        {"node": "1"},
    ],
)
def test_host_that_must_not_reach_a_file(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="malformed description of a host"):
        checked_host(changed(HOST, **change).values())


@pytest.mark.parametrize(
    "values", [None, 3, {}, [], vars(HOST), HOST.values()[:-1], [*HOST.values(), "more"]]
)
def test_host_that_is_none(values: Any) -> None:
    with pytest.raises(ValueError, match="malformed description of a host"):
        checked_host(values)

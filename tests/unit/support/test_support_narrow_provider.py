"""What Terraform is told of a provider in tests is what the provider said, of fewer types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tf.gen import tfplugin_pb2 as pb

from tests.support.narrow_provider import Answers, narrowed

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA, PREPARE = (f"/tfplugin5.Provider/{name}" for name in ("GetSchema", "PrepareProviderConfig"))
REGION, OTHER = b"us-east-1", b"eu-west-1"


def schema(version: int) -> pb.Schema:
    # Longer than a varint of one byte tells.
    names = [f"attribute-{number}" for number in range(40)]
    attributes = [pb.Schema.Attribute(name=name, type=b'"string"') for name in names]
    return pb.Schema(version=version, block=pb.Schema.Block(attributes=attributes))


def test_types_that_are_not_named_are_left_out_and_all_else_stays() -> None:
    # Protocol 6; the message has the fields of protocol 5, which the AWS provider speaks.
    told = pb.GetProviderSchema.Response(
        provider=schema(1),
        resource_schemas={"aws_vpc": schema(2), "aws_lb": schema(3)},
        data_source_schemas={"aws_lb": schema(4), "aws_subnet": schema(5)},
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
        functions={"arn_parse": pb.Function(summary="x")},
        diagnostics=[pb.Diagnostic(summary="y")],
    )
    left = pb.GetProviderSchema.Response.FromString(
        narrowed(told.SerializeToString(), frozenset({"aws_vpc", "aws_subnet"}))
    )
    del told.resource_schemas["aws_lb"]
    del told.data_source_schemas["aws_lb"]
    assert left == told


def test_another_encoding_is_refused() -> None:
    # Field 1, a fixed number of 4 bytes.
    with pytest.raises(ValueError, match="wire type 5"):
        narrowed(b"\x0d\0\0\0\0", frozenset())


class Provider:
    """Answers every call alike, and keeps them; each process has another `Answers`.

    Args:
        kept: The file of its description.
        answer: What it answers.
    """

    def __init__(self, kept: Path, answer: bytes) -> None:
        self._kept = kept
        self._answer = answer
        self.calls: list[tuple[str, bytes]] = []

    def asked(self, method: str, request: bytes = b"") -> bytes:
        def ask() -> bytes:
            self.calls.append((method, request))
            return self._answer

        return Answers(frozenset({"aws_vpc"}), self._kept).find(method, request, ask)


def test_a_provider_describes_itself_once(tmp_path: Path) -> None:
    told = pb.GetProviderSchema.Response(resource_schemas={"aws_vpc": schema(1)})
    provider = Provider(tmp_path / "kept", told.SerializeToString())
    for _ in range(3):
        assert pb.GetProviderSchema.Response.FromString(provider.asked(SCHEMA)) == told
    assert provider.calls == [(SCHEMA, b"")]


def test_a_provider_checks_each_configuration_once(tmp_path: Path) -> None:
    # The message of protocol 5 has the same fields, and its request another name.
    config = pb.DynamicValue(msgpack=b"x")
    answer = pb.ValidateProviderConfig.Response().SerializeToString()
    answer += b"\x0a" + bytes([config.ByteSize()]) + config.SerializeToString()
    provider = Provider(tmp_path / "kept", answer)
    for request in (REGION, OTHER, REGION, OTHER):
        assert provider.asked(PREPARE, request) == answer
    assert provider.calls == [(PREPARE, REGION), (PREPARE, OTHER)]


def test_an_objection_is_asked_for_again(tmp_path: Path) -> None:
    answer = pb.ValidateProviderConfig.Response(diagnostics=[pb.Diagnostic(summary="x")])
    provider = Provider(tmp_path / "kept", answer.SerializeToString())
    for _ in range(2):
        assert provider.asked(PREPARE, REGION) == answer.SerializeToString()
    assert provider.calls == [(PREPARE, REGION)] * 2

"""What Terraform is told of a provider in tests is what the provider said, of fewer types."""

from __future__ import annotations

import pytest
from tf.gen import tfplugin_pb2 as pb

from tests.support.narrow_provider import narrowed


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

"""A provider that speaks Terraform's plugin protocol 6 and knows a schema, and no AWS.

It stands in for AWS provider 6.62 where Terraform's core is to judge a configuration: core checks
every block against the schema that it is served, evaluates every reference, and holds the provider
to its promises about unknown values. Plans mark unset computed values unknown; applying fills them
(see `_values`); reading returns the state as it is.

Run as `python -m tests.support.provider6.server SOCKET`: it listens on that unix socket, reports it
on standard output with the JSON for `TF_REATTACH_PROVIDERS`, and ends when its standard input does,
so that it never outlives the process that started it.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc
from tf.types import Unknown
from tf.utils import ExtType, read_dynamic_value, to_dynamic_value

from tests.support.provider6._schema import Block, attributes, load_schema, nested_blocks
from tests.support.provider6._values import Subject, plausible

PROVIDER_SOURCE: Final = "registry.terraform.io/hashicorp/aws"
_DEFAULT_REGION = "us-east-1"


def _is_unknown(value: Any) -> bool:
    # Core sends unknown values with what it knows about them as a separate extension type.
    return value is Unknown or isinstance(value, ExtType)


def _elements(nested: Block, value: Any) -> list[dict[str, Any]]:
    """Returns the bodies of a nested block: none where it is absent or not known yet."""
    if value is None or _is_unknown(value):
        return []
    return [value] if nested["nesting"] == "single" else value


def mark_unknown(block: Block, body: dict[str, Any]) -> None:
    """Marks each computed value that nothing sets as unknown, in `body` itself.

    A `name_prefix` that is not set stays null, as AWS never makes one up.
    """
    for name, (_, flags) in attributes(block).items():
        if body[name] is None and "c" in flags and not name.endswith("_prefix"):
            body[name] = Unknown
    for name, nested in nested_blocks(block).items():
        for element in _elements(nested, body[name]):
            mark_unknown(nested, element)


def fill(block: Block, body: dict[str, Any], subject: Subject, *, data: bool) -> None:
    """Gives each computed value that is still open a plausible one, in `body` itself."""
    # Other values, such as a DNS name, are made from the id.
    for name, (kind, flags) in sorted(
        attributes(block).items(), key=lambda item: (item[0] != "id", item[0])
    ):
        is_open = _is_unknown(body[name]) or (data and body[name] is None)
        if is_open and "c" in flags:
            body[name] = plausible(kind, name, subject, data=data)
    for name, nested in nested_blocks(block).items():
        for element in _elements(nested, body[name]):
            fill(nested, element, subject, data=data)


def to_message(block: Block) -> Any:
    """Returns a block as the protocol's message."""
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(kind).encode(),
                required="r" in flags,
                optional="o" in flags,
                computed="c" in flags,
            )
            for name, (kind, flags) in attributes(block).items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=to_message(nested),
                nesting=nested["nesting"].upper(),
                min_items=nested["min"],
                max_items=nested["max"],
            )
            for name, nested in nested_blocks(block).items()
        ],
    )


class Provider:
    """The protocol's calls; each takes a request and the call's context, and returns a response."""

    def __init__(self) -> None:
        self._schema = load_schema()
        self._description = self._describe()
        self._tokens = itertools.count(1)
        self._region = _DEFAULT_REGION
        self._default_tags: dict[str, Any] = {}

    def get_provider_schema(self, _request: Any, _context: Any) -> Any:
        """Serves the schema, which need not be asked for again: the real one declares it, too."""
        return self._description

    def _describe(self) -> Any:
        def schemas(section: str) -> dict[str, Any]:
            return {
                name: pb.Schema(block=to_message(block))
                for name, block in self._schema[section].items()
            }

        return pb.GetProviderSchema.Response(
            provider=pb.Schema(block=to_message(self._schema["provider"])),
            resource_schemas=schemas("resources"),
            data_source_schemas=schemas("data_sources"),
            server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
        )

    def validate_provider_config(self, _request: Any, _context: Any) -> Any:
        """Accepts what fits the schema; core has checked that already."""
        return pb.ValidateProviderConfig.Response()

    def validate_resource_config(self, _request: Any, _context: Any) -> Any:
        """Accepts what fits the schema; core has checked that already."""
        return pb.ValidateResourceConfig.Response()

    def validate_data_resource_config(self, _request: Any, _context: Any) -> Any:
        """Accepts what fits the schema; core has checked that already."""
        return pb.ValidateDataResourceConfig.Response()

    def configure_provider(self, request: Any, _context: Any) -> Any:
        """Takes the region and the default tags from the `provider` block."""
        config = read_dynamic_value(request.config)
        region = config["region"]
        self._region = region if isinstance(region, str) else _DEFAULT_REGION
        self._default_tags = {}
        for block in config["default_tags"]:
            self._default_tags.update(block["tags"] or {})
        return pb.ConfigureProvider.Response()

    def upgrade_resource_state(self, request: Any, _context: Any) -> Any:
        """Returns the stored state as it is: there is one schema version."""
        return pb.UpgradeResourceState.Response(
            upgraded_state=pb.DynamicValue(json=request.raw_state.json)
        )

    def read_resource(self, request: Any, _context: Any) -> Any:
        """Returns the state as it is: nothing changes behind Terraform's back."""
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def plan_resource_change(self, request: Any, _context: Any) -> Any:
        """Plans what was proposed, with what AWS computes unknown."""
        body = read_dynamic_value(request.proposed_new_state)
        if body is not None:
            block = self._schema["resources"][request.type_name]
            if "region" in body and body["region"] is None:
                body["region"] = self._region
            if "tags_all" in body:
                body["tags_all"] = self._all_tags(body["tags"])
            mark_unknown(block, body)
        return pb.PlanResourceChange.Response(planned_state=to_dynamic_value(body))

    def apply_resource_change(self, request: Any, _context: Any) -> Any:
        """Turns the plan into a state in which nothing is unknown."""
        body = read_dynamic_value(request.planned_state)
        if body is not None:
            token = f"{next(self._tokens):017x}"
            subject = Subject(request.type_name, body, token, self._region)
            fill(self._schema["resources"][request.type_name], body, subject, data=False)
        return pb.ApplyResourceChange.Response(new_state=to_dynamic_value(body))

    def read_data_source(self, request: Any, _context: Any) -> Any:
        """Answers from the question alone, the same each time."""
        body = read_dynamic_value(request.config)
        token = hashlib.sha256(request.type_name.encode() + request.config.msgpack).hexdigest()[:17]
        subject = Subject(request.type_name, body, token, self._region)
        fill(self._schema["data_sources"][request.type_name], body, subject, data=True)
        return pb.ReadDataSource.Response(state=to_dynamic_value(body))

    def stop_provider(self, _request: Any, _context: Any) -> Any:
        """Has nothing under way to stop."""
        return pb.StopProvider.Response()

    def _all_tags(self, tags: Any) -> Any:
        if _is_unknown(tags):
            return Unknown
        return {**self._default_tags, **(tags or {})}


_METHODS: Final = {
    "GetProviderSchema": "get_provider_schema",
    "ValidateProviderConfig": "validate_provider_config",
    "ValidateResourceConfig": "validate_resource_config",
    "ValidateDataResourceConfig": "validate_data_resource_config",
    "ConfigureProvider": "configure_provider",
    "UpgradeResourceState": "upgrade_resource_state",
    "ReadResource": "read_resource",
    "PlanResourceChange": "plan_resource_change",
    "ApplyResourceChange": "apply_resource_change",
    "ReadDataSource": "read_data_source",
    "StopProvider": "stop_provider",
}


def main() -> None:
    """Serves until standard input ends."""
    (socket,) = sys.argv[1:]
    # Looked up by name: grpcio carries no types.
    grpc: Any = importlib.import_module("grpc")
    provider = Provider()
    # What the rig has no use for, importing and moving among it, answers "not implemented".
    servicer: Any = rpc.ProviderServicer()
    for name, method in _METHODS.items():
        setattr(servicer, name, getattr(provider, method))
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    rpc.add_ProviderServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    reattach = {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": "unix", "String": socket},
    }
    print(json.dumps({PROVIDER_SOURCE: reattach}), flush=True)
    sys.stdin.buffer.read()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main()

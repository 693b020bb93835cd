"""SARIF, against the parts of its 2.1.0 schema that code hosts need."""

from __future__ import annotations

import json

import jsonschema

from mngen.catalog import load_catalog
from mngen.errors import format_problems
from mngen.rules import RULES, check, to_sarif
from mngen.spec import load_text

# From the required properties, types and limits of SARIF 2.1.0, sections 3.13 to 3.52.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "fullDescription": TEXT,
                                                "help": TEXT,
                                                "helpUri": {"type": "string", "format": "uri"},
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": LEVEL},
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "format": "uri-reference",
                                                            }
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "properties": {
                                                            "startLine": {"minimum": 1},
                                                            "startColumn": {"minimum": 1},
                                                        },
                                                    },
                                                },
                                            },
                                            "logicalLocations": {"type": "array"},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}

BAD = b"""\
name: seismic
region: us-east-1
surplus: 1
environments:
  r5: {instance: r5.12xlrge, max_nodes: 16}
queues:
  mpi: {environments: [r5]}
jobs:
  hello:
    queue: mpi
    command: [env]
    environment: {API_TOKEN: "abc123secret", EMPTY: ""}
"""


def test_log_is_valid_and_every_result_names_its_rule() -> None:
    problems = check(load_text(BAD, "my specs/mngen.yaml"), load_catalog())
    log = json.loads(json.dumps(to_sarif(problems)))

    jsonschema.validate(log, SCHEMA, format_checker=jsonschema.FormatChecker())
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["MN100", *(rule.id for rule in RULES)]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("MN161", "note"),
        ("MN100", "error"),
        ("MN101", "error"),
        ("MN155", "warning"),
        ("MN156", "warning"),
    ]


def test_places() -> None:
    problems = check(load_text(BAD, "my specs/mngen.yaml"), load_catalog())
    result = to_sarif(problems)["runs"][0]["results"][2]

    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "my%20specs/mngen.yaml"},
                "region": {"startLine": 5, "startColumn": 18},
            },
            "logicalLocations": [{"fullyQualifiedName": "environments.r5.instance"}],
        }
    ]


def test_no_secret_leaves_the_spec() -> None:
    problems = check(load_text(BAD), load_catalog())
    assert "abc123secret" not in json.dumps(to_sarif(problems))
    assert "abc123secret" not in json.dumps([problem.as_dict() for problem in problems])
    assert "abc123secret" not in format_problems(problems)

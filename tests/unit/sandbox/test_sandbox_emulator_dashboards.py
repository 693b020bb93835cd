"""The emulated CloudWatch refuses bodies of dashboards that AWS refuses.

What is valid, and the limits, are those of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html;
the messages are those of https://github.com/pulumi/pulumi/issues/13059 and
https://github.com/aws-samples/aws-eda-slurm-cluster/issues/116.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sandbox import client, error_code, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

# The first example of the page, without its line breaks.
EXAMPLE: dict[str, Any] = {
    "start": "-PT6H",
    "periodOverride": "inherit",
    "widgets": [
        {
            "type": "metric",
            "x": 0,
            "y": 0,
            "width": 12,
            "height": 6,
            "properties": {
                "metrics": [["AWS/EC2", "CPUUtilization", "InstanceId", "i-012345"]],
                "period": 300,
                "stat": "Average",
                "region": "us-east-1",
                "title": "EC2 Instance CPU",
                "liveData": False,
                "legend": {"position": "right"},
            },
        },
        {
            "type": "text",
            "x": 0,
            "y": 7,
            "width": 3,
            "height": 3,
            "properties": {"markdown": "Hello world"},
        },
    ],
}
# Two of its examples of metrics, and its widget of logs.
MORE: list[dict[str, Any]] = [
    {
        "type": "metric",
        "x": 0,
        "y": 0,
        "width": 12,
        "height": 6,
        "properties": {
            "metrics": [
                ["AWS/EC2", "DiskReadBytes", "InstanceId", "i-123", {"id": "m1"}],
                [".", ".", ".", "i-abc", {"id": "m2"}],
                [{"expression": "SUM(METRICS())", "label": "Sum of DiskReadbytes", "id": "e3"}],
            ],
            "view": "timeSeries",
            "stacked": False,
            "period": 300,
            "stat": "Average",
            "region": "us-east-1",
            "title": "EC2 Instance CPU",
            "annotations": {
                "horizontal": [
                    {"visible": True, "label": "Critical range", "value": 20, "fill": "above"},
                    [{"label": "Band top", "value": 200}, {"value": 95.5, "label": "Band bottom"}],
                ]
            },
        },
    },
    {
        "type": "log",
        "x": 12,
        "y": 24,
        "width": 12,
        "height": 6,
        "properties": {
            "region": "us-east-1",
            "title": "Errors (Application Log)",
            "query": "SOURCE 'application1.log' | filter @message like \"[ERROR]\"",
            "view": "table",
        },
    },
]


@pytest.fixture(scope="module")
def cloudwatch(sandbox: Sandbox) -> Any:
    return client(sandbox, "cloudwatch")


def put(cloudwatch: Any, body: Any, name: str | None = None) -> str:
    name = name or unique("dashboard")
    text = body if isinstance(body, str) else json.dumps(body)
    cloudwatch.put_dashboard(DashboardName=name, DashboardBody=text)
    return name


def refused(cloudwatch: Any, body: Any, name: str | None = None) -> str:
    with pytest.raises(cloudwatch.exceptions.DashboardInvalidInputError) as caught:
        put(cloudwatch, body, name)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterInput"
    return str(caught.value)


@pytest.mark.parametrize("body", [EXAMPLE, {"widgets": []}, {"widgets": MORE}])
def test_what_aws_shows_as_examples(body: dict[str, Any], cloudwatch: Any) -> None:
    name = put(cloudwatch, body)
    assert json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]) == body


def widget(**changed: Any) -> dict[str, Any]:
    """A body whose only widget differs from the first of the example; None takes a key away."""
    whole = {**EXAMPLE["widgets"][0], **changed}
    return {"widgets": [{key: value for key, value in whole.items() if value is not None}]}


def metric(**changed: Any) -> dict[str, Any]:
    """The same for a property of that widget."""
    whole = {**EXAMPLE["widgets"][0]["properties"], **changed}
    return widget(properties={key: value for key, value in whole.items() if value is not None})


def text(kind: str, **properties: Any) -> dict[str, Any]:
    return widget(type=kind, properties=properties)


LINE = ["AWS/EC2", "CPUUtilization"]


@pytest.mark.parametrize(
    ("body", "place", "message"),
    [
        ({}, "", "Should have required property 'widgets'"),
        ({"widgets": {}}, "/widgets", "Should be array"),
        (
            {"widgets": EXAMPLE["widgets"] * 251},
            "/widgets",
            "Should NOT have more than 500 items",
        ),
        ({**EXAMPLE, "start": "6H"}, "/start", "Should be a valid time range"),
        ({"widgets": [], "end": "2018-12-17T06:00:00.000Z"}, "", "property 'start'"),
        ({**EXAMPLE, "periodOverride": "none"}, "/periodOverride", "one of the allowed values"),
        (widget(type=None), "/widgets/0", "Should have required property 'type'"),
        (widget(type="graph"), "/widgets/0/type", "one of the allowed values"),
        (widget(x=24), "/widgets/0/x", "Should be <= 23"),
        (widget(x=-1), "/widgets/0/x", "Should be >= 0"),
        (widget(x=None), "/widgets/0", "Should have required property 'x'"),
        (widget(y=None), "/widgets/0", "Should have required property 'y'"),
        (widget(width=25), "/widgets/0/width", "Should be <= 24"),
        (widget(width=8.5), "/widgets/0/width", "Should be integer"),
        (widget(height=1001), "/widgets/0/height", "Should be <= 1000"),
        (widget(properties=None), "/widgets/0", "Should have required property 'properties'"),
        (metric(region=None), "/widgets/0/properties", "Should have required property 'region'"),
        (metric(metrics=None), "/widgets/0/properties", "Should have required property 'metrics'"),
        (metric(metrics=LINE), "/widgets/0/properties/metrics/0", "Should be array"),
        (metric(metrics=[LINE[:1]]), "/widgets/0/properties/metrics/0", "array of strings"),
        (metric(metrics=[[*LINE, "InstanceId"]]), "/widgets/0/properties/metrics/0", "array of"),
        (metric(metrics=[[{"label": "x"}]]), "/widgets/0/properties/metrics/0", "array of strings"),
        (
            metric(metrics=[[*LINE, {"id": "M1"}]]),
            "/widgets/0/properties/metrics/0/2/id",
            "Should start with a lowercase letter",
        ),
        (
            metric(metrics=[[*LINE, {"stat": "Median"}]]),
            "/widgets/0/properties/metrics/0/2/stat",
            "Should be a valid statistic",
        ),
        (
            metric(metrics=[LINE] * 501),
            "/widgets/0/properties/metrics",
            "Should NOT have more than 500 items",
        ),
        (
            {"widgets": metric(metrics=[LINE] * 500)["widgets"] * 6},
            "/widgets",
            "Should NOT have more than 2500 metrics",
        ),
        (metric(period=90), "/widgets/0/properties/period", "Should be a multiple of 60"),
        (metric(view="lines"), "/widgets/0/properties/view", "one of the allowed values"),
        (
            metric(annotations={"horizontal": [{"label": "most"}]}),
            "/widgets/0/properties/annotations/horizontal/0",
            "Should have required property 'value'",
        ),
        (text("text"), "/widgets/0/properties", "Should have required property 'markdown'"),
        (text("log", query="x"), "/widgets/0/properties", "Should have required property 'region'"),
        (text("log", region="x"), "/widgets/0/properties", "Should have required property 'query'"),
        (text("log", region="x", query=1), "/widgets/0/properties/query", "Should be string"),
    ],
)
def test_what_the_page_does_not_allow(
    body: dict[str, Any], place: str, message: str, cloudwatch: Any
) -> None:
    said = refused(cloudwatch, body)
    head, _, listed = said.partition(" validation errors:\n")
    assert "The dashboard body is invalid, there are " in head
    found = json.loads(listed)
    assert any(each["dataPath"] == place and message in each["message"] for each in found), found


def test_a_body_that_is_no_json_and_a_name_that_is_none(cloudwatch: Any) -> None:
    assert "JSON" in refused(cloudwatch, "widgets")
    assert "DashboardName" in refused(cloudwatch, EXAMPLE, "my dashboard")
    assert "DashboardName" in refused(cloudwatch, EXAMPLE, "x" * 256)


def test_a_dashboard_is_of_all_regions(sandbox: Sandbox, cloudwatch: Any) -> None:
    name = put(cloudwatch, EXAMPLE)
    elsewhere = client(sandbox, "cloudwatch", "eu-north-1")
    assert elsewhere.get_dashboard(DashboardName=name)["DashboardArn"].split(":")[3] == ""
    assert name in {
        each["DashboardName"] for each in elsewhere.list_dashboards()["DashboardEntries"]
    }
    elsewhere.delete_dashboards(DashboardNames=[name])
    assert error_code(cloudwatch.get_dashboard, DashboardName=name) == "ResourceNotFound"

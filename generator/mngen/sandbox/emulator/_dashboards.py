"""Dashboards of CloudWatch: moto takes every body that is JSON, and keeps those of a region apart.

Here a body is refused unless it has the structure that AWS documents, with the path and the message
of each fault as AWS prints them; a dashboard is the account's in all its regions.

Not here: what a widget shows, and the structure of alarm, explorer and chart widgets, of which only
the place on the grid is checked. AWS accepts widgets that overlap: one of its examples has such.

Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html (names; "All
dashboards in your account are global, not region-specific"); messages as AWS printed them in
https://github.com/pulumi/pulumi/issues/13059 and
https://github.com/aws-samples/aws-eda-slurm-cluster/issues/116.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import DashboardInvalidInputError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from mngen.sandbox.emulator._patch import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_START = re.compile(r"-PT\d+[MH]|-P\d+[DWM]|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_STATISTIC = re.compile(r"SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d+)?|p100")
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")
_TYPES = ("metric", "text", "log", "alarm", "explorer", "chart")
_VIEWS = ("timeSeries", "singleValue", "gauge", "bar", "pie", "table")
_MOST_WIDGETS = 500
_MOST_METRICS = 500
_MOST_OF_ALL = 2500
"""Metrics of all widgets together.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
"""
_NO_METRIC = (
    'Field "metrics" has to be an array of array of strings, with an optional metricRenderer '
    "object as last element"
)
_GRID = {"x": (0, 23), "y": (0, None), "width": (1, 24), "height": (1, 1000)}

_HOME = "us-east-1"
_HOMES = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Of each partition the region of moto that keeps the dashboards of all."""

Fault = tuple[str, str]
"""A path in the body, and what is wrong there."""


class Backend:
    """What CloudWatch keeps of dashboards."""

    account_id: str
    partition: str

    def put_dashboard(self, name: str, body: str) -> Any:
        """Keeps a dashboard for all regions, unless AWS would refuse it."""
        if not _NAME.fullmatch(name):
            raise DashboardInvalidInputError(
                f"The value {name} for field DashboardName contains invalid characters. It can "
                "only contain alphanumerics, dash (-) and underscore (_)."
            )
        found = list(faults(json.loads(body)))
        if found:
            listed = json.dumps(
                [{"dataPath": path, "message": message} for path, message in found], indent=2
            )
            raise DashboardInvalidInputError(
                f"The dashboard body is invalid, there are {len(found)} validation errors:\n"
                f"{listed}"
            )
        return _PUT(self, name, body)

    @property
    def dashboards(self) -> Any:
        """The account's dashboards, by their names."""
        home = _HOMES.get(self.partition, _HOME)
        return vars(cloudwatch_backends[self.account_id][home])["_dashboards"]

    @dashboards.setter
    def dashboards(self, dashboards: Any) -> None:
        vars(self)["_dashboards"] = dashboards


_PUT: Any = CloudWatchBackend.put_dashboard


def faults(body: Any) -> Iterator[Fault]:
    """Yields what AWS refuses in the body of a dashboard."""
    if not isinstance(body, dict):
        yield "", "Should be object"
        return
    yield from _general(body)
    if "widgets" not in body:
        yield "", "Should have required property 'widgets'"
        return
    widgets = body["widgets"]
    if not isinstance(widgets, list):
        yield "/widgets", "Should be array"
        return
    if len(widgets) > _MOST_WIDGETS:
        yield "/widgets", f"Should NOT have more than {_MOST_WIDGETS} items"
    total = 0
    for number, widget in enumerate(widgets):
        place = f"/widgets/{number}"
        if not isinstance(widget, dict):
            yield place, "Should be object"
            continue
        yield from _widget(place, widget)
        properties = widget.get("properties")
        metrics = properties.get("metrics") if isinstance(properties, dict) else None
        total += len(metrics) if isinstance(metrics, list) else 0
    if total > _MOST_OF_ALL:
        yield "/widgets", f"Should NOT have more than {_MOST_OF_ALL} metrics"


def _general(body: dict[str, Any]) -> Iterator[Fault]:
    start, end = body.get("start"), body.get("end")
    if start is not None and not (isinstance(start, str) and _START.fullmatch(start)):
        yield "/start", "Should be a valid time range"
    if end is not None and start is None:
        yield "", "Should have required property 'start'"
    if body.get("periodOverride", "auto") not in ("auto", "inherit"):
        yield "/periodOverride", "Should be equal to one of the allowed values"


def _on_grid(place: str, widget: dict[str, Any]) -> Iterator[Fault]:
    for key, (least, most) in _GRID.items():
        if key not in widget:
            continue
        value = widget[key]
        if not _is_integer(value):
            yield f"{place}/{key}", "Should be integer"
        elif value < least:
            yield f"{place}/{key}", f"Should be >= {least}"
        elif most is not None and value > most:
            yield f"{place}/{key}", f"Should be <= {most}"
    for key, other in (("x", "y"), ("y", "x")):
        if key in widget and other not in widget:
            yield place, f"Should have required property '{other}'"


def _widget(place: str, widget: dict[str, Any]) -> Iterator[Fault]:
    yield from _on_grid(place, widget)
    kind = widget.get("type")
    if "type" not in widget:
        yield place, "Should have required property 'type'"
    elif kind not in _TYPES:
        yield f"{place}/type", "Should be equal to one of the allowed values"
    if "properties" not in widget:
        yield place, "Should have required property 'properties'"
    elif not isinstance(widget["properties"], dict):
        yield f"{place}/properties", "Should be object"
    elif kind in _PROPERTIES:
        yield from _PROPERTIES[kind](f"{place}/properties", widget["properties"])


def _text(place: str, properties: dict[str, Any]) -> Iterator[Fault]:
    yield from _strings(place, properties, required=("markdown",))
    if properties.get("background", "solid") not in ("solid", "transparent"):
        yield f"{place}/background", "Should be equal to one of the allowed values"


def _log(place: str, properties: dict[str, Any]) -> Iterator[Fault]:
    yield from _strings(place, properties, required=("region", "query"), others=("title",))
    if properties.get("view", "table") not in ("table", "timeSeries", "bar", "pie"):
        yield f"{place}/view", "Should be equal to one of the allowed values"


def _metric(place: str, properties: dict[str, Any]) -> Iterator[Fault]:
    yield from _strings(place, properties, required=("region",), others=("title",))
    if "metrics" not in properties and "annotations" not in properties:
        yield place, "Should have required property 'metrics'"
        yield (
            place,
            (
                "The metric widget should have specified a region and a data source or an alarm "
                "annotation"
            ),
        )
        yield place, "Should have required property 'annotations'"
    yield from _rendering(place, properties)
    if properties.get("view", "timeSeries") not in _VIEWS:
        yield f"{place}/view", "Should be equal to one of the allowed values"
    annotations = properties.get("annotations", {})
    for number, each in enumerate(annotations.get("horizontal", [])):
        band = each if isinstance(each, list) else [each]
        if any("value" not in line for line in band):
            where = f"{place}/annotations/horizontal/{number}"
            yield where, "Should have required property 'value'"
    metrics = properties.get("metrics", [])
    if not isinstance(metrics, list):
        yield f"{place}/metrics", "Should be array"
        return
    if len(metrics) > _MOST_METRICS:
        yield f"{place}/metrics", f"Should NOT have more than {_MOST_METRICS} items"
    for number, each in enumerate(metrics):
        yield from _one_metric(f"{place}/metrics/{number}", each)


def _one_metric(place: str, metric: Any) -> Iterator[Fault]:
    """Yields what is wrong with `[namespace, name, dimension, value, …, {rendering}]`."""
    if not isinstance(metric, list):
        yield place, "Should be array"
        return
    *names, last = metric or [None]
    rendering = last if isinstance(last, dict) else {}
    names = names if isinstance(last, dict) else metric
    is_expression = not names and isinstance(rendering.get("expression"), str)
    # A namespace and a name, and pairs of dimensions.
    is_metric = len(names) >= 2 and len(names) % 2 == 0
    if not all(isinstance(each, str) for each in names) or not (is_expression or is_metric):
        yield place, _NO_METRIC
        return
    where = f"{place}/{len(names)}"
    yield from _rendering(where, rendering)
    identifier = rendering.get("id")
    if identifier is not None and not _ID.fullmatch(identifier):
        yield f"{where}/id", "Should start with a lowercase letter"
    if rendering.get("yAxis", "left") not in ("left", "right"):
        yield f"{where}/yAxis", "Should be equal to one of the allowed values"


def _rendering(place: str, properties: dict[str, Any]) -> Iterator[Fault]:
    """Yields what is wrong with what a widget and each of its metrics may have."""
    period = properties.get("period", 300)
    if not _is_integer(period) or period < 60 or period % 60:
        yield f"{place}/period", "Should be a multiple of 60"
    statistic = properties.get("stat", "Average")
    if not isinstance(statistic, str) or not _STATISTIC.fullmatch(statistic):
        yield f"{place}/stat", "Should be a valid statistic"


def _strings(
    place: str,
    properties: dict[str, Any],
    *,
    required: tuple[str, ...],
    others: tuple[str, ...] = (),
) -> Iterator[Fault]:
    for key in required:
        if key not in properties:
            yield place, f"Should have required property '{key}'"
    for key in chain(required, others):
        if key in properties and not isinstance(properties[key], str):
            yield f"{place}/{key}", "Should be string"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PROPERTIES: dict[Any, Callable[[str, dict[str, Any]], Iterator[Fault]]] = {
    "log": _log,
    "metric": _metric,
    "text": _text,
}


def close() -> None:
    """Puts these in the place of moto's own."""
    patch(CloudWatchBackend, Backend, adds=("dashboards",))

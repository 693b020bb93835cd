"""The Price List of the emulated AWS, which moto does not have: GetProducts for EC2 instances.

An entry is JSON in a string, as in the example of botocore's model `pricing` (2017-10-15), which
also has the limits of a request. For each instance type there are, beside the price on demand with
Linux and shared tenancy, entries that a request must filter out: dedicated tenancy, Windows, and
capacity that a reservation pays for, whose price is 0. Attributes and their values are those that
https://github.com/aws/karpenter-provider-aws (pkg/providers/pricing/pricing.go) filters by.

Not as on AWS: a region that mngen ships no prices for has those of us-east-1; dedicated tenancy
costs a tenth more and Windows twice as much; there are no other products, no reserved instances,
and few of the attributes. That an unknown service is refused with InvalidParameterException is
inferred: the model lists the error, and https://github.com/aws/aws-sdk-go-v2/issues/840 shows it
for a request that names no service.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from mngen.catalog import load_catalog, load_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SERVICE = "pricing"
"""The name that requests are signed for."""

_KIND = "application/x-amz-json-1.1"
_TARGET = "AWSPriceListService.GetProducts"
_PAGE = 100
_OTHER_REGIONS = "us-east-1"
_OFFER, _RATE = "JRTCKXETXF", "6YS6EN2CT7"
_TYPES = ("TERM_MATCH", "EQUALS", "CONTAINS", "ANY_OF", "NONE_OF")


class RefusedError(Exception):
    """The price list refuses a request.

    Attributes:
        code: The name of the error.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def price_list(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers one request, as a WSGI application.

    Raises:
        NotImplementedError: The action is not GetProducts.
    """
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target != _TARGET:
        raise NotImplementedError(target.rpartition(".")[2])
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status = "200 OK"
    try:
        answer = get_products(json.loads(body))
    except RefusedError as error:
        status = "400 Bad Request"
        answer = {"__type": error.code, "Message": str(error)}
    data = json.dumps(answer).encode()
    start_response(status, [("Content-Type", _KIND), ("Content-Length", str(len(data)))])
    return [data]


def get_products(request: dict[str, Any]) -> dict[str, Any]:
    """Returns one page of the answer to a GetProducts request.

    Raises:
        RefusedError: AWS would refuse the request.
    """
    if request.get("ServiceCode") != "AmazonEC2":
        raise RefusedError("InvalidParameterException", "Input Parameters are invalid: ServiceCode")
    size = request.get("MaxResults", _PAGE)
    if not 1 <= size <= _PAGE:
        raise RefusedError("InvalidParameterException", f"MaxResults {size} is not 1 to {_PAGE}")
    wanted = {}
    for each in request.get("Filters", []):
        if each["Type"] not in _TYPES:
            raise RefusedError("InvalidParameterException", f"invalid filter type {each['Type']}")
        if each["Type"] != "TERM_MATCH":
            raise NotImplementedError(f"filters of the type {each['Type']}")
        wanted[each["Field"].lower()] = each["Value"]
    region = wanted.get("regioncode")
    if region is None:
        raise NotImplementedError("GetProducts without the filter regionCode")
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise RefusedError("InvalidNextTokenException", "The pagination token is invalid.")
    first = int(token)
    found = [each for each in _products(region) if wanted.items() <= _attributes(each).items()]
    page = found[first : first + size]
    answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": list(map(json.dumps, page))}
    if first + size < len(found):
        answer["NextToken"] = str(first + size)
    return answer


def _attributes(product: dict[str, Any]) -> dict[str, str]:
    """Returns what a filter can match, with the names in lower case."""
    attributes = product["product"]["attributes"].items()
    return {name.lower(): value for name, value in attributes} | {
        "productfamily": product["product"]["productFamily"]
    }


@cache
def _products(region: str) -> tuple[dict[str, Any], ...]:
    return tuple(_offered(region))


def _offered(region: str) -> Iterator[dict[str, Any]]:
    prices = load_prices()
    known = region if prices.region(region) else _OTHER_REGIONS
    place = prices.region(known)
    currency = place.currency if place else "USD"
    for each in load_catalog():
        price = prices.hourly(each.name, known)
        if price is None:
            continue
        tenancy = "Dedicated" if each.bare_metal else "Shared"
        family = "Compute Instance (bare metal)" if each.bare_metal else "Compute Instance"
        for changes, cost in (
            ({}, price),
            ({"capacitystatus": "AllocatedCapacityReservation"}, 0.0),
            ({"operatingSystem": "Windows"}, 2 * price),
            ({"tenancy": "Host" if each.bare_metal else "Dedicated"}, 1.1 * price),
        ):
            attributes = {
                "instanceType": each.name,
                "regionCode": region,
                "operatingSystem": "Linux",
                "preInstalledSw": "NA",
                "tenancy": tenancy,
                "capacitystatus": "Used",
                "marketoption": "OnDemand",
                "servicecode": "AmazonEC2",
                "servicename": "Amazon Elastic Compute Cloud",
                "locationType": "AWS Region",
                "vcpu": str(each.vcpus),
            } | changes
            yield _entry(family, attributes, cost, currency)


def _entry(family: str, attributes: dict[str, str], price: float, currency: str) -> dict[str, Any]:
    sku = hashlib.sha256(json.dumps(attributes).encode()).hexdigest()[:16].upper()
    rate = f"{sku}.{_OFFER}.{_RATE}"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "description": f"{price:f} per On Demand {attributes['operatingSystem']} "
        f"{attributes['instanceType']} Instance Hour",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {currency: f"{price:.10f}"},
    }
    term = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": "2026-07-01T00:00:00Z",
        "offerTermCode": _OFFER,
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": family, "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.{_OFFER}": term}},
        "version": "20260720000000",
        "publicationDate": "2026-07-20T00:00:00Z",
    }

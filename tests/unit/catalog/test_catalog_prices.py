"""Prices: the shipped table, its file, AWS's price list, and where it comes from."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st

import mngen.catalog
from mngen.catalog import (
    PRICES_NAME,
    PricedRegion,
    Prices,
    encode_prices,
    load_catalog,
    load_prices,
    price_list_region,
    refresh_prices,
)
from mngen.catalog._prices import decode_prices
from mngen.catalog._refresh_prices import hourly_prices
from mngen.errors import InputError, ToolError
from mngen.sandbox.emulator._pricing import RefusedError, get_products
from scripts.karpenter_prices import read_prices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# USD an hour in us-east-1 in data/pricing.json of apache-libcloud 3.9.1 (2025-03-02), which reads
# AWS's bulk files; mngen's are Karpenter's, which asks GetProducts.
LIBCLOUD = {
    "r5.12xlarge": 3.024,
    "r5.24xlarge": 6.048,
    "c5n.18xlarge": 3.888,
    "m4.4xlarge": 0.80,
    "c7i.48xlarge": 8.568,
    "c5.18xlarge": 3.06,
    "m5.4xlarge": 0.768,
    "t3.micro": 0.0104,
    "hpc7g.16xlarge": 1.6832,
}
KARPENTER = """\
package pricing

// generated at 2026-07-20T13:44:30Z for us-east-1

import ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

var InitialOnDemandPricesAWS = map[string]map[ec2types.InstanceType]float64{
	// us-east-1
	"us-east-1": {
		// a1 family
		"a1.2xlarge": 0.204000, "a1.4xlarge": 0.408000, "a1.large": 0.051000, "a1.medium": 0.025500,
		"a1.metal": 0.408000, "u7i-12tb.224xlarge": 125.581820,
	},
}
"""
HEAD = b'{"format":1,"regions":[{"name":"eu-west-1","date":"2026-01-02","currency":"USD",'
TABLE = HEAD + b'"source":"a test"}],"prices":{\n"r5.24xlarge":[6.768]\n}}\n'


def example() -> dict[str, Any]:
    """Returns an entry of a price list as AWS has it in the example of GetProducts."""
    model = Loader().load_service_model("pricing", "examples-1")
    (entry,) = model["examples"]["GetProducts"][0]["output"]["PriceList"]
    return dict(json.loads(entry))


def entry_of(instance: str, price: str, *, unit: str = "Hrs", currency: str = "USD") -> str:
    """Returns AWS's example, changed to the price of an hour of an instance."""
    found = example()
    found["product"]["attributes"]["instanceType"] = instance
    (term,) = found["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    dimension |= {"unit": unit, "pricePerUnit": {currency: price}}
    return json.dumps(found)


@pytest.mark.parametrize(("instance", "price"), LIBCLOUD.items())
def test_shipped_prices_are_those_that_another_source_has(instance: str, price: float) -> None:
    assert load_prices().hourly(instance, "us-east-1") == price


def test_shipped_prices_are_dated_have_a_currency_and_name_their_source() -> None:
    prices = load_prices()
    assert prices.path is None
    currencies = {each.name: each.currency for each in prices.regions}
    assert currencies == {
        "us-east-1": "USD",
        "us-gov-east-1": "USD",
        "us-gov-west-1": "USD",
        "cn-north-1": "CNY",
    }
    for each in prices.regions:
        assert "karpenter-provider-aws" in each.source
        assert each.date.year >= 2024
    names = set(load_catalog().names)
    for each in prices.regions:
        assert set(prices.of_region(each.name)) <= names


def test_shipped_file_is_what_its_prices_encode_to() -> None:
    data = (mngen.catalog._prices._SHIPPED).read_bytes()
    assert encode_prices(load_prices(), load_catalog().names) == data


def test_a_price_that_is_not_known_is_none_and_never_zero() -> None:
    prices = load_prices()
    # AWS does not offer it in us-east-1.
    assert prices.hourly("hpc7a.96xlarge", "us-east-1") is None
    assert prices.hourly("r5.24xlarge", "eu-west-1") is None
    assert prices.region("eu-west-1") is None
    assert prices.of_region("eu-west-1") == {}


def test_a_file_beside_the_spec_stands_alone(tmp_path: Path) -> None:
    (tmp_path / PRICES_NAME).write_bytes(TABLE)
    prices = load_prices(tmp_path / "mngen.yaml")
    assert prices.hourly("r5.24xlarge", "eu-west-1") == 6.768
    assert prices.region("us-east-1") is None
    assert prices.path == tmp_path / PRICES_NAME
    assert load_prices(tmp_path / "other" / "mngen.yaml") is load_prices()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends too early"),
        (b"<<<<<<< HEAD\n" + TABLE, "not JSON"),
        (b"{}", "missing required field"),
        (TABLE.replace(b"6.768", b"0"), "> 0"),
        (TABLE.replace(b"6.768", b'"6.768"'), "Expected `float"),
        (TABLE.replace(b"[6.768]", b"[6.768,1]"), "2 prices for 1 regions"),
        (TABLE.replace(b'"format":1', b'"format":2'), "format 2"),
        (TABLE.replace(b'"}],', b'"},' + HEAD[23:] + b'"source":""}],'), "more than once"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_way_out(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / PRICES_NAME).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_prices(tmp_path)
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.file == str(tmp_path / PRICES_NAME)
    assert "mngen instances --refresh" in str(problem.hint)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError):
        decode_prices(data, "x")


def test_entries_of_the_price_list_are_read_as_aws_writes_them() -> None:
    # A volume: it has no instance type, and its price is of a month.
    assert hourly_prices([json.dumps(example())]) == {}
    entries = [
        entry_of("r5.24xlarge", "6.0480000000"),
        entry_of("r5.12xlarge", "0.0000000000"),
        entry_of("c5.large", "0.0850000000", unit="GB-Mo"),
        entry_of("m5.large", "0.0960000000"),
        entry_of("m5.large", "0.0900000000"),
    ]
    assert hourly_prices(entries) == {"USD": {"r5.24xlarge": 6.048, "m5.large": 0.096}}


def test_prices_in_another_currency_stay_in_it() -> None:
    entries = [entry_of("c5.18xlarge", "26.6170000000", currency="CNY")]
    assert hourly_prices(entries) == {"CNY": {"c5.18xlarge": 26.617}}


def test_an_entry_that_is_not_one_of_aws_is_an_error_that_names_the_call() -> None:
    for entry in ("{", "[]", '{"product": {}}'):
        with pytest.raises(ToolError, match="GetProducts"):
            hourly_prices([entry])


def test_the_price_list_is_asked_where_botocore_knows_an_endpoint() -> None:
    session = boto3.Session()
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        asked = {
            price_list_region(each) for each in session.get_available_regions("ec2", partition)
        }
        expected = set(session.get_available_regions("pricing", partition))
        assert {each for each in asked if each} == expected


def test_karpenter_s_files_are_read() -> None:
    prices = read_prices({"zz_generated.pricing_aws.go": KARPENTER})
    (region,) = prices.regions
    assert (region.name, str(region.date), region.currency) == ("us-east-1", "2026-07-20", "USD")
    assert prices.of_region("us-east-1") == {
        "a1.2xlarge": 0.204,
        "a1.4xlarge": 0.408,
        "a1.large": 0.051,
        "a1.medium": 0.0255,
        "a1.metal": 0.408,
        "u7i-12tb.224xlarge": 125.58182,
    }
    with pytest.raises(ValueError, match="no date"):
        read_prices({"zz_generated.pricing_aws.go": "package pricing\n"})


def test_a_table_has_a_line_for_each_type_and_a_column_for_each_region() -> None:
    regions = [
        PricedRegion(name=name, date=load_catalog().date, currency="USD", source="a test")
        for name in ("eu-west-1", "eu-north-1")
    ]
    prices = Prices(regions, {"eu-west-1": {"b": 2.0}, "eu-north-1": {"a": 1.0, "b": 3.5}})
    lines = encode_prices(prices, ["a", "b", "c"]).splitlines()
    assert lines[1:] == [b'"a":[null,1.0],', b'"b":[2.0,3.5]', b"}}"]
    again = decode_prices(encode_prices(prices, ["a", "b", "c"]), "x")
    assert again.of_region("eu-north-1") == {"a": 1.0, "b": 3.5}


def emulated(**more: Any) -> dict[str, Any]:
    filters = {"regionCode": "us-east-1", "instanceType": "r5.24xlarge", **more}
    return {
        "ServiceCode": "AmazonEC2",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in filters.items()
        ],
    }


def keys(data: Any) -> Any:
    """Returns the keys of nested objects; those that are numbers of products as one."""
    if not isinstance(data, dict):
        return None
    return {"SKU" if "JRTCKXETXF" in key else key: keys(value) for key, value in data.items()}


def test_the_emulator_answers_in_the_shape_of_the_example() -> None:
    answer = get_products(
        emulated(capacitystatus="Used", tenancy="Shared", operatingSystem="Linux")
    )
    (entry,) = map(json.loads, answer["PriceList"])
    ours, theirs = keys(entry), keys(example())
    ours["product"].pop("attributes")
    theirs["product"].pop("attributes")
    assert ours == theirs
    assert hourly_prices(answer["PriceList"]) == {"USD": {"r5.24xlarge": 6.048}}


def test_the_emulator_also_has_what_a_request_must_filter_out() -> None:
    assert len(get_products(emulated())["PriceList"]) == 4
    everything = hourly_prices(get_products(emulated())["PriceList"])
    assert everything["USD"]["r5.24xlarge"] == pytest.approx(12.096)


def test_the_emulator_pages_by_a_hundred_and_refuses_what_aws_refuses() -> None:
    request: dict[str, Any] = {**emulated(), "Filters": emulated()["Filters"][:1]}
    first = get_products(request)
    assert len(first["PriceList"]) == 100
    second = get_products({**request, "NextToken": first["NextToken"]})
    assert not set(first["PriceList"]) & set(second["PriceList"])
    for change, code in (
        ({"ServiceCode": "AmazonEC3"}, "InvalidParameterException"),
        ({"MaxResults": 101}, "InvalidParameterException"),
        ({"NextToken": "x"}, "InvalidNextTokenException"),
        ({"Filters": [{"Type": "MATCH", "Field": "a", "Value": "b"}]}, "InvalidParameterException"),
    ):
        with pytest.raises(RefusedError) as caught:
            get_products({**request, **change})
        assert caught.value.code == code


class PriceList:
    """Answers GetProducts as the emulator does, without a network."""

    meta = SimpleNamespace(endpoint_url="http://127.0.0.1:1")

    def get_paginator(self, name: str) -> PriceList:
        assert name == "get_products"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        page = get_products(request)
        yield page
        while "NextToken" in page:
            page = get_products({**request, "NextToken": page["NextToken"]})
            yield page


@pytest.mark.parametrize("before", [None, b"", TABLE])
def test_a_refresh_keeps_the_prices_of_other_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    monkeypatch.setattr("mngen.catalog._refresh_prices.client", lambda *_: PriceList())
    path = tmp_path / PRICES_NAME
    if before is not None:
        path.write_bytes(before)
    done = refresh_prices(path, "ap-south-1")
    assert done is not None
    found = load_prices(tmp_path)
    # A file that can be read has what its group wants; else nothing must be lost that was known.
    kept = decode_prices(TABLE, "x") if before == TABLE else load_prices()
    assert [each.name for each in found.regions] == [
        *(each.name for each in kept.regions),
        "ap-south-1",
    ]
    for each in kept.regions:
        assert found.region(each.name) == each
        assert found.of_region(each.name) == kept.of_region(each.name)

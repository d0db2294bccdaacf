"""The gateway does what its OpenAPI document says, for requests that fit the document and for others."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest
import requests
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_route_answers_as_it_is_told(fuzzed, search, mode: GenerationMode) -> None:
    served = fuzzed()
    with urlopen(served.url + "/openapi.json", timeout=20) as response:
        schema = schemathesis.openapi.from_dict(json.load(response))
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()
            if mode.is_negative and not operation.body and not operation.path_parameters:
                continue  # nothing about it can be wrong

            @search(4)
            @given(operation.as_strategy(mode))
            def one(case: schemathesis.Case) -> None:
                case.call_and_validate(served.url, session, checks=CHECKS, timeout=30)

            one()

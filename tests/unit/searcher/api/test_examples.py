"""The examples of the OpenAPI document fit their schemas."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]


def test_every_example_fits_its_schema(keyed: Keyed) -> None:
    components = keyed.document["components"]
    named = {name: schema for name, schema in components["schemas"].items() if "examples" in schema}
    assert {"MatchAnswer", "SearchAnswer", "BankItem", "BankFeedback"} <= set(named)
    for name, schema in named.items():
        for given in schema["examples"]:
            # FastAPI leaves out what is null.
            example = {**dict.fromkeys(schema["required"]), **given}
            errors = list(
                Draft202012Validator({**schema, "components": components}).iter_errors(example)
            )
            assert not errors, (name, errors[0].message)

"""`/v1/banks`: what is set about banks, and which policy decides in each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.bank_names import check_bank_name
from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.etag import IF_MATCH, check_if_match, tagged_response
from common.http.paging import Limit, StateThreads, TextCursor, page_json
from common.http.request_body import JSON_TYPE, no_body, read_model
from common.http.request_facts import Caller, facts_of
from common.http.roles import banks_for, needs
from common.printable import printable
from common.settings import PolicySettings
from common.state.curation import BankSetting
from common.state.keys import iso
from common.state.roles import Role
from searcher.api.curation.bank_schemas import BankBody, BankItem, BankPage, SetPolicy
from searcher.curation.scope_and_policy import policies_under
from searcher.matching.scoring.policy import Policy, overridden
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue

_MAX_JSON_BYTES = 1 << 16
# A name may have slashes. No route of a bank is longer.
_BANK = "{bank:any_id}"
# The schema of a policy is one of the components, as answers have it too.
_SCHEMA = BankBody.model_json_schema(ref_template="#/components/schemas/{model}")
_DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {"schema": {key: _SCHEMA[key] for key in _SCHEMA if key != "$defs"}}
        },
    }
}
_UNSET = BankSetting("", "", enabled=True, policy={})
# What the JSON of a bank has besides its settings.
_NOT_SET = frozenset({"policy", "videos", "updated_at"})
_DELETED = {"description": "What was set about the bank is forgotten."}


def bank_router(catalogue: Catalogue, reviews: Reviews) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["banks"])
    run = StateThreads().run

    def all_banks() -> dict[str, int]:
        """Every bank with a video, and every other that is set, with the number of its videos."""
        counts = catalogue.current().index.videos.bank_counts()
        return {**dict.fromkeys(reviews.state.curation.current.banks, 0), **counts}

    def to_json(*named: tuple[str, int]) -> list[dict[str, Any]]:
        banks = reviews.state.curation.current.banks
        policies = policies_under(catalogue.current().matcher.policies, banks)
        return [_bank(name, banks.get(name), policies.of(name), videos) for name, videos in named]

    def one(name: str, caller: Caller) -> dict[str, Any]:
        banks = all_banks()
        if name not in banks or not caller.may_see(name):
            raise _unknown_bank(name)
        return to_json((name, banks[name]))[0]

    def put(name: str, given: BankBody, request: Request) -> tuple[dict[str, Any], bool]:
        """What is set now, and whether the bank is new."""
        chosen = given.policy.model_dump(exclude_none=True)
        try:
            policies = catalogue.current().matcher.policies
            overridden(policies.of(name), PolicySettings(**chosen))
        except ValueError as error:
            raise UsageError(str(error)) from None
        bank = BankSetting(
            given.title,
            given.description,
            given.enabled,
            chosen,
            negative=given.negative,
            share=given.share,
            actions=[one.model_dump() for one in given.actions],
        )
        caller = facts_of(request.scope).caller
        videos = catalogue.current().index.videos.bank_counts().get(name, 0)
        is_new = False

        def check(before: BankSetting | None) -> None:
            nonlocal is_new
            is_new = before is None and not videos
            now = _settings(_bank(name, before, policies.of(name), videos))
            check_if_match(request, None if is_new else now)
            if caller.banks is not None and bank.negative != (before or _UNSET).negative:
                raise _concerns_all(name)

        reviews.state.curation.put_bank(name, bank, caller.key_id, check)
        return to_json((name, videos))[0], is_new

    def delete(name: str, caller: Caller) -> None:
        bank = one(name, caller)
        if bank["videos"]:
            raise ApiError(
                409,
                "bank_not_empty",
                f"the bank has {bank['videos']} videos; delete them, or give them another bank",
            )
        if not reviews.state.curation.delete_bank(name):
            raise _unknown_bank(name)

    @router.get(
        "/v1/banks", dependencies=needs(Role.READER), responses={200: {"model": BankPage}, **ERRORS}
    )
    async def list_banks(request: Request, limit: Limit = 100, cursor: TextCursor = "") -> Response:
        """List the banks, ordered by name: those with a video, and those that are set."""
        caller = facts_of(request.scope).caller

        def found() -> dict[str, Any]:
            banks = {name: count for name, count in all_banks().items() if caller.may_see(name)}
            names = sorted(name for name in banks if name > cursor)
            page = to_json(*((name, banks[name]) for name in names[:limit]))
            return page_json(page, names[limit - 1] if len(names) > limit else None, len(banks))

        return json_response(await run(found))

    @router.get(
        f"/v1/banks/{_BANK}",
        dependencies=needs(Role.READER),
        responses={200: {"model": BankItem}, **ERRORS},
    )
    async def show_bank(bank: str, request: Request) -> Response:
        """Get one bank, with the policy that decides."""
        caller = facts_of(request.scope).caller
        value = await run(lambda: one(bank, caller))
        return tagged_response(request, value, _settings(value))

    @router.put(
        f"/v1/banks/{_BANK}",
        dependencies=needs(Role.WRITER, change="banks.put"),
        openapi_extra={**_DOCUMENTED, "parameters": [IF_MATCH]},
        responses={
            200: {"model": BankItem},
            201: {"model": BankItem, "description": "The bank is new."},
            **ERRORS,
        },
    )
    async def put_bank(bank: str, request: Request) -> Response:
        """Replace all settings of a bank. They decide about new matches; stored matches keep their
        decision. The bank needs no videos yet. Only a key for all banks can change `negative`, because
        this changes the decisions in all banks."""
        given = await read_model(request, BankBody, _MAX_JSON_BYTES)
        check_bank_name(bank)
        banks_for(request, frozenset({bank}))
        value, is_new = await run(lambda: put(bank, given, request))
        response = tagged_response(request, value, _settings(value))
        response.status_code = 201 if is_new else 200
        return response

    @router.delete(
        f"/v1/banks/{_BANK}",
        status_code=204,
        dependencies=needs(Role.WRITER, change="banks.delete"),
        responses={204: _DELETED, **ERRORS},
    )
    async def delete_bank(bank: str, request: Request) -> Response:
        """Delete the settings of a bank without videos. To remove only its policy, `PUT` the bank without
        one."""
        await no_body(request)
        caller = facts_of(request.scope).caller
        await run(lambda: delete(bank, caller))
        return Response(status_code=204)

    return router


def _bank(name: str, bank: BankSetting | None, policy: Policy, videos: int) -> dict[str, Any]:
    """The JSON of a bank. bank: None if nothing is set."""
    setting = bank or _UNSET
    return {
        "bank": name,
        "title": setting.title,
        "description": setting.description,
        "enabled": setting.enabled,
        "policy": asdict(policy),
        "policy_set": {**dict.fromkeys(SetPolicy.model_fields), **setting.policy},
        "negative": setting.negative,
        "share": setting.share,
        "actions": [dict(one) for one in setting.actions],
        "videos": videos,
        "updated_at": None if bank is None else iso(bank.updated_at),
    }


def _settings(bank: dict[str, Any]) -> dict[str, Any]:
    """What PUT sets, of the JSON of a bank."""
    return {name: bank[name] for name in bank if name not in _NOT_SET}


def _concerns_all(name: str) -> ApiError:
    return ApiError(
        403,
        "forbidden",
        f"bank {printable(name[:200])!r}: `negative` changes decisions in all banks; use a key for all "
        "banks",
    )


def _unknown_bank(name: str) -> ApiError:
    return ApiError(404, "unknown_bank", f"no bank '{printable(name[:200])}'; /v1/banks lists them")

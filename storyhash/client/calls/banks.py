"""Banks."""

from __future__ import annotations

from collections.abc import Sequence

from searcher.api.curation.bank_schemas import ActionRule, BankBody, BankItem, BankPage, SetPolicy
from storyhash.client.call import Call, as_model, as_nothing, body_of, if_unchanged, operation


@operation("GET", "/v1/banks")
def list_banks(*, limit: int = 100, cursor: str | None = None) -> Call[BankPage]:
    """A page of the banks, ordered by name."""
    return Call(as_model(BankPage), query={"limit": limit, "cursor": cursor})


@operation("GET", "/v1/banks/{bank}")
def show_bank(bank: str) -> Call[BankItem]:
    """One bank, with the policy that decides."""
    return Call(as_model(BankItem), path={"bank": bank})


@operation("PUT", "/v1/banks/{bank}")
def put_bank(
    bank: str,
    *,
    title: str | None = None,
    description: str | None = None,
    enabled: bool | None = None,
    policy: SetPolicy | None = None,
    negative: bool | None = None,
    share: float | None = None,
    actions: Sequence[ActionRule] | None = None,
    if_match: str | None = None,
) -> Call[BankItem]:
    """Set what is said of a bank, in place of what was set. if_match: the ETag of the bank that is
    changed."""
    body = body_of(
        BankBody,
        title=title,
        description=description,
        enabled=enabled,
        policy=None if policy is None else policy.model_dump(exclude_unset=True),
        negative=negative,
        share=share,
        actions=None if actions is None else [one.model_dump() for one in actions],
    )
    return Call(as_model(BankItem), path={"bank": bank}, json=body, **if_unchanged(if_match))


@operation("DELETE", "/v1/banks/{bank}")
def delete_bank(bank: str) -> Call[None]:
    """Forget a bank without videos."""
    return Call(as_nothing, path={"bank": bank})

"""What to do about a match: the actions of its bank, on the bank's share of all queries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from common.state.curation import BankSetting
from searcher.decisions import Action
from searcher.matching.scoring.policy import covered_seconds, strongest

# From weak to strong.
STRENGTH: Sequence[Action] = ("allow", "notify", "review", "block")
# Where no rule of the bank fits.
_DEFAULT: Mapping[str, Action] = {"copy": "block", "review": "review", "no_match": "allow"}
_SLACK = 1e-6
_SCALE = 1 << 52


def acts_of(bank: BankSetting | None, name: str, fingerprint: str) -> dict[str, Any]:
    """What decides on the action: the rules of a bank, and whether this query is in its share."""
    if bank is None:
        return {"in_share": True, "rules": []}
    return {
        "in_share": in_share(name, fingerprint, bank.share),
        "rules": [dict(one) for one in bank.actions],
    }


def in_share(bank: str, fingerprint: str, share: float) -> bool:
    """Whether a bank acts on this query. It is always the same for the same query and bank; a larger
    share only adds queries. Banks choose independently of each other."""
    text = f"{bank}\0{fingerprint}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") % _SCALE
    return number < share * _SCALE


def action_on(
    ranges: Sequence[Mapping[str, Any]], query_seconds: float, acts: Mapping[str, Any]
) -> Action:
    """The action on a match with these ranges, whose decisions are final.

    The first rule of the bank counts whose `decision` is that of the match and whose `min_seconds` and
    `min_coverage` the ranges with at least this decision reach. Outside of the bank's share it is at most
    `notify`.
    """
    decision = strongest(one["decision"] for one in ranges)
    action = _DEFAULT[decision]
    if decision != "no_match":
        wanted = {"copy"} if decision == "copy" else {"copy", "review"}
        seconds = covered_seconds(
            (one["query_start_seconds"], one["query_end_seconds"])
            for one in ranges
            if one["decision"] in wanted
        )
        for rule in acts["rules"]:
            least = max(rule["min_seconds"], rule["min_coverage"] * query_seconds)
            if rule["decision"] == decision and seconds >= least - _SLACK:
                action = cast(Action, rule["action"])
                break
    return action if acts["in_share"] else weakest(action, "notify")


def weakest(*actions: Action) -> Action:
    """The weakest action."""
    return min(actions, key=STRENGTH.index)


def strongest_action(actions: Iterable[Action]) -> Action:
    """The strongest action; `allow` if there are none."""
    return max(actions, key=STRENGTH.index, default="allow")

"""How searches and matches obey what people have set."""

from __future__ import annotations

from collections.abc import Mapping

from common.settings import PolicySettings
from common.state.curation import BankSetting, Curation
from searcher.index.state import EVERYTHING, Banks, Filter
from searcher.matching.scoring.policy import Policies, overridden


def filter_of(curation: Curation, banks: Banks) -> Filter:
    """What a search in these banks may return. banks: None means all."""
    if not (curation.disabled or curation.banks):
        return EVERYTHING if banks is None else Filter(banks)
    only = Filter(banks, curation.disabled, curation.disabled_banks)
    return EVERYTHING if only == EVERYTHING else only


def policies_under(policies: Policies, banks: Mapping[str, BankSetting]) -> Policies:
    """The policies with what is set about banks in place of the settings. A review_probability above the
    copy_probability, because the settings were changed since, does not count."""
    own = dict(policies.banks)
    for name, bank in banks.items():
        if not bank.policy:
            continue
        try:
            own[name] = overridden(policies.of(name), PolicySettings(**bank.policy))
        except ValueError:
            rest = {key: value for key, value in bank.policy.items() if key != "review_probability"}
            own[name] = overridden(policies.of(name), PolicySettings(**rest))
    return policies if own == policies.banks else Policies(policies.default, own)

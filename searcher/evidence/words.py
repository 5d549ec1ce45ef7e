"""A stored match in words, for people who did not see the review page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.probability_text import probability_text
from searcher.transform.edit_words import edit_words

_DECISIONS = {"copy": "Copy", "review": "Perhaps a copy", "no_match": "No match"}
VERDICTS = {
    "copy": "Copy",
    "licensed": "Licensed copy",
    "not_copy": "Not a copy",
    "unsure": "Unsure",
    "none": "Withdrawn",
}


def percent(probability: float) -> str:
    """`probability_text` in a sentence: `93.1 %`, `more than 99.9 %`."""
    text = probability_text(probability).replace("%", " %")
    return text.replace(">", "more than ").replace("<", "less than ")


def query_name(match: Mapping[str, Any]) -> str:
    """What a person calls the query: its title, if it has one, and its name or address."""
    return _titled(match["query"].get("title", ""), match["query"]["uri"])


def reference_name(match: Mapping[str, Any]) -> str:
    """What a person calls the reference: its title, if it has one, and its id."""
    return _titled(match["ref_title"], match["ref_video_id"])


def in_words(match: Mapping[str, Any]) -> list[str]:
    """Sentences about a match as JSON values: the decision, each range, the rule, the verdict."""
    decision = _DECISIONS[match["decision"]]
    lines = [f"{decision}: {query_name(match)} compared with {reference_name(match)}."]
    if match["decision"] != match["found_decision"]:
        excepted = any(one.get("exceptions") for one in match["ranges"])
        what = "An exception" if excepted else "A video of a negative bank"
        lines.append(
            f"{what} changed the decision, which was: {_DECISIONS[match['found_decision']]}."
        )
    lines += [range_words(one) for one in match["ranges"]]
    lines.append(rule_words(match["rule"], match["probability"], match["bank"]))
    verdict = match["verdict"]
    if verdict is None:
        lines.append("No person has judged it.")
    else:
        who = verdict["author"] or "a caller without a key"
        lines.append(f"Verdict of {who}: {VERDICTS[verdict['verdict']]}.")
    return lines


def range_words(one: Mapping[str, Any]) -> str:
    """What one range is, and what was done to the picture."""
    done = edit_words(one)
    return (
        f"{_times(one, 'query')} of the query is {_times(one, 'ref')} of the reference"
        f"{f': {done}' if done else ''}; probability {percent(one['probability'])}."
    )


def rule_words(rule: Mapping[str, Any], probability: float, bank: str) -> str:
    """The rule that decided, and by how much."""
    needed, margin = 100 * rule["threshold"], 100 * rule["margin"]
    if rule["name"] == "coverage_too_small":
        least = [
            *([f"{rule['min_seconds']:g} s"] if rule["min_seconds"] else []),
            *([f"{100 * rule['min_coverage']:g} % of the query"] if rule["min_coverage"] else []),
        ]
        return (
            f"Probability {percent(probability)} is enough for a copy, but bank {bank} requires at "
            f"least {' and '.join(least)}."
        )
    what = "A copy" if rule["name"] == "copy_probability" else "A review"
    return (
        f"{what} needs a probability of at least {needed:.1f} % in bank {bank}; this match is "
        f"{abs(margin):.1f} percentage points {'below' if margin < 0 else 'above'}."
    )


def clock(seconds: float) -> str:
    """A time in a video: `0:05.0`, `1:00:02.5`."""
    minutes, rest = divmod(round(max(0.0, seconds), 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest:04.1f}"


def _times(one: Mapping[str, Any], side: str) -> str:
    return f"{clock(one[f'{side}_start_seconds'])} to {clock(one[f'{side}_end_seconds'])}"


def _titled(title: str, name: str) -> str:
    return f"{title} ({name})" if title and title != name else name

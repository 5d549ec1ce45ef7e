"""Sentences that say what tables show, in whichever direction it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.data.records import QueryRow
from evaluation.experiment.experiment_data import FOLDS
from evaluation.measures.grouping import by_label
from evaluation.measures.outcomes import OUTCOMES
from evaluation.measures.pairing import pair
from evaluation.measures.registry import MEASURES
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary, summarise
from evaluation.report.tables import number, p_value, percent
from evaluation.transforms.registry import TRANSFORMS

COMPARED = ("recall_at_1", "recall_at_fpr_1e2", "recall_at_fpr_1e3")


def protocol(about: Mapping[str, Mapping[str, Any]]) -> str:
    """What was asked of what, with the numbers of this run."""
    told = next(iter(about.values()))
    sizes = {(one["videos"], one["edits"]) for one in about.values()}
    count = (
        "of every video"
        if told["per_transform"] is None
        else f"of {told['per_transform']} videos each"
    )
    same = " The same for every profile." if len(about) > 1 and len(sizes) == 1 else ""
    fitted = [profile for profile, one in about.items() if one["cross_validated"]]
    shipped = [profile for profile in about if profile not in fitted]
    lines = [
        f"- **Videos.** {told['videos']} of {told['video_seconds'] / 60:.1f} minutes in all, in "
        f"{told['families']} families: true copies made by other people are one family. "
        f"{told['copies']} have such a copy in the folder, {told['lookalikes']} more look like "
        f"another and are no copy.{same}",
        f"- **Queries.** {len(told['transforms'])} edits {count}, {told['edits']:,} queries, made "
        "with fixed seeds; and every video with copies or look-alikes as it is. A query that could "
        "not be made or read counts as a miss.",
        "- **Closed set.** Each is asked of the whole catalogue. Recall@k: the original, or a true "
        "copy of it, is among the first k videos.",
        "- **Open set.** The catalogue is halved, families kept whole, and each query is asked of "
        "both halves: of the one that holds its original, and of the one that does not. uAP, recall "
        "at a rate of false positives, decisions and calibration are of these. With fewer strangers "
        "than one over the rate, not one may be accepted.",
        "- **Partners.** Another film that was put into the query beside the original is neither "
        "right nor wrong.",
        "- **Intervals** are Wilson's, of 95 %; two configurations are compared by McNemar's test. "
        "Queries of one video are not quite independent, so intervals are somewhat narrow.",
    ]
    if fitted:
        lines.append(
            f"- **Calibration** ({_names(fitted)}). Fitted on {FOLDS - 1} of {FOLDS} folds, "
            f"families kept whole, and asked of the other, {FOLDS} times: no query is judged by "
            "constants that were fitted on it. One thing is not so: no fit calls a copy what is less "
            "probable than the shipped policy asks for, and that was chosen on answers to all of "
            "an earlier run's queries."
        )
    if shipped:
        lines.append(f"- **Calibration** ({_names(shipped)}). The one in force in that run.")
    lines.append(
        "- **Range IoU.** The matched seconds against those of the edit, on the query's and on the "
        "reference's time line; the smaller of the two."
    )
    return "\n".join(lines)


def beside_baselines(rows: Sequence[QueryRow]) -> str:
    """Where the better of the baselines is ahead, group by group and transform by transform."""
    groups = _behind(summarise(rows, ("group",)))
    transforms = _behind(summarise(rows, ("transform",)))
    if not groups and not transforms:
        return "No peer is ahead in any group or transform."
    parts = [
        f"In groups a peer is ahead at: {'; '.join(groups)}."
        if groups
        else "No peer is ahead in any group.",
        f"In single transforms: {'; '.join(transforms)}."
        if transforms
        else "Nor in any single transform.",
    ]
    return " ".join(parts)


def _behind(summaries: Iterable[Summary]) -> list[str]:
    places: dict[tuple[str, str], dict[str, Summary]] = {}
    for one in summaries:
        places.setdefault((one.group, one.transform), {})[one.configuration] = one
    told = []
    for (group, transform), held in places.items():
        peers = [one for name, one in held.items() if name.startswith("peer-")]
        if "full" not in held or not peers:
            continue
        for name in COMPARED:
            ours, best = _value(held["full"], name), max(_value(one, name) for one in peers)
            if best > ours:
                told.append(
                    f"{transform or group}, {MEASURES[name].title.removesuffix(', %')} "
                    f"({percent(ours)} against {percent(best)})"
                )
    return told


def fusions(rows: Sequence[QueryRow], profile: str) -> str:
    """What the action block does, and what the published fusion does."""
    parts = by_label(rows)
    held = {name: summarise(part)[0] for name, part in parts.items()}
    if not {"full", "visual-only"} <= held.keys():
        return ""
    told = [f"**`{profile}`.**"]
    ours, visual = held["full"], held["visual-only"]
    outcome = OUTCOMES["recall_at_fpr_1e2"].of
    paired = pair(outcome(parts["visual-only"]), outcome(parts["full"]))
    told.append(
        f"The action block {_moved('d-prime', visual.separation.d_prime, ours.separation.d_prime)} "
        f"and {_moved_share(visual, ours)}: queries gained {paired.second_only}, "
        f"lost {paired.first_only} (p {p_value(paired.p_value)})."
    )
    if "paper-fusion" in held:
        paper = held["paper-fusion"]
        told.append(
            "The published concatenation takes the mean similarity of copies "
            f"{_from_to(visual.separation.copies.mean, paper.separation.copies.mean)}, and that of "
            "the best strangers "
            f"{_from_to(visual.separation.strangers.mean, paper.separation.strangers.mean)}. It "
            f"{_moved('d-prime', visual.separation.d_prime, paper.separation.d_prime)} and "
            f"{_moved_share(visual, paper)}: a high similarity of copies proves nothing by itself."
        )
    if "action-only" in held:
        alone = held["action-only"].recall_at_1
        told.append(f"Action alone puts {percent(alone.value)} % of originals first.")
    return " ".join(told)


def transforms_table() -> str:
    """Every transform with its parameters."""
    lines = ["| transform | group | |", "| --- | --- | --- |"]
    for one in TRANSFORMS.values():
        words = "; ".join(
            f"{name.replace('_', ' ')}: {_short(value)}" for name, value in one.parameters.items()
        )
        lines.append(f"| `{one.name}` | {one.group} | {words} |")
    return "\n".join(lines)


def _short(value: object) -> str:
    """Slashes may break, so that a long list does."""
    return str(value).replace("/", " / ").replace("|", r"\|")


def _value(summary: Summary, name: str) -> float:
    value = MEASURES[name].of(summary)
    return value.value if isinstance(value, Proportion) else value


def _moved(what: str, before: float, after: float) -> str:
    first, second = number(before, 2), number(after, 2)
    if first == second:
        return f"leaves {what} at {first}"
    return f"{'raises' if after > before else 'lowers'} {what} from {first} to {second}"


def _from_to(before: float, after: float) -> str:
    return f"from {number(before)} to {number(after)}"


def _moved_share(before: Summary, after: Summary) -> str:
    old, new = (_value(one, "recall_at_fpr_1e2") for one in (before, after))
    what, first, second = "recall at 1 % false positives", percent(old), percent(new)
    if first == second:
        return f"leaves {what} at {first} %"
    return f"{'raises' if new > old else 'lowers'} {what} from {first} to {second} %"


def _names(profiles: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in profiles)

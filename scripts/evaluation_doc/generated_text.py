"""Sentences about the numbers of the tables, for either direction of a difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evaluation.experiment.experiment_data import FOLDS
from evaluation.measures.grouping import by_label
from evaluation.measures.outcomes import OUTCOMES
from evaluation.measures.pairing import pair
from evaluation.measures.registry import MEASURES
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary, summarise
from evaluation.methods.baselines import BASELINES
from evaluation.records import QueryRow
from evaluation.report.tables import number, p_value, percent
from evaluation.transforms.registry import TRANSFORMS

COMPARED = ("recall_at_1", "recall_at_fpr_1e2", "recall_at_fpr_1e3")


def protocol(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The placeholders of the section "How it is measured"."""
    run = next(iter(runs.values()))
    sizes = {(other["videos"], other["edits"]) for other in runs.values()}
    counts = {
        profile: "every video" if count is None else f"{count} videos each"
        for profile, count in ((name, other["per_transform"]) for name, other in runs.items())
    }
    edits = {profile: f"{other['edits']:,}" for profile, other in runs.items()}
    return {
        "videos": str(run["videos"]),
        "minutes": f"{run['video_seconds'] / 60:.1f}",
        **{name: str(run[name]) for name in ("families", "copies", "lookalikes")},
        "same": " This holds for every profile." if len(runs) > 1 and len(sizes) == 1 else "",
        "transforms": str(len(run["transforms"])),
        "count": "of " + _each_or_all(counts),
        "edits": _each_or_all(edits),
        "calibration": "\n".join([*_calibration(runs), *_verification(runs)]),
    }


def _each_or_all(values: Mapping[str, str]) -> str:
    """The value that all profiles have, or each profile's own."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{value} (`{profile}`)" for profile, value in values.items())


def _calibration(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    fitted = [profile for profile, run in runs.items() if run["cross_validated"]]
    in_force = [profile for profile in runs if profile not in fitted]
    if fitted:
        yield (
            f"- **Calibration** ({_names(fitted)}). Cross-validated: fitted on {FOLDS - 1} of {FOLDS} "
            "folds and applied to the queries of the last one; families stay together. One constant is "
            "an exception: the copy threshold is never lower than the shipped one, which was chosen on "
            "all queries of an earlier run."
        )
    if in_force:
        yield f"- **Calibration** ({_names(in_force)}). The calibration in force during the run."


def _verification(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    verified = [profile for profile, run in runs.items() if run.get("verified")]
    if verified:
        yield (
            f"- **Verification** ({_names(verified)}). The pictures of doubtful matches are compared, as "
            "`storyhash match` does where both files are at hand. The odds that this gives were chosen "
            "on the edits of `sscd-motion`, so its rates may be slightly too good."
        )
    if older := [profile for profile in runs if profile not in verified]:
        yield f"- **No verification** ({_names(older)}). No pictures were compared in this run."


def compared_with_baselines(rows: Sequence[QueryRow]) -> str:
    """The groups and transforms in which the best baseline is better."""
    groups = _behind(summarise(rows, ("group",)))
    transforms = _behind(summarise(rows, ("transform",)))
    if not groups and not transforms:
        return "No baseline is better in any group or transform."
    parts = [
        f"A baseline is better in these groups: {'; '.join(groups)}."
        if groups
        else "No baseline is better in any group.",
        f"A baseline is better in these transforms: {'; '.join(transforms)}."
        if transforms
        else "No baseline is better in any single transform.",
    ]
    return " ".join(parts)


def _behind(summaries: Iterable[Summary]) -> list[str]:
    places: dict[tuple[str, str], dict[str, Summary]] = {}
    for summary in summaries:
        by_configuration = places.setdefault((summary.group, summary.transform), {})
        by_configuration[summary.configuration] = summary
    behind = []
    for (group, transform), by_name in places.items():
        baselines = [by_name[name] for name in BASELINES if name in by_name]
        if "full" not in by_name or not baselines:
            continue
        for name in COMPARED:
            own_value, best = (
                _value(by_name["full"], name),
                max(_value(baseline, name) for baseline in baselines),
            )
            if best > own_value:
                behind.append(
                    f"{transform or group}, {MEASURES[name].title.removesuffix(', %')} "
                    f"({percent(own_value)} against {percent(best)})"
                )
    return behind


def fusions(rows: Sequence[QueryRow], profile: str) -> str:
    """The effect of the action block, and of the published fusion."""
    parts = by_label(rows)
    by_name = {name: summarise(part)[0] for name, part in parts.items()}
    if not {"full", "visual-only"} <= by_name.keys():
        return ""
    sentences = [f"**`{profile}`.**"]
    full, visual = by_name["full"], by_name["visual-only"]
    outcome = OUTCOMES["recall_at_fpr_1e2"].of
    paired = pair(outcome(parts["visual-only"]), outcome(parts["full"]))
    sentences.append(
        f"The action block {_moved('d-prime', visual.separation.d_prime, full.separation.d_prime)} "
        f"and {_moved_share(visual, full)}: queries gained {paired.second_only}, "
        f"lost {paired.first_only} (p {p_value(paired.p_value)})."
    )
    if "paper-fusion" in by_name:
        paper = by_name["paper-fusion"]
        sentences.append(
            "The published concatenation changes the mean similarity of copies "
            f"{_from_to(visual.separation.copies, paper.separation.copies)}, and that of "
            "the best non-matches "
            f"{_from_to(visual.separation.non_matches, paper.separation.non_matches)}. It "
            f"{_moved('d-prime', visual.separation.d_prime, paper.separation.d_prime)} and "
            f"{_moved_share(visual, paper)}: a high similarity of copies proves nothing by itself."
        )
    if "action-only" in by_name:
        alone = by_name["action-only"].recall_at_1
        sentences.append(f"With action alone, {percent(alone.value)} % of originals are first.")
    return " ".join(sentences)


def transforms_table() -> str:
    """A table of all transforms with their parameters."""
    lines = ["| transform | group | |", "| --- | --- | --- |"]
    for transform in TRANSFORMS.values():
        words = "; ".join(
            f"{name.replace('_', ' ')}: {_short(value)}"
            for name, value in transform.parameters.items()
        )
        lines.append(f"| `{transform.name}` | {transform.group} | {words} |")
    return "\n".join(lines)


def _short(value: object) -> str:
    """With spaces around slashes, so that long lists can wrap."""
    return str(value).replace("/", " / ").replace("|", r"\|")


def _value(summary: Summary, name: str) -> float:
    value = MEASURES[name].of(summary)
    return value.value if isinstance(value, Proportion) else value


def _moved(measure: str, before: float, after: float) -> str:
    first, second = number(before, 2), number(after, 2)
    if first == second:
        return f"leaves {measure} at {first}"
    return f"{'raises' if after > before else 'lowers'} {measure} from {first} to {second}"


def _from_to(before: float, after: float) -> str:
    return f"from {number(before)} to {number(after)}"


def _moved_share(before: Summary, after: Summary) -> str:
    old, new = (_value(summary, "recall_at_fpr_1e2") for summary in (before, after))
    measure, first, second = "recall at 1 % false positives", percent(old), percent(new)
    if first == second:
        return f"leaves {measure} at {first} %"
    return f"{'raises' if new > old else 'lowers'} {measure} from {first} to {second} %"


def _names(profiles: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in profiles)

// The matches that were found, newest first, for people to judge.

import { call, withQuery } from "./api.js";
import { el, field } from "./dom.js";
import { pagedList } from "./pager.js";
import { miniBar } from "./timeline.js";
import { VERDICTS, ago, decisionOf, length, nameOf, percent, share } from "./words.js";

const DAY_MILLISECONDS = 86_400_000;

// What is kept while a case is open: the filters, the pages, and the place in the list.
export const queue = { filters: { verdict: "none", decision: "", bank: "", least: "", days: "" }, cursors: [""], ids: [], index: 0 };

const select = (id, options, value) => {
  const made = el("select", { id }, Object.entries(options).map(([key, text]) => el("option", { value: key }, text)));
  made.value = value;
  return made;
};

/** What a person calls the query of a stored match. */
export const queryName = (match) => nameOf(match.query.video_id ?? match.query.uri);

export function queueView() {
  const kept = queue.filters;
  const verdict = select("verdict", { none: "without a verdict", "": "any verdict", ...Object.fromEntries(
    Object.entries(VERDICTS).filter(([key]) => key !== "none").map(([key, text]) => [key, text.toLowerCase()])) }, kept.verdict);
  const decision = select("decision", { "": "any decision", copy: "copy", review: "perhaps a copy", no_match: "excepted" }, kept.decision);
  const bank = el("input", { type: "search", id: "bank", value: kept.bank, autocomplete: "off", spellcheck: "false", placeholder: "every bank" });
  const least = select("least", { "": "any", 0.5: "50 % or more", 0.9: "90 % or more", 0.99: "99 % or more" }, kept.least);
  const days = select("days", { "": "any time", 1: "last 24 hours", 7: "last 7 days", 30: "last 30 days" }, kept.days);
  const list = el("ol", { class: "queue-list" });

  const pages = pagedList({
    cursors: queue.cursors,
    empty: "No match has these properties.",
    noun: "matches, newest first",
    fetchPage: (place) => {
      const filters = queue.filters;
      return call("GET", withQuery("/v1/matches", {
        ...place, verdict: filters.verdict, decision: filters.decision, bank: filters.bank.trim(), min_probability: filters.least,
        since: filters.days ? new Date(Date.now() - filters.days * DAY_MILLISECONDS).toISOString() : "",
      }));
    },
    show: (items) => {
      queue.ids = items.map((match) => match.id);
      list.replaceChildren(...items.map(row));
      if (queue.index > 0) move(0);
    },
  });

  const changed = () => {
    queue.filters = { verdict: verdict.value, decision: decision.value, bank: bank.value, least: least.value, days: days.value };
    queue.index = 0;
    pages.restart();
  };
  for (const control of [verdict, decision, bank, least, days]) control.addEventListener("input", changed);

  function move(step) {
    const links = list.querySelectorAll("a");
    if (!links.length) return;
    const focused = [...links].indexOf(document.activeElement);
    const from = focused >= 0 ? focused : step > 0 ? queue.index - 1 : queue.index;
    queue.index = Math.min(Math.max(from + step, 0), links.length - 1);
    links[queue.index].focus();
    links[queue.index].scrollIntoView({ block: "nearest" });
  }

  pages.load();
  return {
    title: "Queue",
    node: el("div", { class: "queue" },
      el("h1", {}, "Queue"),
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Verdict", verdict), field("Decision", decision), field("Bank", bank), field("Probability", least), field("Found", days)),
      pages.problem, pages.count, list, pages.buttons),
    shortcuts: () => [
      { keys: ["j"], label: "Next match", run: () => move(1) },
      { keys: ["k"], label: "Match before", run: () => move(-1) },
      { keys: ["Enter"], label: "Open the match", run: () => queue.ids.length && (location.hash = `#/case/${queue.ids[queue.index]}`) },
    ],
    release: pages.release,
  };
}

function row(match, index) {
  return el("li", {}, el(
    "a", { href: `#/case/${match.id}`, class: "queue-row", onclick: () => (queue.index = index) },
    el("span", { class: "match-name" }, queryName(match), el("span", { class: "muted" }, " ↔ "), nameOf(match.ref_video_id)),
    el("span", { class: "tags" },
      match.verdict ? el("span", { class: "badge" }, VERDICTS[match.verdict.verdict]) : null,
      el("span", { class: `badge ${match.decision}` }, decisionOf(match))),
    el("span", { class: "muted facts" },
      `${percent(match.probability)} · ${length(match.matched_seconds)}, ${share(match.coverage)} of the query · bank ${match.bank} · ${ago(match.found_at)}`),
    miniBar(match.ranges[0], match.query.duration_seconds),
  ));
}

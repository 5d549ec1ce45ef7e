// The matches that were found, newest first, for people to judge.

import { call, withQuery } from "./api.js";
import { announce, el, errorBox, field } from "./dom.js";
import { miniBar } from "./timeline.js";
import { VERDICTS, ago, decisionOf, length, nameOf, number, percent, share } from "./words.js";

const PAGE = 50;
const WAIT_MILLISECONDS = 250;
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
  const count = el("p", { class: "muted count" }, " ");
  const list = el("ol", { class: "queue-list" });
  const problem = el("div", {});
  const back = el("button", { type: "button", onclick: () => turn(-1) }, "Page before");
  const on = el("button", { type: "button", onclick: () => turn(1) }, "Next page");
  let page = null;
  let asked = 0;
  let timer = 0;

  const changed = () => {
    queue.filters = { verdict: verdict.value, decision: decision.value, bank: bank.value, least: least.value, days: days.value };
    queue.cursors = [""];
    queue.index = 0;
    clearTimeout(timer);
    timer = setTimeout(load, WAIT_MILLISECONDS);
  };
  for (const control of [verdict, decision, bank, least, days]) control.addEventListener("input", changed);

  function turn(step) {
    if (step > 0 && page?.next_cursor) queue.cursors.push(page.next_cursor);
    else if (step < 0 && queue.cursors.length > 1) queue.cursors.pop();
    else return;
    queue.index = 0;
    load();
  }

  async function load() {
    const mine = ++asked;
    const filters = queue.filters;
    try {
      const found = await call("GET", withQuery("/v1/matches", {
        limit: PAGE, cursor: queue.cursors.at(-1), verdict: filters.verdict, decision: filters.decision, bank: filters.bank.trim(),
        min_probability: filters.least,
        since: filters.days ? new Date(Date.now() - filters.days * DAY_MILLISECONDS).toISOString() : "",
      }));
      if (mine !== asked) return;
      page = found;
      problem.replaceChildren();
      show();
    } catch (error) {
      if (mine === asked) problem.replaceChildren(errorBox(error));
    }
  }

  function show() {
    queue.ids = page.items.map((one) => one.id);
    const first = (queue.cursors.length - 1) * PAGE;
    count.textContent = page.total === 0
      ? "No match has these properties."
      : `${number(first + 1)}–${number(first + page.items.length)} of ${number(page.total)} matches, newest first`;
    announce(count.textContent);
    list.replaceChildren(...page.items.map(row));
    back.disabled = queue.cursors.length === 1;
    on.disabled = page.next_cursor === null;
    if (queue.index > 0) move(0);
  }

  function move(step) {
    const links = list.querySelectorAll("a");
    if (!links.length) return;
    const focused = [...links].indexOf(document.activeElement);
    const from = focused >= 0 ? focused : step > 0 ? queue.index - 1 : queue.index;
    queue.index = Math.min(Math.max(from + step, 0), links.length - 1);
    links[queue.index].focus();
    links[queue.index].scrollIntoView({ block: "nearest" });
  }

  load();
  return {
    title: "Queue",
    node: el("div", { class: "queue" },
      el("h1", {}, "Queue"),
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Verdict", verdict), field("Decision", decision), field("Bank", bank), field("Probability", least), field("Found", days)),
      problem, count, list, el("nav", { class: "row pages", "aria-label": "Pages" }, back, on)),
    shortcuts: () => [
      { keys: ["j"], label: "Next match", run: () => move(1) },
      { keys: ["k"], label: "Match before", run: () => move(-1) },
      { keys: ["Enter"], label: "Open the match", run: () => queue.ids.length && (location.hash = `#/case/${queue.ids[queue.index]}`) },
    ],
    release: () => clearTimeout(timer),
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

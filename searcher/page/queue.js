// The matches that were found, newest first, for people to judge.

import { call, send, withQuery } from "./api.js";
import { bankFilter } from "./bank_filter.js";
import { bulkBar, kindOf } from "./bulk.js";
import { announce, el, errorBox, field, save } from "./dom.js";
import { pagedList } from "./pager.js";
import { miniBar } from "./timeline.js";
import { VERDICTS, ago, decisionOf, inline, length, number, percent, queryName, refName, share } from "./words.js";

const DAY_MILLISECONDS = 86_400_000;
// Of one CSV file; the API sends so many at once.
const CSV_ROWS = 1000;
const MOST_CSV_PAGES = 100;

// What is kept while a case is open: the filters, the pages, and the place in the list.
export const queue = {
  filters: { verdict: "none", decision: "", bank: "", least: "", coverage: "", days: "" }, cursors: [""], ids: [], index: 0,
};

const select = (id, options, value) => {
  const made = el("select", { id }, options.map(([key, text]) => el("option", { value: key }, text)));
  made.value = value;
  return made;
};

/** The filters as query parameters of the API. */
function parameters() {
  const { verdict, decision, bank, least, coverage, days } = queue.filters;
  return {
    verdict, decision, bank, min_probability: least, min_coverage: coverage,
    since: days ? new Date(Date.now() - days * DAY_MILLISECONDS).toISOString() : "",
  };
}

export function queueView() {
  const kept = queue.filters;
  const banks = bankFilter(kept.bank, () => changed());
  const controls = {
    verdict: select("verdict", [["none", "no verdict"], ["", "any verdict"],
      ...Object.entries(VERDICTS).filter(([key]) => key !== "none").map(([key, text]) => [key, text.toLowerCase()])], kept.verdict),
    decision: select("decision", [["", "any decision"], ["copy", "copy"], ["review", "perhaps a copy"], ["no_match", "excepted"]], kept.decision),
    bank: banks.input,
    least: select("least", [["", "any"], ["0.5", "50 % or more"], ["0.9", "90 % or more"], ["0.99", "99 % or more"]], kept.least),
    coverage: select("coverage", [["", "any"], ["0.1", "10 % or more"], ["0.5", "half or more"], ["0.9", "90 % or more"]], kept.coverage),
    days: select("days", [["", "any time"], ["1", "last 24 hours"], ["7", "last 7 days"], ["30", "last 30 days"]], kept.days),
  };
  const list = el("ol", { class: "queue-list" });
  const csv = el("button", { type: "button", class: "small", onclick: () => saveCsv() }, "Save as CSV");
  let shown = [];
  let cursor = queue.cursors.at(-1);

  const bulk = bulkBar((changed) => (changed ? pages.load() : mark()));
  const pages = pagedList({
    cursors: queue.cursors,
    empty: "No match fits these filters.",
    noun: "matches, newest first",
    fetchPage: (place) => call("GET", withQuery("/v1/matches", { ...place, ...parameters() })),
    show: (items) => {
      shown = items;
      queue.ids = items.map((match) => match.id);
      // Another page begins at its first match.
      if (cursor !== queue.cursors.at(-1)) queue.index = 0;
      cursor = queue.cursors.at(-1);
      bulk.selected.clear();
      const alike = new Map();
      for (const match of items) alike.set(kindOf(match), [...(alike.get(kindOf(match)) ?? []), match.id]);
      list.replaceChildren(...items.map((match, index) => row(match, index, alike.get(kindOf(match)), pick)));
      csv.disabled = items.length === 0;
      mark();
      if (queue.index > 0) move(0);
    },
  });

  const changed = () => {
    queue.filters = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
    queue.filters.bank = banks.chosen();
    queue.index = 0;
    pages.restart();
  };
  for (const control of Object.values(controls)) {
    if (control !== banks.input) control.addEventListener("input", changed);
  }

  /** Select these matches; if all are selected, none of them. */
  function pick(ids) {
    const all = ids.every((id) => bulk.selected.has(id));
    for (const id of ids) {
      if (all) bulk.selected.delete(id);
      else bulk.selected.add(id);
    }
    mark();
  }

  function mark() {
    list.querySelectorAll("input[type=checkbox]").forEach((box, index) => (box.checked = bulk.selected.has(queue.ids[index])));
    bulk.update();
  }

  const current = () => {
    const rows = [...list.children];
    const focused = rows.findIndex((one) => one.contains(document.activeElement));
    return shown[focused >= 0 ? focused : queue.index];
  };

  function move(step) {
    const rows = [...list.children];
    if (!rows.length) return;
    const focused = rows.findIndex((one) => one.contains(document.activeElement));
    const from = focused >= 0 ? focused : step > 0 ? queue.index - 1 : queue.index;
    queue.index = Math.min(Math.max(from + step, 0), rows.length - 1);
    const link = rows[queue.index].querySelector("a");
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  async function saveCsv() {
    csv.disabled = true;
    try {
      const parts = [];
      let path = withQuery("/v1/matches", { ...parameters(), limit: CSV_ROWS });
      for (let page = 0; path && page < MOST_CSV_PAGES; page += 1) {
        const response = await send(path, { headers: { Accept: "text/csv" } });
        const text = await response.text();
        // Each page begins with the names of the columns.
        parts.push(page === 0 ? text : text.slice(text.indexOf("\n") + 1));
        path = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
      }
      // Spreadsheets take a file without this mark for one of an older encoding.
      save(new Blob(["\ufeff", ...parts], { type: "text/csv" }), "matches.csv");
      announce("Saved as matches.csv");
      if (path) pages.problem.replaceChildren(errorBox(new Error(`The file has the newest ${number(CSV_ROWS * MOST_CSV_PAGES)} matches. Use the filters for older ones.`)));
    } catch (error) {
      pages.problem.replaceChildren(errorBox(error));
    } finally {
      csv.disabled = shown.length === 0;
    }
  }

  function open(match) {
    queue.index = shown.indexOf(match);
    location.hash = `#/case/${match.id}`;
  }

  const withCurrent = (work) => () => {
    const match = current();
    if (match) work(match);
  };
  pages.load();
  return {
    title: "Queue",
    node: el("div", { class: "queue" },
      el("h1", {}, "Queue"),
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Verdict", controls.verdict), field("Decision", controls.decision), field("Bank", controls.bank), banks.names,
        field("Probability", controls.least), field("Matched share", controls.coverage), field("Found", controls.days)),
      pages.problem, el("div", { class: "row list-head" }, pages.count, csv), bulk.node, list, pages.buttons),
    shortcuts: () => [
      { keys: ["j"], label: "Next match", run: () => move(1) },
      { keys: ["k"], label: "Previous match", run: () => move(-1) },
      { keys: ["Enter"], label: "Open the match", run: withCurrent(open) },
      { keys: ["x"], label: "Select the match", run: withCurrent((match) => pick([match.id])) },
      { keys: ["X"], label: "Select all matches of the same part", run: withCurrent((match) => pick(shown.filter((one) => kindOf(one) === kindOf(match)).map((one) => one.id))) },
      ...bulk.shortcuts,
    ],
    release: pages.release,
  };
}

function row(match, index, alike, pick) {
  const name = `${queryName(match)} ↔ ${refName(match)}`;
  return el("li", { class: "queue-item" },
    el("input", { type: "checkbox", "aria-label": `Select ${name}`, onchange: () => pick([match.id]) }),
    el(
      "a", { href: `#/case/${match.id}`, class: "queue-row", onclick: () => (queue.index = index) },
      el("span", { class: "match-name" }, el("bdi", {}, queryName(match)), el("span", { class: "muted" }, " ↔ "), el("bdi", {}, refName(match))),
      el("span", { class: "tags" },
        match.verdict ? el("span", { class: "badge" }, VERDICTS[match.verdict.verdict]) : null,
        el("span", { class: `badge ${match.decision}` }, decisionOf(match))),
      el("span", { class: "muted facts" },
        `${percent(match.probability)} · ${length(match.matched_seconds)}, ${share(match.coverage)} of the query · bank ${inline(match.bank)} · ${ago(match.found_at)}`),
      miniBar(match.ranges[0], match.query.duration_seconds),
    ),
    alike.length > 1
      ? el("button", { type: "button", class: "small alike", title: "The same part of the same reference", onclick: () => pick(alike) },
        `Select ${number(alike.length)} alike`)
      : null);
}

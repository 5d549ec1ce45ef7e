// The catalogue: its videos with bank and state, by page.

import { call, withQuery } from "./api.js";
import { el, field } from "./dom.js";
import { pagedList } from "./pager.js";
import { ago, length, nameOf } from "./words.js";

const STATES = { "": "every state", ready: "ready", pending: "pending", failed: "failed", disabled: "disabled" };

export function catalogueView() {
  const prefix = el("input", { type: "search", id: "prefix", autocomplete: "off", spellcheck: "false", placeholder: "any id" });
  const bank = el("input", { type: "search", id: "bank", autocomplete: "off", spellcheck: "false", placeholder: "every bank", list: "banks" });
  const banks = el("datalist", { id: "banks" });
  const state = el("select", { id: "state" }, Object.entries(STATES).map(([value, text]) => el("option", { value }, text)));
  const body = el("tbody", {});
  const table = el("table", {},
    el("caption", { class: "visually-hidden" }, "Videos of the catalogue"),
    el("thead", {}, el("tr", {}, ["Video", "Bank", "State", "Length", "Indexed", ""].map((text) =>
      el("th", { scope: "col" }, text || el("span", { class: "visually-hidden" }, "Action"))))),
    body);
  const known = new Set();

  const pages = pagedList({
    cursors: [""],
    empty: "No video matches these filters.",
    noun: "videos",
    fetchPage: (place) => call("GET", withQuery("/v1/videos", {
      ...place, prefix: prefix.value, bank: bank.value.trim(), state: state.value,
    })),
    show: (items) => {
      body.replaceChildren(...items.map(row));
      table.hidden = items.length === 0;
      for (const { bank: name } of items) {
        if (known.has(name)) continue;
        known.add(name);
        banks.append(el("option", { value: name }));
      }
    },
  });
  prefix.oninput = bank.oninput = state.onchange = pages.restart;

  pages.load();
  return {
    title: "Catalogue",
    node: el("div", { class: "catalogue" },
      el("h1", {}, "Catalogue"),
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Id begins with", prefix), field("Bank", bank), field("State", state), banks),
      pages.problem, pages.count,
      el("div", { class: "table" }, table),
      pages.buttons),
    shortcuts: () => [
      { keys: ["/"], label: "Filter by id", run: () => prefix.focus() },
      { keys: ["n"], label: "Next page", run: () => pages.turn(1) },
      { keys: ["p"], label: "Page before", run: () => pages.turn(-1) },
    ],
    release: pages.release,
  };
}

function row(item) {
  const name = nameOf(item.video_id, item);
  return el("tr", {},
    el("th", { scope: "row" }, el("span", { class: "name" }, name), el("span", { class: "id" }, item.video_id),
      item.error ? el("span", { class: "why" }, item.error.message) : null),
    el("td", { "data-label": "Bank" }, item.bank),
    el("td", { "data-label": "State" }, el("span", { class: `state ${item.state}` }, item.state)),
    el("td", { "data-label": "Length", class: "number" }, item.duration_seconds ? length(item.duration_seconds) : "–"),
    el("td", { "data-label": "Indexed" }, item.indexed_at ? el("time", { datetime: item.indexed_at, title: item.indexed_at }, ago(item.indexed_at)) : "–"),
    el("td", {}, item.state === "ready"
      ? el("a", { href: `#/ask?video_id=${encodeURIComponent(item.video_id)}`, "aria-label": `Find copies of ${name}` }, "Find copies")
      : null));
}

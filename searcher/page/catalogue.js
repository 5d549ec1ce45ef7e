// The catalogue: its videos with bank and state, by page.

import { call, withQuery } from "./api.js";
import { announce, el, errorBox, field } from "./dom.js";
import { ago, length, nameOf, number } from "./words.js";

const PAGE = 50;
const STATES = { "": "every state", ready: "ready", pending: "pending", failed: "failed", disabled: "disabled" };
const WAIT_MILLISECONDS = 250;

export function catalogueView() {
  const cursors = [""];
  let page = null;
  let asked = 0;
  let timer = 0;

  const prefix = el("input", { type: "search", id: "prefix", autocomplete: "off", spellcheck: "false", placeholder: "any id" });
  const bank = el("input", { type: "search", id: "bank", autocomplete: "off", spellcheck: "false", placeholder: "every bank", list: "banks" });
  const banks = el("datalist", { id: "banks" });
  const state = el("select", { id: "state" }, Object.entries(STATES).map(([value, text]) => el("option", { value }, text)));
  const count = el("p", { class: "muted count" }, " ");
  const body = el("tbody", {});
  const table = el("table", {},
    el("caption", { class: "visually-hidden" }, "Videos of the catalogue"),
    el("thead", {}, el("tr", {}, ["Video", "Bank", "State", "Length", "Indexed", ""].map((text) =>
      el("th", { scope: "col" }, text || el("span", { class: "visually-hidden" }, "Action"))))),
    body);
  const back = el("button", { type: "button", onclick: () => turn(-1) }, "Page before");
  const on = el("button", { type: "button", onclick: () => turn(1) }, "Next page");
  const problem = el("div", {});
  const known = new Set();

  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      cursors.splice(0, cursors.length, "");
      load();
    }, WAIT_MILLISECONDS);
  };
  prefix.oninput = bank.oninput = state.onchange = restart;

  function turn(step) {
    if (step > 0 && page?.next_cursor) cursors.push(page.next_cursor);
    else if (step < 0 && cursors.length > 1) cursors.pop();
    else return;
    load();
  }

  async function load() {
    const mine = ++asked;
    try {
      const found = await call("GET", withQuery("/v1/videos", {
        limit: PAGE, cursor: cursors.at(-1), prefix: prefix.value, bank: bank.value.trim(), state: state.value,
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
    const first = (cursors.length - 1) * PAGE;
    count.textContent = page.total === 0
      ? "No video matches these filters."
      : `${number(first + 1)}–${number(first + page.items.length)} of ${number(page.total)} videos`;
    announce(count.textContent);
    body.replaceChildren(...page.items.map(row));
    table.hidden = page.items.length === 0;
    back.disabled = cursors.length === 1;
    on.disabled = page.next_cursor === null;
    for (const one of page.items) {
      if (!known.has(one.bank)) {
        known.add(one.bank);
        banks.append(el("option", { value: one.bank }));
      }
    }
  }

  load();
  return {
    title: "Catalogue",
    node: el("div", { class: "catalogue" },
      el("h1", {}, "Catalogue"),
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Id begins with", prefix), field("Bank", bank), field("State", state), banks),
      problem, count,
      el("div", { class: "table" }, table),
      el("nav", { class: "row pages", "aria-label": "Pages" }, back, on)),
    shortcuts: () => [
      { keys: ["/"], label: "Filter by id", run: () => prefix.focus() },
      { keys: ["n"], label: "Next page", run: () => turn(1) },
      { keys: ["p"], label: "Page before", run: () => turn(-1) },
    ],
    release: () => clearTimeout(timer),
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

// How many videos are ready, pending and failed, while it changes; and a way to add one.

import { call, withQuery } from "./api.js";
import { announce, el, errorBox, field } from "./dom.js";
import { number } from "./words.js";

const STATES = ["ready", "pending", "failed"];
const BUSY_MILLISECONDS = 2000;
const IDLE_MILLISECONDS = 15_000;

/** onFilter(state): a number was chosen. onChange(): the numbers have changed. Returns `{node, release}`. */
export function ingestState({ onFilter, onChange }) {
  const counts = Object.fromEntries(STATES.map((state) => [state, null]));
  const buttons = STATES.map((state) => el("button", { type: "button", class: "small", onclick: () => onFilter(state) }, `– ${state}`));
  const address = el("input", { type: "text", id: "new-address", autocomplete: "off", spellcheck: "false", placeholder: "https://…" });
  const bank = el("input", { type: "text", id: "new-bank", autocomplete: "off", spellcheck: "false", placeholder: "default" });
  const problem = el("div", {});
  const form = el("form", { class: "paste", onsubmit: (event) => {
    event.preventDefault();
    add();
  } }, field("Address of a new video", address), field("Bank of it", bank), el("button", { type: "submit" }, "Add"));
  let timer = 0;
  let released = false;

  async function look() {
    clearTimeout(timer);
    let wait = IDLE_MILLISECONDS;
    try {
      if (!document.hidden) {
        const before = JSON.stringify(counts);
        for (const state of STATES) counts[state] = (await call("GET", withQuery("/v1/videos", { limit: 1, state }))).total;
        buttons.forEach((button, index) => (button.textContent = `${number(counts[STATES[index]])} ${STATES[index]}`));
        if (counts.pending > 0) wait = BUSY_MILLISECONDS;
        if (!released && !before.includes("null") && before !== JSON.stringify(counts)) onChange();
      }
    } catch {
      // The list beside it tells what is wrong.
    }
    if (!released) timer = setTimeout(look, wait);
  }

  async function add() {
    problem.replaceChildren();
    const uri = address.value.trim();
    if (!uri) return address.focus();
    try {
      const json = { uri, ...(bank.value.trim() ? { bank: bank.value.trim() } : {}) };
      await call("POST", "/v1/videos", { json });
      address.value = "";
      announce("The video is in the queue");
      await look();
      onChange();
    } catch (error) {
      problem.replaceChildren(errorBox(error));
    }
  }

  look();
  return {
    node: el("section", { class: "card ingest", "aria-label": "Indexing" },
      el("div", { class: "row" }, buttons),
      el("details", {}, el("summary", {}, "Add a video"), form, problem)),
    release: () => {
      released = true;
      clearTimeout(timer);
    },
  };
}

// How many videos are ready, pending and failed, while it changes; and a way to add one.

import { call, withQuery } from "./api.js";
import { announce, el, errorBox, field } from "./dom.js";
import { addToCatalogue } from "./uploads.js";
import { number } from "./words.js";

const STATES = ["ready", "pending", "failed"];
const BUSY_MILLISECONDS = 2000;
const IDLE_MILLISECONDS = 15_000;

/** onFilter(state): a number was chosen. onChange(): the numbers have changed. Returns `{node, offer, release}`. */
export function ingestState({ onFilter, onChange }) {
  const counts = Object.fromEntries(STATES.map((state) => [state, null]));
  const buttons = STATES.map((state) => el("button", { type: "button", class: "small", onclick: () => onFilter(state) }, `– ${state}`));
  const address = el("input", { type: "text", id: "new-address", autocomplete: "off", spellcheck: "false", placeholder: "https://…" });
  const bank = el("input", { type: "text", id: "new-bank", autocomplete: "off", spellcheck: "false", placeholder: "default" });
  const problem = el("div", {});
  const form = el("form", { class: "paste", onsubmit: (event) => {
    event.preventDefault();
    add();
  } }, field("Address of a new video", address), field("Bank", bank), el("button", { type: "submit" }, "Add"));
  const input = el("input", { type: "file", id: "new-file", accept: "video/*,.mkv,.ts,.mxf,.avi,.flv,.wmv", class: "visually-hidden" });
  input.onchange = () => input.files.length && addFile(input.files[0]);
  const chooser = el("p", { class: "row" }, el("label", { class: "button", for: "new-file" }, "Upload a file"), input);
  const more = el("details", {}, el("summary", {}, "Add a video"), form, chooser, problem);
  let timer = 0;
  let released = false;

  async function look(quietly = false) {
    clearTimeout(timer);
    let wait = IDLE_MILLISECONDS;
    try {
      if (!document.hidden) {
        const before = JSON.stringify(counts);
        for (const state of STATES) counts[state] = (await call("GET", withQuery("/v1/videos", { limit: 1, state }), { quietly })).total;
        buttons.forEach((button, index) => (button.textContent = `${number(counts[STATES[index]])} ${STATES[index]}`));
        if (counts.pending > 0) wait = BUSY_MILLISECONDS;
        if (!released && !before.includes("null") && before !== JSON.stringify(counts)) onChange();
      }
    } catch {
      // The list beside it tells what is wrong.
    }
    if (!released) timer = setTimeout(() => look(true), wait);
  }

  async function add() {
    const uri = address.value.trim();
    if (!uri) return address.focus();
    problem.replaceChildren();
    try {
      const json = { uri, ...(bank.value.trim() ? { bank: bank.value.trim() } : {}) };
      await call("POST", "/v1/videos", { json });
      address.value = "";
      announce("The video is in the queue");
      await added();
    } catch (error) {
      problem.replaceChildren(errorBox(error));
    }
  }

  async function addFile(file) {
    input.value = "";
    problem.replaceChildren();
    if (await addToCatalogue(file, bank.value.trim())) await added();
  }

  /** Offer to add a file that was dropped. */
  function offer(file) {
    const upload = el("button", { type: "button", class: "primary", onclick: () => addFile(file) }, "Upload");
    more.open = true;
    problem.replaceChildren(el("p", { class: "notice row" }, `Add ${file.name} to the catalogue?`, upload));
    upload.focus();
  }

  async function added() {
    if (released) return;
    await look();
    onChange();
  }

  look();
  return {
    node: el("section", { class: "card ingest", "aria-label": "Indexing" },
      el("div", { class: "row" }, buttons), more),
    offer,
    release: () => {
      released = true;
      clearTimeout(timer);
    },
  };
}

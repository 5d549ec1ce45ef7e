// Single keys. They can be switched off, and do nothing while text is typed or a dialog is open.

import { el, storage } from "./dom.js";

const OFF = "storyhash-no-shortcuts";
const GLOBAL = [
  { keys: ["1"], label: "Ask", run: () => (location.hash = "#/ask") },
  { keys: ["2"], label: "Queue", run: () => (location.hash = "#/queue") },
  { keys: ["3"], label: "Catalogue", run: () => (location.hash = "#/catalogue") },
  { keys: ["?"], label: "This list", run: () => showHelp() },
];
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", Enter: "Enter" };
const TYPED = new Set(["INPUT", "TEXTAREA", "SELECT"]);
// Only these do their work again while they are held down.
const REPEATED = new Set(["j", "k", ",", ".", "[", "]", "ArrowLeft", "ArrowRight"]);

const kept = storage("localStorage");
let current = () => [];

/** A function that gives the shortcuts of the view that is shown: a list of `{keys, label, run}`. */
export function setShortcuts(list) {
  current = list;
}

/** A key as it is shown on a button. */
export const keyHint = (key) => el("kbd", { "aria-hidden": "true" }, NAMES[key] ?? key);

function showHelp() {
  const dialog = document.getElementById("help-dialog");
  const row = ({ keys, label }) =>
    el("div", { class: "help-row" }, el("dt", {}, keys.map((key) => el("kbd", {}, NAMES[key] ?? key))), el("dd", {}, label));
  document.getElementById("help-list").replaceChildren(
    ...[["Everywhere", GLOBAL], ["In this view", current()]]
      .filter(([, list]) => list.length)
      .map(([title, list]) => el("section", {}, el("h3", {}, title), el("dl", {}, list.map(row)))),
  );
  dialog.showModal();
}

export function start() {
  const on = document.getElementById("keys-on");
  on.checked = kept.getItem(OFF) === null;
  on.onchange = () => (on.checked ? kept.removeItem(OFF) : kept.setItem(OFF, "1"));
  document.getElementById("help-button").onclick = showHelp;
  document.getElementById("help-close").onclick = () => document.getElementById("help-dialog").close();
  document.addEventListener("keydown", (event) => {
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (TYPED.has(target.tagName) && !(target.type === "checkbox" && event.key !== " ")) {
      // A slider uses the arrows itself, and no letters.
      if (target.type !== "range" || event.key.startsWith("Arrow")) return;
    }
    // Space and Enter press the focused button or link.
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary, [role=option]")) return;
    const found = [...current(), ...GLOBAL].find(({ keys }) => keys.includes(event.key));
    if (found) {
      event.preventDefault();
      if (!event.repeat || REPEATED.has(event.key)) found.run();
    }
  });
}

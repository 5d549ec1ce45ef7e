// Shows the view that the address names, and sets up what all views share.

import { askView } from "./ask.js";
import { forgetKey, hasKey } from "./api.js";
import { catalogueView } from "./catalogue.js";
import { docsView } from "./docs.js";
import { el } from "./dom.js";
import { queueView } from "./queue.js";
import { setShortcuts, start } from "./shortcuts.js";
import { storedCaseView } from "./stored_case.js";

const VIEWS = { __proto__: null, ask: askView, queue: queueView, case: storedCaseView, catalogue: catalogueView, docs: docsView };
// The view whose link is marked while a view without a link is shown.
const PARENT = { __proto__: null, case: "queue" };

const main = document.getElementById("main");
let view = null;

/** A part of the address; one that is no percent-encoded text stays as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show() {
  // The address /docs shows the same page, with the view of the API first.
  const hash = location.hash || (location.pathname === "/docs" ? "#/docs" : "");
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const make = VIEWS[name] ?? askView;
  view?.release();
  view = make(new URLSearchParams(query), rest.map(decoded));
  document.title = `${view.title} · StoryHash`;
  main.replaceChildren(view.node);
  setShortcuts(() => view.shortcuts());
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.getAttribute("href") === `#/${PARENT[name] ?? (VIEWS[name] ? name : "ask")}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
}

start();
const forget = document.getElementById("key-button");
forget.hidden = !hasKey();
forget.onclick = () => {
  forgetKey();
  forget.hidden = true;
  show();
};
// Its address is no view.
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
window.addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
});
// A dropped video must not replace the page. Views without `dropped` take none, and say so.
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (!file) return;
  if (view.dropped) return view.dropped(file);
  main.querySelector(".not-taken")?.remove();
  main.prepend(el("p", { class: "notice not-taken", role: "status" }, `${file.name} was not taken. To look for copies of it, drop it on `,
    el("a", { href: "#/ask" }, "Ask"), "; to add it, on the ", el("a", { href: "#/catalogue" }, "catalogue"), "."));
});
show();

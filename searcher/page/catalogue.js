// The catalogue: its videos with thumbnail, bank and state, by page; what is being indexed; banks and dead letters.

import { call, withQuery } from "./api.js";
import { bankFilter } from "./bank_filter.js";
import { bankTable } from "./banks.js";
import { deadLetters } from "./dead_letters.js";
import { el, field } from "./dom.js";
import { ingestState } from "./ingest_state.js";
import { pagedList } from "./pager.js";
import { paint, thumbnails } from "./stills.js";
import { ago, length, nameOf } from "./words.js";

const STATES = { "": "any state", ready: "ready", pending: "pending", failed: "failed" };
const THUMBNAIL = { w: 96, h: 54 };

export function catalogueView() {
  const prefix = el("input", { type: "search", id: "prefix", autocomplete: "off", spellcheck: "false", placeholder: "any id" });
  const text = el("input", { type: "search", id: "text", autocomplete: "off", spellcheck: "false", maxlength: 200, placeholder: "any text" });
  const bank = bankFilter("", () => pages.restart());
  const state = el("select", { id: "state" }, Object.entries(STATES).map(([value, text]) => el("option", { value }, text)));
  const body = el("tbody", {});
  const table = el("table", {},
    el("caption", { class: "visually-hidden" }, "Videos of the catalogue"),
    el("thead", {}, el("tr", {}, ["Video", "Bank", "State", "Length", "Indexed", ""].map((text) =>
      el("th", { scope: "col" }, text || el("span", { class: "visually-hidden" }, "Action"))))),
    body);
  // A thumbnail is asked for when its row comes into sight.
  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      sight.unobserve(target);
      const canvas = target.querySelector("canvas");
      if (canvas) showThumbnail(canvas);
    }
  });

  const pages = pagedList({
    cursors: [""],
    empty: "No video matches these filters.",
    noun: "videos",
    fetchPage: (place) => call("GET", withQuery("/v1/videos", {
      ...place, prefix: prefix.value, text: text.value.trim(), bank: bank.chosen(), state: state.value,
    })),
    show: (items) => {
      sight.disconnect();
      body.replaceChildren(...items.map(row));
      // A canvas without a picture takes no place, so its row is watched.
      for (const line of body.children) sight.observe(line);
      table.hidden = items.length === 0;
      bank.know(items.map((item) => item.bank));
    },
  });
  prefix.oninput = text.oninput = state.onchange = pages.restart;
  const only = (wanted) => {
    state.value = wanted;
    pages.restart();
  };
  const ingest = ingestState({ onFilter: only, onChange: pages.load });

  pages.load();
  return {
    title: "Catalogue",
    node: el("div", { class: "catalogue" },
      el("h1", {}, "Catalogue"),
      ingest.node,
      el("form", { class: "card filters", onsubmit: (event) => event.preventDefault() },
        field("Id begins with", prefix), field("Id or title contains", text), field("Bank", bank.input), field("State", state), bank.names),
      pages.problem, pages.count,
      el("div", { class: "table" }, table),
      pages.buttons,
      bankTable(),
      deadLetters(() => only("failed"))),
    shortcuts: () => [
      { keys: ["/"], label: "Filter by id", run: () => prefix.focus() },
      { keys: ["n"], label: "Next page", run: () => pages.turn(1) },
      { keys: ["p"], label: "Previous page", run: () => pages.turn(-1) },
      { keys: ["f"], label: "Videos that failed", run: () => only("failed") },
    ],
    dropped: ingest.offer,
    release: () => {
      sight.disconnect();
      ingest.release();
      pages.release();
    },
  };
}

function row(item) {
  const name = nameOf(item.video_id, item);
  return el("tr", {},
    el("th", { scope: "row" }, el("div", { class: "with-thumbnail" },
      item.state === "ready"
        ? el("canvas", { width: THUMBNAIL.w, height: THUMBNAIL.h, "data-id": item.video_id, "data-at": item.duration_seconds / 3, "aria-hidden": "true", class: "thumbnail" })
        : null,
      el("div", {}, el("span", { class: "name" }, name), el("span", { class: "id" }, item.video_id),
        item.error ? el("span", { class: "why" }, item.error.message) : null))),
    el("td", { "data-label": "Bank" }, item.bank),
    el("td", { "data-label": "State" }, el("span", { class: `state ${item.state}` }, item.disabled ? `${item.state}, disabled` : item.state)),
    el("td", { "data-label": "Length", class: "number" }, item.duration_seconds ? length(item.duration_seconds) : "–"),
    el("td", { "data-label": "Indexed" }, item.indexed_at ? el("time", { datetime: item.indexed_at, title: item.indexed_at }, ago(item.indexed_at)) : "–"),
    el("td", {}, item.state === "ready"
      ? el("a", { href: `#/ask?video_id=${encodeURIComponent(item.video_id)}`, "aria-label": `Find copies of ${name}` }, "Find copies")
      : null));
}

async function showThumbnail(canvas) {
  try {
    const found = await thumbnails(canvas.dataset.id).at(Number(canvas.dataset.at));
    if (found) {
      paint(canvas, found);
      canvas.classList.add("shown");
    }
  } catch {
    // The video may have been deleted since.
  }
}

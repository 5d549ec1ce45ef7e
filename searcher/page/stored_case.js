// One stored match: the case, the verdict, and other matches of the same query.

import { call, send, withQuery } from "./api.js";
import { caseView } from "./case.js";
import { announce, el, errorBox, save } from "./dom.js";
import { queue } from "./queue.js";
import { verdictPanel } from "./verdict.js";
import { DECISIONS, changes, decisionOf, number, percent, queryName, refName, sentence } from "./words.js";

const MOST_OTHERS = 20;

export function storedCaseView(_, [id]) {
  const node = el("div", { class: "answer" }, el("p", { class: "muted" }, "Loading…"));
  let open = null;
  let panel = null;
  let released = false;
  const place = queue.ids.indexOf(Number(id));
  if (place >= 0) queue.index = place;
  const go = (step) => {
    const next = queue.ids[queue.ids.indexOf(Number(id)) + step];
    if (next !== undefined) location.hash = `#/case/${next}`;
  };
  load().catch((error) => node.replaceChildren(errorBox(error)));

  async function load() {
    const match = await call("GET", `/v1/matches/${encodeURIComponent(id)}`);
    if (released) return;
    const query = {
      noun: match.query.kind === "upload" ? "upload" : "video", name: queryName(match), file: null, video_id: match.query.video_id,
      duration_seconds: match.query.duration_seconds, fingerprint: match.query.fingerprint, rule: true, nonMatch: match.best_non_match,
    };
    const ranges = match.ranges.map((one) => ({ ...one, video_id: match.ref_video_id, bank: match.bank }));
    const [best] = ranges;
    const name = refName(match);
    open = caseView(query, ranges, best);
    panel = verdictPanel(match.id, match, (changed) => headline.replaceWith((headline = told(changed))));
    const [others, problem] = [el("div", {}), el("div", {})];
    // The decision changes when an exception is made or removed.
    const edit = (now) => [decisionOf(now), changes(now.ranges[0])].filter(Boolean).join(", ");
    const told = (now) => el("div", { class: `card headline ${now.decision}` },
      el("p", { class: "of" }, el("bdi", {}, query.name)),
      el("h1", { class: "verdict" }, el("span", { class: `said ${now.decision}` }, `${edit(now)}:`),
        ` ${sentence(best, query, name).replace(/^The/, "the")}`),
      now.decision === now.found_decision ? null
        : el("p", { class: "notice" }, `The decision was “${DECISIONS[now.found_decision]}”. ${now.ranges.some((one) => one.exceptions) ? "An exception" : "A video of a negative bank"} changed it.`));
    let headline = told(match);
    const evidence = ["HTML", "JSON"].map((kind) => el(
      "button", { type: "button", class: "small", onclick: () => saveEvidence(kind).then(() => problem.replaceChildren(), (error) => problem.replaceChildren(errorBox(error))) },
      `Evidence as ${kind}`));
    node.replaceChildren(
      el("p", { class: "row" }, el("a", { href: "#/queue" }, "← Queue"),
        place >= 0 ? el("span", { class: "muted" }, `${place + 1} of ${queue.ids.length} on this page`) : null,
        el("span", { class: "evidence" }, evidence)),
      problem,
      headline,
      el("div", { class: "card" }, panel.node),
      el("div", { class: "card" }, open.node),
      others,
    );
    announce(sentence(best, query, name));
    // The case is there, whatever becomes of the list.
    showOthers(match, others).catch((error) => others.replaceChildren(errorBox(error)));
  }

  async function saveEvidence(kind) {
    const type = kind === "HTML" ? "text/html" : "application/json";
    const response = await send(`/v1/matches/${encodeURIComponent(id)}/evidence`, { headers: { Accept: type } });
    save(await response.blob(), `match-${id}.${kind.toLowerCase()}`);
    announce(`Evidence saved as ${kind}`);
  }

  async function showOthers(match, place) {
    const page = await call("GET", withQuery("/v1/matches", { query_fingerprint: match.query.fingerprint, limit: MOST_OTHERS }));
    const rest = page.items.filter((one) => one.id !== match.id);
    if (!rest.length) return;
    place.replaceChildren(el("div", { class: "card" }, el("h3", {}, "Other matches of the same query"),
      page.next_cursor === null ? null : el("p", { class: "hint" }, `The newest ${rest.length} of ${number(page.total - 1)}.`),
      el("ul", { class: "others" }, rest.map((one) => el("li", {},
        el("a", { href: `#/case/${one.id}` }, el("bdi", {}, refName(one))), ` – ${decisionOf(one)}, ${percent(one.probability)}`)))));
  }

  return {
    title: "Case",
    node,
    shortcuts: () => [
      { keys: ["j"], label: "Next match of the queue", run: () => go(1) },
      { keys: ["k"], label: "Previous match", run: () => go(-1) },
      { keys: ["q"], label: "Back to the queue", run: () => (location.hash = "#/queue") },
      ...(panel?.shortcuts ?? []),
      ...(open?.shortcuts ?? []),
    ],
    release: () => {
      released = true;
      open?.release();
    },
  };
}

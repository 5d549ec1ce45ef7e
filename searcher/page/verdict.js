// The verdict of a person on a stored match: with reason, note, undo and history; and exceptions.

import { call, newKey } from "./api.js";
import { announce, el, errorBox, field, onFirstClick } from "./dom.js";
import { exceptionForm } from "./exceptions.js";
import { keyHint } from "./shortcuts.js";
import { VERDICTS, ago, inline, nameOf, percent, range, refName, ruleInWords } from "./words.js";

const CHOICES = [["c", "copy"], ["l", "licensed"], ["n", "not_copy"], ["u", "unsure"]];
const HINTS = {
  copy: "The query shows this reference.",
  licensed: "It is a copy, and it is allowed.",
  not_copy: "The videos only look alike.",
  unsure: "Another person should decide.",
};

/**
 * The panel of one stored match. given: its JSON, if it is known already. onChange(match): after a change.
 * Returns `{node, shortcuts}`.
 */
export function verdictPanel(id, given = null, onChange = () => {}) {
  const node = el("section", { class: "verdict-panel", "aria-label": "Verdict" });
  const reason = el("input", { type: "text", id: `reason-${id}`, maxlength: 200, autocomplete: "off", placeholder: "optional" });
  const note = el("textarea", { id: `note-${id}`, maxlength: 4000, rows: 2, placeholder: "optional" });
  const told = el("div", { class: "told" });
  const offer = el("div", {});
  const problem = el("div", {});
  const excepted = el("div", {});
  const history = el("ol", { class: "history" });
  const past = el("details", { hidden: true }, el("summary", {}, "History"), history);
  const choices = CHOICES.map(([key, verdict]) => el(
    "button", { type: "button", title: HINTS[verdict], "aria-pressed": "false", onclick: onFirstClick(() => judge(verdict)) },
    VERDICTS[verdict], keyHint(key),
  ));
  const undo = el("button", { type: "button", class: "quiet", hidden: true, onclick: onFirstClick(() => takeBack()) }, "Undo", keyHint("z"));
  let match = given;
  let busy = false;
  node.append(
    el("h3", {}, "Your verdict"), told,
    el("div", { class: "row choices", role: "group", "aria-label": "Verdict" }, choices, undo,
      el("button", { type: "button", class: "quiet", onclick: () => toggleOffer() }, "Add an exception…", keyHint("e"))),
    problem, offer, excepted,
    el("details", {}, el("summary", {}, "Reason and note"), el("div", { class: "fields" }, field("Reason", reason), field("Note", note))),
    past,
  );

  function show() {
    const verdict = match.verdict;
    const better = match.best_non_match;
    told.replaceChildren(...[
      el("p", { class: "muted" }, ruleInWords(match.rule, match.probability, match.bank)),
      better ? el("p", { class: "muted" }, `The nearest video of the bank that does not match is ${inline(nameOf(better.video_id, better))}: ${percent(better.probability)}.`) : null,
      verdict ? el("p", {}, el("b", {}, VERDICTS[verdict.verdict]), ` – ${by(verdict)}`) : null,
    ].filter(Boolean));
    choices.forEach((button, index) => button.setAttribute("aria-pressed", String(verdict?.verdict === CHOICES[index][1])));
    undo.hidden = !verdict;
    past.hidden = match.verdicts.length === 0;
    history.replaceChildren(...match.verdicts.map((one) => el(
      "li", {}, el("b", {}, VERDICTS[one.verdict]), ` – ${by(one)}`,
      one.reason ? el("span", {}, ` – ${one.reason}`) : null,
      one.note ? el("p", { class: "muted" }, one.note) : null,
    )));
  }

  // The exceptions that change the decision, each with a way to remove it.
  async function showExceptions() {
    const ids = [...new Set(match.ranges.flatMap((one) => one.exceptions ?? []))];
    const found = await Promise.all(ids.map((one) => call("GET", `/v1/exceptions/${one}`)));
    excepted.replaceChildren(...found.map((one) => el("div", { class: "notice" },
      el("p", {}, el("b", {}, one.kind === "pair" ? "Excepted: this pair" : `Excepted: ${range(one.start_seconds, one.end_seconds)} of ${inline(refName(match))}`),
        `. Reason: ${inline(one.reason)}. ${by(one)}`),
      el("div", { class: "row" }, el("button", { type: "button", class: "small", onclick: () => guarded(async () => {
        await call("DELETE", `/v1/exceptions/${one.id}`);
        await load();
        onChange(match);
        announce("Exception removed");
      }) }, "Remove this exception")))));
  }

  const by = (one) => `${inline(one.author ?? "without a key")}, ${ago(one.created_at)}`;

  async function guarded(work) {
    if (busy || !match) return;
    busy = true;
    problem.replaceChildren();
    try {
      await work();
    } catch (error) {
      problem.replaceChildren(errorBox(error));
    } finally {
      busy = false;
    }
  }

  async function load() {
    match = await call("GET", `/v1/matches/${id}`);
    show();
    await showExceptions();
  }

  const judge = (verdict) => guarded(async () => {
    await post(verdict, reason.value.trim(), note.value.trim());
    reason.value = note.value = "";
    announce(`Saved: ${VERDICTS[verdict]}`);
    offer.replaceChildren(...(verdict === "not_copy" ? [exceptions()] : []));
  });

  const takeBack = () => guarded(async () => {
    const mine = match.verdict?.id;
    if (!mine) return;
    // Another tab or person may have judged since.
    await load();
    if (match.verdict?.id !== mine) throw new Error("This match has a newer verdict, which you did not see before. It is shown now; nothing was undone.");
    const before = match.verdicts.filter((one) => one.id !== match.verdict.id)[0];
    await post(before?.verdict ?? "none", "undone", "");
    offer.replaceChildren();
    announce("Undone");
  });

  async function post(verdict, why, text) {
    await call("POST", `/v1/matches/${id}/verdicts`, { json: { verdict, reason: why, note: text }, once: newKey() });
    await load();
  }

  const exceptions = () => exceptionForm(match, {
    reason: () => reason.value.trim(),
    guarded,
    onSaved: async () => {
      await load();
      onChange(match);
      offer.replaceChildren();
    },
  });
  const toggleOffer = () => {
    if (!match) return;
    offer.replaceChildren(...(offer.childElementCount ? [] : [exceptions()]));
    offer.querySelector("input, button")?.focus();
  };

  if (match) show();
  (match ? showExceptions() : load()).catch((error) => problem.replaceChildren(errorBox(error)));
  return {
    node,
    shortcuts: [
      ...CHOICES.map(([key, verdict]) => ({ keys: [key], label: `Verdict: ${VERDICTS[verdict].toLowerCase()}`, run: () => judge(verdict) })),
      { keys: ["z"], label: "Undo the verdict", run: takeBack },
      { keys: ["e"], label: "Add an exception for this pair or a part of the reference", run: toggleOffer },
    ],
  };
}

// Verdicts on several matches at once.

import { call, newKey } from "./api.js";
import { announce, el, errorBox } from "./dom.js";
import { keyHint } from "./shortcuts.js";
import { VERDICTS, number } from "./words.js";

const CHOICES = [["C", "copy"], ["L", "licensed"], ["N", "not_copy"], ["U", "unsure"]];
// What one call of the API judges.
const MOST = 200;

/** Matches alike: of the same reference at the same place, to the second; the same for every copy of one part. */
export function kindOf(match) {
  const [best] = match.ranges;
  return JSON.stringify([match.ref_video_id, match.decision, Math.round(best.ref_start_seconds), Math.round(best.ref_end_seconds)]);
}

/**
 * The bar that judges what is selected. onDone(): after the verdicts are stored.
 * Returns `{node, selected, update, shortcuts}`; selected: ids.
 */
export function bulkBar(onDone) {
  const selected = new Set();
  const count = el("b", {});
  const reason = el("input", { type: "text", id: "bulk-reason", maxlength: 200, autocomplete: "off", "aria-label": "Reason", placeholder: "reason (optional)" });
  const problem = el("div", {});
  const node = el("section", { class: "card bulk", "aria-label": "Selected matches", hidden: true },
    el("div", { class: "row" }, count,
      CHOICES.map(([key, verdict]) => el("button", { type: "button", class: "small", onclick: () => judge(verdict) }, VERDICTS[verdict], keyHint(key))),
      el("button", { type: "button", class: "quiet", onclick: () => clear() }, "Select none")),
    reason, problem);
  let busy = false;

  function update() {
    node.hidden = selected.size === 0;
    count.textContent = selected.size === 1 ? "One selected" : `${number(selected.size)} selected`;
  }

  function clear() {
    selected.clear();
    problem.replaceChildren();
    onDone(false);
  }

  async function judge(verdict) {
    if (busy || selected.size === 0) return;
    busy = true;
    try {
      const ids = [...selected];
      for (let from = 0; from < ids.length; from += MOST) {
        const json = { match_ids: ids.slice(from, from + MOST), verdict, reason: reason.value.trim() };
        await call("POST", "/v1/verdicts", { json, once: newKey() });
      }
      announce(`${VERDICTS[verdict]}: ${number(ids.length)} matches`);
      reason.value = "";
      selected.clear();
      problem.replaceChildren();
      onDone(true);
    } catch (error) {
      problem.replaceChildren(errorBox(error));
    } finally {
      busy = false;
    }
  }

  return {
    node, selected, update,
    shortcuts: CHOICES.map(([key, verdict]) => ({ keys: [key], label: `Selected: ${VERDICTS[verdict].toLowerCase()}`, run: () => judge(verdict) })),
  };
}

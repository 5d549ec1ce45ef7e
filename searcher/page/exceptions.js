// What a verdict may mean for later matches: this pair or a range is excepted, after a look at what it changes.

import { call, newKey, withQuery } from "./api.js";
import { announce, el, onFirstClick } from "./dom.js";
import { inline, number, range, refName, time } from "./words.js";

const MOST_NAMED = 20;

/** Seconds of "1:02.5", "62.5" or "1:00:02"; NaN for other text. */
export function secondsOf(text) {
  if (!/^\d{1,6}(:\d{1,2}){0,2}(\.\d{1,3})?$/.test(text.trim())) return NaN;
  return text.trim().split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
}

/**
 * The form. match: its JSON. reason(): the text that was typed, or "". guarded: runs work and shows its error.
 * onSaved(): after the exception is stored.
 */
export function exceptionForm(match, { reason, guarded, onSaved }) {
  const [best] = match.ranges;
  const name = inline(refName(match));
  const start = el("input", { type: "text", id: `from-${match.id}`, value: time(best.ref_start_seconds), inputmode: "decimal", autocomplete: "off" });
  const end = el("input", { type: "text", id: `to-${match.id}`, value: time(best.ref_end_seconds), inputmode: "decimal", autocomplete: "off" });
  const why = el("input", { type: "text", id: `why-${match.id}`, maxlength: 200, autocomplete: "off", placeholder: "for example: intro", value: reason() });
  const node = el("div", { class: "notice" });
  const labelled = (text, control) => el("div", { class: "field" }, el("label", { for: control.id }, text), control);
  const choices = [
    el("p", {}, "Apply this to later matches too? Nothing changes until you confirm."),
    el("div", { class: "row" }, el("button", { type: "button", class: "small", onclick: () => tryOut("Never match this pair again",
      { kind: "pair", query_fingerprint: match.query.fingerprint }, "not a copy") }, "Never match this pair again")),
    el("form", { class: "range-form", onsubmit: (event) => {
      event.preventDefault();
      tryRange();
    } },
    el("p", {}, `Or never count a part of ${name}, such as an intro:`),
    el("div", { class: "row" }, labelled("From", start), labelled("To", end), labelled("Reason", why),
      el("button", { type: "submit", class: "small" }, "Never count this part"))),
  ];
  const back = () => node.replaceChildren(...choices);

  const tryRange = () => guarded(async () => {
    const [from, to] = [secondsOf(start.value), secondsOf(end.value)];
    if (!(from >= 0 && to > from)) throw new Error("Write two times such as 0:05 and 0:12.5; the second is later.");
    await look(`Never count ${range(from, to)} of ${name}`, { kind: "range", start_seconds: from, end_seconds: to }, "excluded");
  });
  const tryOut = (label, body, otherwise) => guarded(() => look(label, body, otherwise));

  /** Show what an exception would change. */
  async function look(label, body, otherwise) {
    const json = { ...body, ref_video_id: match.ref_video_id, reason: why.value.trim() || reason() || otherwise };
    const { affected } = await call("POST", withQuery("/v1/exceptions", { dry_run: "true" }), { json });
    const count = affected.total;
    const effect = count === 1 ? "This changes the decision on one stored match" : `This changes the decisions on ${number(count)} stored matches`;
    const named = affected.match_ids.slice(0, MOST_NAMED);
    const confirm = el("button", { type: "button", class: "primary", onclick: onFirstClick(() => guarded(async () => {
      await call("POST", "/v1/exceptions", { json, once: newKey() });
      await onSaved();
      announce("Exception saved");
    })) }, "Confirm");
    node.replaceChildren(
      el("p", {}, el("b", {}, label), `. ${effect}${named.length ? ": " : "."}`,
        named.map((id, index) => [index ? ", " : "", el("a", { href: `#/case/${id}` }, id === match.id ? "this one" : `match ${id}`)]),
        named.length ? (count > named.length ? " and others." : ".") : null),
      el("div", { class: "row" }, confirm, el("button", { type: "button", class: "quiet", onclick: back }, "Back")));
    confirm.focus();
  }

  back();
  return node;
}

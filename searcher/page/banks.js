// The banks, and the policy that decides in each.

import { call, withQuery } from "./api.js";
import { el, errorBox } from "./dom.js";
import { inline, length, number, percent, share } from "./words.js";

const MOST_SHOWN = 100;

/** What the policy of a bank demands, in words. */
function policyInWords(policy) {
  const least = [
    policy.min_seconds > 0 && `at least ${length(policy.min_seconds)}`,
    policy.min_coverage > 0 && `at least ${share(policy.min_coverage)} of the query`,
  ].filter(Boolean);
  return [`copy from ${percent(policy.copy_probability)}`, `review from ${percent(policy.review_probability)}`, ...least].join(", ");
}

/** The section; its content is loaded when it is opened. */
export function bankTable() {
  const place = el("div", {}, el("p", { class: "muted" }, "Loading…"));
  const section = el("details", { class: "card", ontoggle: () => section.open && load() }, el("summary", {}, "Banks"), place);

  async function load() {
    try {
      const page = await call("GET", withQuery("/v1/banks", { limit: MOST_SHOWN }));
      place.replaceChildren(
        page.items.length === 0 ? el("p", { class: "muted" }, "There is no bank yet.") : el("ul", { class: "plain" }, page.items.map((bank) => el("li", {},
          el("b", {}, el("bdi", {}, bank.title || bank.bank)), bank.title ? el("span", { class: "muted" }, ` ${inline(bank.bank)}`) : null,
          ` – ${number(bank.videos)} ${bank.videos === 1 ? "video" : "videos"}${bank.enabled ? "" : ", not enabled"}`,
          el("span", { class: "muted block" }, policyInWords(bank.policy))))),
        page.next_cursor === null ? "" : el("p", { class: "muted" }, `The first ${MOST_SHOWN} are shown; /v1/banks lists all.`));
    } catch (error) {
      place.replaceChildren(errorBox(error));
    }
  }
  return section;
}

// What could not be done: videos that failed, incomplete videos, and events that no receiver accepted.

import { call, withQuery } from "./api.js";
import { el, errorBox } from "./dom.js";
import { ago, number } from "./words.js";

const MOST_SHOWN = 50;

/** The section; its content is loaded when it is opened. onFailed(): show the videos that failed. */
export function deadLetters(onFailed) {
  const failed = el("div", {});
  const staged = el("div", {});
  const events = el("div", {});
  const section = el("details", { class: "card", ontoggle: () => section.open && load() },
    el("summary", {}, "Failures and dead letters"),
    el("h3", {}, "Videos that failed"), failed, staged,
    el("h3", {}, "Events that no webhook accepted"), events);

  const guarded = async (place, work) => {
    try {
      place.replaceChildren(...(await work()));
    } catch (error) {
      place.replaceChildren(errorBox(error));
    }
  };

  function load() {
    guarded(failed, showFailed);
    guarded(staged, showStaged);
    // Only an admin may see webhooks, so nobody is asked for them by the way.
    events.replaceChildren(el("button", { type: "button", class: "small", onclick: () => guarded(events, showEvents) }, "Show them (role admin)"));
  }

  async function showFailed() {
    const { total } = await call("GET", withQuery("/v1/videos", { limit: 1, state: "failed" }));
    if (total === 0) return [el("p", { class: "muted" }, "None.")];
    return [el("button", { type: "button", class: "small", onclick: onFailed }, `Show ${number(total)} in the list above`)];
  }

  /** Over Kafka, segments of a video may be missing; other services have no such videos. */
  async function showStaged() {
    const { paths } = await call("GET", "/openapi.json");
    if (!("/v1/staged" in paths)) return [];
    const { items } = await call("GET", withQuery("/v1/staged", { limit: MOST_SHOWN }));
    return [el("h3", {}, "Videos that are not complete"),
      items.length ? el("ul", { class: "plain" }, items.map((one) => el("li", {}, one.video_id))) : el("p", { class: "muted" }, "None."),
      el("p", { class: "hint" }, "storyhash dead-letters list shows the messages that a service over Kafka could not use.")];
  }

  async function showEvents() {
    const hooks = await call("GET", withQuery("/v1/webhooks", { limit: MOST_SHOWN }));
    const pages = await Promise.all(hooks.items.map(async (hook) => ({
      hook, dead: (await call("GET", withQuery(`/v1/webhooks/${encodeURIComponent(hook.id)}/deliveries`, { state: "dead", limit: MOST_SHOWN }))).items,
    })));
    const rows = pages.flatMap(({ hook, dead }) => dead.map((one) => delivery(hook, one)));
    return [rows.length ? el("ul", { class: "plain" }, rows) : el("p", { class: "muted" }, "None.")];
  }

  function delivery(hook, one) {
    const again = `/v1/webhooks/${encodeURIComponent(hook.id)}/deliveries/${encodeURIComponent(one.id)}/redeliver`;
    const item = el("li", {}, el("b", {}, one.type ?? one.event ?? "event"), ` to ${hook.url}`,
      one.created_at ? el("span", { class: "muted" }, `, ${ago(one.created_at)} `) : " ",
      el("button", { type: "button", class: "small", onclick: () => guarded(item, async () => {
        await call("POST", again);
        return ["The event is sent again."];
      }) }, "Send again"));
    return item;
  }
  return section;
}

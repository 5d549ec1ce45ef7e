// A list of the API, shown page by page.

import { announce, el, errorBox } from "./dom.js";
import { number } from "./words.js";

const PAGE = 50;
const WAIT_MILLISECONDS = 250;

/**
 * cursors: those of the pages up to the one shown; it is changed in place, so a view can keep it.
 * fetchPage: called with { limit, cursor }, answers a page of the API. show: called with its items.
 * empty: the text when there are none. noun: what follows the total. release: call it when the view closes.
 */
export function pagedList({ cursors, fetchPage, show, empty, noun }) {
  const count = el("p", { class: "muted count" }, " ");
  const problem = el("div", {});
  const back = el("button", { type: "button", onclick: () => turn(-1) }, "Previous page");
  const forward = el("button", { type: "button", onclick: () => turn(1) }, "Next page");
  let page = null;
  let latest = 0;
  let timer = 0;

  async function load() {
    const request = ++latest;
    try {
      const answer = await fetchPage({ limit: PAGE, cursor: cursors.at(-1) });
      if (request !== latest) return;
      page = answer;
      problem.replaceChildren();
      const first = (cursors.length - 1) * PAGE;
      count.textContent = page.total === 0
        ? empty
        : `${number(first + 1)}–${number(first + page.items.length)} of ${number(page.total)} ${noun}`;
      announce(count.textContent);
      back.disabled = cursors.length === 1;
      forward.disabled = page.next_cursor === null;
      show(page.items);
    } catch (error) {
      if (request === latest) problem.replaceChildren(errorBox(error));
    }
  }

  /** Show the next page (1) or the page before (-1); false if there is none. */
  function turn(step) {
    if (step > 0 && page?.next_cursor) cursors.push(page.next_cursor);
    else if (step < 0 && cursors.length > 1) cursors.pop();
    else return false;
    load();
    return true;
  }

  /** Begin again at the first page, once no filter has changed for a moment. */
  function restart() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      cursors.splice(0, cursors.length, "");
      load();
    }, WAIT_MILLISECONDS);
  }

  return {
    count, problem, load, turn, restart,
    buttons: el("nav", { class: "row pages", "aria-label": "Pages" }, back, forward),
    release: () => clearTimeout(timer),
  };
}

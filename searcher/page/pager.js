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

  /** Show the page at the end of `path`: the cursors of the pages up to it. */
  async function load(path = [...cursors]) {
    const request = ++latest;
    try {
      const answer = await fetchPage({ limit: PAGE, cursor: path.at(-1) });
      if (request !== latest) return;
      // What was on the last page may be gone since.
      if (answer.items.length === 0 && path.length > 1) return load(path.slice(0, -1));
      cursors.splice(0, cursors.length, ...path);
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
    if (step > 0 && page?.next_cursor) load([...cursors, page.next_cursor]);
    else if (step < 0 && cursors.length > 1) load(cursors.slice(0, -1));
    else return false;
    return true;
  }

  /** Begin again at the first page, once no filter has changed for a moment. */
  function restart() {
    clearTimeout(timer);
    timer = setTimeout(() => load([""]), WAIT_MILLISECONDS);
  }

  return {
    count, problem, turn, restart,
    load: () => load(),
    buttons: el("nav", { class: "row pages", "aria-label": "Pages" }, back, forward),
    release: () => clearTimeout(timer),
  };
}

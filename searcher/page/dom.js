// Elements without HTML text: every string becomes a text node, so no text of a user is ever parsed.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "muted") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. attributes: `onclick` and the like are functions. children: nodes and strings. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** A listener that the second click of a double click does not call. */
export const onFirstClick = (work) => (event) => event.detail > 1 || work();

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** sessionStorage or localStorage; where the browser forbids it, nothing is kept beyond this page. */
export function storage(name) {
  try {
    window[name].getItem("");
    return window[name];
  } catch {
    const kept = new Map();
    return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  }
}

/** Say something to screen readers, politely. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** An error in its own words, with its code. */
export function errorBox(error) {
  return el(
    "div",
    { class: "notice bad", role: "alert" },
    el("p", {}, error.message),
    error.code ? el("p", { class: "hint" }, `code: ${error.code}`) : null,
  );
}

/** A labelled control. */
export function field(label, control, hint = "") {
  const id = control.id || `f-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  control.id = id;
  return el("div", { class: "field" }, el("label", { for: id }, label), control, hint ? el("p", { class: "hint" }, hint) : null);
}

/** Save data as a file of this name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  // The browser has begun to read it when the click returns.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Scroll a list, and not the page, so that one of its items is in sight. */
export function keepShown(item) {
  const list = item.parentElement;
  if (!list) return;
  const [place, box] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
  if (place.top < box.top) list.scrollTop -= box.top - place.top;
  else if (place.bottom > box.bottom) list.scrollTop += place.bottom - box.bottom;
}

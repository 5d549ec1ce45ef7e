// A filter by bank: it takes a name when it is complete, because a key may not ask for part of one.

import { call, withQuery } from "./api.js";
import { el } from "./dom.js";

const MOST_NAMES = 1000;

/**
 * value: the name at first. onChosen(): another name was chosen, or none. Returns
 * `{input, names, chosen, know}`; names: the list of known names, to stand beside the input; chosen(): the name that
 * was chosen last; know(names): these banks exist too.
 */
export function bankFilter(value, onChosen) {
  const names = el("datalist", { id: "banks" });
  const input = el("input", { type: "search", id: "bank", value, autocomplete: "off", spellcheck: "false", placeholder: "any bank", list: "banks" });
  const known = new Set([""]);
  let chosen = value.trim();

  const choose = () => {
    if (input.value.trim() === chosen) return;
    chosen = input.value.trim();
    onChosen();
  };
  input.oninput = () => known.has(input.value.trim()) && choose();
  input.onchange = choose;

  function know(some) {
    for (const name of some) {
      if (known.has(name)) continue;
      known.add(name);
      names.append(el("option", { value: name }));
    }
  }
  call("GET", withQuery("/v1/banks", { limit: MOST_NAMES }))
    .then(({ items }) => know(items.map(({ bank }) => bank)))
    // Without the list, Enter takes the name.
    .catch(() => {});
  return { input, names, chosen: () => chosen, know };
}

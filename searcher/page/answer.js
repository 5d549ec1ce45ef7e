// The answer to a query: what it is a copy of, in words, and one case for each reference.

import { video } from "./api.js";
import { caseView } from "./case.js";
import { announce, el, keepShown } from "./dom.js";
import { miniBar } from "./timeline.js";
import { verdictPanel } from "./verdict.js";
import { DECISIONS, changes, inline, nameOf, percent, sentence, share, why } from "./words.js";

// Titles that are looked up for one answer.
const MOST_NAMED = 40;
const MOST_EXCLUDED = 10;
const RANK = { copy: 0, review: 1, no_match: 2 };

/** Matches by reference, the strongest decision first, then the most probable. */
function grouped(matches) {
  const groups = new Map();
  for (const match of matches) {
    const list = groups.get(match.video_id) ?? [];
    list.push(match);
    groups.set(match.video_id, list);
  }
  const order = (a, b) => RANK[a.decision] - RANK[b.decision] || b.probability - a.probability;
  return [...groups.values()].map((list) => list.sort(order)).sort((a, b) => order(a[0], b[0]));
}

/** Show an answer of the API. query: `{noun, name, file, video_id, bank}`; bank: that alone was asked for, or "". Returns `{node, shortcuts, release}`. */
export async function answerView(answer, query, total) {
  const whole = { ...query, duration_seconds: answer.query.duration_seconds };
  const shown = grouped(answer.matches);
  const [candidate] = answer.candidates;
  const titles = new Map();
  // What matches, but does not count; one item for each reference.
  const excluded = grouped([...(answer.excepted ?? []), ...(answer.negatives ?? [])]).map(([best]) => best).slice(0, MOST_EXCLUDED);
  const named = [...(candidate ? [candidate] : []), ...excluded, ...shown.map(([best]) => best)].slice(0, MOST_NAMED);
  // Without its title, a video has the name that its id gives it.
  await Promise.all(named.map(async ({ video_id: id }) => titles.set(id, await video(id).catch(() => null))));
  const name = (match) => nameOf(match.video_id, titles.get(match.video_id));

  const notes = [
    answer.reason && `This ${whole.noun} cannot match anything: ${answer.reason}.`,
    answer.query.damaged && `Part of it could not be decoded and was not compared: ${answer.query.damaged}.`,
    answer.truncated && `Not everything was compared: ${answer.truncated}.`,
  ].filter(Boolean);
  const heading = el("h2", { class: "verdict", tabindex: -1 });
  const node = el("section", { class: "answer", "aria-label": "Answer" });
  node.append(
    el("div", { class: `card headline ${answer.decision}` },
      el("p", { class: "of" }, el("bdi", {}, whole.name)),
      heading,
      ...(shown.length ? [] : [nearest(candidate, name)]),
      ...notes.map((text) => el("p", { class: "notice" }, text)),
      ...(excluded.length ? [notCounted(excluded, name)] : []),
    ),
  );
  let open = null;
  let panel = null;
  const release = () => open?.release();
  if (!shown.length) {
    heading.append(
      el("span", { class: "said no_match" }, `${DECISIONS.no_match}:`),
      total === 0 ? " the catalogue is empty."
        : ` this ${whole.noun} is in no ${whole.video_id ? "other " : ""}video of ${whole.bank ? `bank ${inline(whole.bank)}` : "the catalogue"}${excluded.length ? " that counts" : ""}.`,
    );
    announce(heading.textContent);
    return { node, shortcuts: () => [], release };
  }
  const best = shown[0][0];
  const done = changes(best);
  heading.append(
    el("span", { class: `said ${best.decision}` }, `${DECISIONS[best.decision]}${done ? `, ${done}` : ""}:`),
    ` ${sentence(best, whole, name(best)).replace(/^The/, "the")}`,
  );
  announce(heading.textContent);
  const place = el("div", { class: "card" });
  const tabs = shown.map((list, index) => el(
    "li", {},
    el("button", { type: "button", class: "match", onclick: () => select(index) },
      el("span", { class: "match-name" }, el("bdi", {}, name(list[0])), list.length > 1 ? el("span", { class: "muted" }, ` ${list.length} ranges`) : null),
      el("span", { class: `badge ${list[0].decision}` }, DECISIONS[list[0].decision]),
      el("span", { class: "number" }, percent(list[0].probability)),
      miniBar(list[0], whole.duration_seconds)),
  ));
  if (shown.length > 1) {
    node.append(el("div", { class: "card" }, el("h3", {}, `${shown.length} videos match`), el("ul", { class: "matches" }, tabs)));
  }
  node.append(place);
  let current = 0;
  function select(index) {
    current = index;
    open?.release();
    const bank = shown[index][0].bank;
    open = caseView({ ...whole, nonMatch: answer.candidates.find((one) => one.bank === bank) ?? null }, shown[index], best);
    tabs.forEach((tab, number) => tab.firstChild.setAttribute("aria-current", String(number === index)));
    keepShown(tabs[index]);
    place.replaceChildren(
      el("header", { class: "case-head" },
        el("h3", {}, `Compared with ${inline(name(shown[index][0]))}`),
        el("p", { class: "muted" }, `Bank ${inline(shown[index][0].bank)} · ${share(shown[index][0].coverage)} of the ${whole.noun}`)),
      open.node,
    );
    panel = null;
    const id = shown[index][0].match_id;
    if (id !== undefined) {
      panel = verdictPanel(id);
      place.append(panel.node);
    }
  }
  const moves = shown.length < 2 ? [] : [
    { keys: ["j"], label: "Next match", run: () => select((current + 1) % shown.length) },
    { keys: ["k"], label: "Previous match", run: () => select((current + shown.length - 1) % shown.length) },
  ];
  select(0);
  return { node, shortcuts: () => [...moves, ...open.shortcuts, ...(panel?.shortcuts ?? [])], release };
}

/** What people have excluded, with a link to each stored match. */
function notCounted(matches, name) {
  const links = matches.map((one) => {
    const text = el("bdi", {}, name(one));
    return one.match_id === undefined ? text : el("a", { href: `#/case/${one.match_id}` }, text);
  });
  return el("p", { class: "notice" }, "Matches that do not count, because of an exception or a negative bank: ",
    links.flatMap((link, index) => (index ? [", ", link] : [link])), ".");
}

/** The best non-match, and why it was not enough. */
function nearest(match, name) {
  if (!match) return el("p", { class: "muted" }, "No similar video was found.");
  return el("p", {}, "The nearest is ", el("b", {}, el("bdi", {}, name(match))), ". ", why(match));
}

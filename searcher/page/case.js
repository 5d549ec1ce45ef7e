// One query against one reference: players, time lines, and the pairs that decided.

import { video } from "./api.js";
import { announce, el, keepShown } from "./dom.js";
import { framePairs, nonMatchPairs } from "./frames.js";
import { catalogueMedia, fileMedia } from "./media.js";
import { Players } from "./players.js";
import { keyHint } from "./shortcuts.js";
import { stillPlayer } from "./still_player.js";
import { fileStills, thumbnails } from "./stills.js";
import { timeline } from "./timeline.js";
import { isChanged } from "./transform.js";
import { changes, inline, nameOf, percent, range, sentence, time, why } from "./words.js";

const MOST_HASHED_BYTES = 512e6;
const MODES = [["side", "Side by side"], ["difference", "Difference"], ["wipe", "Wipe"]];

/**
 * query: `{noun, name, duration_seconds, file, video_id, fingerprint, rule, nonMatch}`; file: the chosen File, or
 * null. rule: whether the rule that decided is told elsewhere. nonMatch: the best reference that is no match, or null.
 * matches: all ranges of one reference, best first. told: a match that is already described above, or null.
 * Returns `{node, shortcuts, release}`.
 */
export function caseView(query, matches, told = null) {
  const node = el("article", { class: "case" });
  const held = [];
  const leaving = new AbortController();
  // Aborted when the case is left.
  const { signal } = leaving;
  const shortcuts = [];
  const release = () => {
    leaving.abort();
    held.forEach((media) => media.release());
  };
  build().catch((error) => node.replaceChildren(el("p", { class: "notice bad" }, error.message)));
  return { node, shortcuts, release };

  async function build() {
    const refId = matches[0].video_id;
    const found = await video(refId).catch(() => null);
    if (signal.aborted) return;
    const name = nameOf(refId, found);
    const refSeconds = found?.duration_seconds || Math.max(...matches.map((one) => one.ref_end_seconds));
    let index = 0;
    let opened = false;
    let urls = { query: null, ref: null };
    let otherMedia = null;
    // What stands for a player whose file is gone.
    const instead = { query: null, ref: null };

    const time0 = el("output", { class: "clock" });
    const lines = timeline({
      query: { label: query.noun === "upload" ? "This upload" : query.name, seconds: query.duration_seconds },
      ref: { label: name, seconds: refSeconds },
      ranges: matches,
      onSeek: (seconds) => players.seek(seconds),
      onSelect: (chosen) => select(chosen),
    });
    const scrubber = el("input", {
      type: "range", class: "scrubber", min: 0, max: query.duration_seconds, step: 0.01,
      "aria-label": `Moment of the ${query.noun}, in seconds`,
      oninput: () => players.seek(Number(scrubber.value)),
    });
    const players = new Players(matches[0], query.duration_seconds, (seconds, ref) => {
      lines.moveTo(seconds, ref);
      scrubber.value = seconds;
      scrubber.setAttribute("aria-valuetext", time(seconds));
      time0.textContent = `${time(seconds)} ↔ ${time(ref)}`;
      instead.query?.show(seconds, matches[index], players.undone);
      instead.ref?.show(ref, matches[index], false);
    });
    held.push({ release: () => ["query", "ref"].forEach((side) => players.close(side)) });
    const summary = el("div", { class: "summary" });
    const pairsPlace = el("div", {});
    const places = {
      query: playerBox(query.noun === "upload" ? "This upload" : query.name, players.query),
      ref: playerBox(name, players.ref),
    };
    const wipe = el("input", {
      type: "range", min: 0, max: 100, value: 50, class: "wipe", "aria-label": "Position of the wipe, in percent", hidden: true,
      oninput: () => stage.style.setProperty("--wipe", `${wipe.value}%`),
    });
    const stage = el("div", { class: "stage side" }, places.query.node, places.ref.node);
    const controls = el("div", { class: "controls", role: "group", "aria-label": "Player" });
    const toggles = buttons(players, stage, wipe, controls, time0, instead);
    players.onChange = toggles.update;
    // The box of a player changes with the page and with the mode.
    new ResizeObserver(() => players.turn()).observe(stage);

    function select(chosen) {
      index = chosen;
      chips.forEach((chip, number) => chip.firstChild.setAttribute("aria-current", String(number === index)));
      if (chips.length) keepShown(chips[index]);
      lines.select(index);
      players.select(matches[index]);
      const match = matches[index];
      const done = changes(match);
      summary.replaceChildren(
        ...[
          match === told ? null : el("p", { class: "lead" }, sentence(match, query, name)),
          match === told || !done ? null : el("p", {}, `Compared with ${inline(name)}, it is ${done}.`),
          query.rule ? null : el("p", { class: "muted" }, why(match)),
        ].filter(Boolean),
      );
      const seek = (seconds) => {
        players.pause();
        players.seek(seconds);
      };
      const pairs = framePairs(match, seek);
      const other = query.nonMatch ? nonMatchPairs(query.nonMatch, seek) : null;
      pairsPlace.replaceChildren(
        ...(pairs.empty ? [] : [
          el("h3", {}, "Moments that decided"),
          el("p", { class: "hint" }, "Times in the query and in the reference, and how similar the pictures are (1 is the most)."),
          pairs.node,
        ]),
        ...(!other || other.empty ? [] : [
          el("h3", {}, `For comparison: ${inline(nameOf(query.nonMatch.video_id, query.nonMatch))}, which does not match`),
          el("p", { class: "hint" }, `The nearest other video of the bank, with probability ${percent(query.nonMatch.probability)}.`),
          el("div", { class: "non-match" }, other.node),
        ]),
      );
      showPairs(pairs, other);
      toggles.update();
      if (match !== told) announce(sentence(match, query, name));
    }

    /** The pictures of one side, of its file or of its thumbnails; null if there are none. */
    const stillsOf = (side, id) => (urls[side] ? fileStills(urls[side], signal) : instead[side] ? thumbnails(id) : null);

    async function showPairs(pairs, other) {
      if (!opened || signal.aborted) return;
      await pairs.show(stillsOf("query", query.video_id), stillsOf("ref", refId));
      if (!other || other.empty || signal.aborted) return;
      // Its file is fetched once, whichever range is shown.
      otherMedia ??= catalogueMedia(query.nonMatch.video_id, signal).then(hold, () => null);
      const media = await otherMedia;
      if (signal.aborted) return;
      await other.show(stillsOf("query", query.video_id), media ? fileStills(media.url, signal) : thumbnails(query.nonMatch.video_id));
    }

    function hold(media) {
      if (signal.aborted) media.release();
      else held.push(media);
      return media;
    }

    async function attach(side, id, open) {
      try {
        const media = hold(await open());
        if (signal.aborted) return;
        urls = { ...urls, [side]: media.url };
        places[side].show();
        players.open(side, media.url, () => without(side, id, "this browser cannot play the file"));
        toggles.update();
      } catch (error) {
        await without(side, id, error.message);
      }
    }

    /** Show thumbnails in place of a file that is not there or cannot be played, or else why. */
    async function without(side, id, why) {
      if (signal.aborted) return;
      urls = { ...urls, [side]: null };
      players.close(side);
      const player = id ? await stillPlayer(id, side).catch(() => null) : null;
      if (signal.aborted) return;
      const text = why.replace(/^./, (first) => first.toUpperCase());
      if (player) {
        instead[side] = player;
        places[side].put(player.node, `${text}. Thumbnails are shown.`);
        players.seek(players.seconds);
      } else places[side].say(`${text}.`);
      if (opened) select(index);
      else toggles.update();
    }

    const choose = () =>
      el("span", {}, "The browser does not have this file. ", fileButton("Choose the file", async (file) => {
        await attach("query", null, async () => fileMedia(file));
        select(index);
        if (await isOther(file, query.fingerprint)) {
          places.query.node.append(el("p", { class: "notice bad", role: "alert" }, "This is not the file that was matched."));
        }
      }));
    const chips = matches.length < 2 ? [] : matches.map((one, number) => el("li", {}, el(
      "button", { type: "button", class: "chip", onclick: () => select(number) },
      `${range(one.query_start_seconds, one.query_end_seconds)} ↔ ${range(one.ref_start_seconds, one.ref_end_seconds)}`,
      el("span", { class: "muted" }, ` ${percent(one.probability)}`),
    )));
    const rangeList = chips.length ? el("ol", { class: "ranges", "aria-label": "Matched ranges" }, chips) : null;
    node.replaceChildren(...[
      summary, stage, wipe, controls, scrubber, lines.node, rangeList, pairsPlace,
    ].filter(Boolean));
    select(0);
    shortcuts.push(
      ...toggles.shortcuts,
      ...(matches.length < 2 ? [] : [
        { keys: ["]"], label: "Next range", run: () => select((index + 1) % matches.length) },
        { keys: ["["], label: "Previous range", run: () => select((index + matches.length - 1) % matches.length) },
      ]),
    );
    await Promise.all([
      query.file
        ? attach("query", null, async () => fileMedia(query.file))
        : query.video_id
          ? attach("query", query.video_id, () => catalogueMedia(query.video_id, signal))
          : places.query.say(choose()),
      attach("ref", refId, () => catalogueMedia(refId, signal)),
    ]);
    opened = true;
    if (!signal.aborted) select(index);
  }
}

/** Whether the file is certainly not the one with this fingerprint. */
async function isOther(file, fingerprint) {
  // Browsers compute hashes only on this machine or over https.
  if (!fingerprint?.startsWith("sha256:") || !globalThis.crypto?.subtle || file.size > MOST_HASHED_BYTES) return false;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return fingerprint !== `sha256:${Array.from(hash, (one) => one.toString(16).padStart(2, "0")).join("")}`;
}

function playerBox(label, video) {
  const message = el("p", { class: "none" }, "Loading…");
  const screen = el("div", { class: "screen" }, message);
  const node = el("figure", { class: "player" }, screen, el("figcaption", {}, label));
  return {
    node,
    show: () => screen.replaceChildren(video),
    put: (picture, text) => {
      screen.replaceChildren(picture);
      node.append(el("p", { class: "hint" }, text));
    },
    say: (text) => {
      message.replaceChildren(text);
      screen.replaceChildren(message);
    },
  };
}

function fileButton(label, onFile) {
  const input = el("input", { type: "file", accept: "video/*", class: "visually-hidden", tabindex: -1, "aria-label": label,
    onchange: () => input.files.length && onFile(input.files[0]) });
  return el("span", {}, el("button", { type: "button", class: "small", onclick: () => input.click() }, label), input);
}

/** instead: what stands for the players whose files are gone, by side. */
function buttons(players, stage, wipe, controls, clock, instead) {
  const noFile = () => !players.query.src && !players.ref.src;
  const list = [
    { keys: [" "], label: "Play or pause", text: () => (players.playing ? "Pause" : "Play"), run: () => players.toggle(), main: true, hidden: noFile },
    { keys: ["ArrowLeft"], label: "One second back", text: () => "−1 s", run: () => players.jump(-1) },
    { keys: [","], label: "One frame back", text: () => "−1 frame", run: () => players.step(-1) },
    { keys: ["."], label: "One frame forward", text: () => "+1 frame", run: () => players.step(1) },
    { keys: ["ArrowRight"], label: "One second forward", text: () => "+1 s", run: () => players.jump(1) },
    { keys: ["r"], label: "Loop over the matched range", text: () => "Loop", pressed: () => players.loop, run: () => players.setLoop(!players.loop), hidden: noFile },
    { keys: ["h"], label: "Half speed", text: () => "½ speed", pressed: () => players.half, run: () => players.setHalf(!players.half), hidden: noFile },
    {
      keys: ["m"], label: "Undo the edit of the picture", text: () => "Undo the edit", pressed: () => players.undone,
      run: () => players.setUndone(!players.undone),
      hidden: () => !(players.query.src || instead.query) || !isChanged(players.match),
    },
  ];
  const modes = MODES.map(([mode, text], number) => ({
    keys: [["b"], ["d"], ["w"]][number], label: text, text: () => text,
    pressed: () => stage.classList.contains(mode),
    run: () => {
      stage.classList.remove(...MODES.map(([one]) => one));
      stage.classList.add(mode);
      wipe.hidden = mode !== "wipe";
      update();
    },
    hidden: () => !(players.query.src && players.ref.src),
  }));
  const all = [...list, ...modes];
  const made = all.map(({ keys, label, run, main, pressed }) =>
    el("button", { type: "button", class: main ? "primary" : "small", title: `${label} (${keys[0] === " " ? "Space" : keys[0]})`,
      "aria-pressed": pressed ? "false" : null, onclick: run }));
  controls.append(
    el("div", { class: "group" }, made.slice(0, 5)), clock,
    el("div", { class: "group" }, made.slice(5, list.length)),
    el("div", { class: "group" }, made.slice(list.length)),
  );
  function update() {
    const nothing = noFile() && !instead.query && !instead.ref;
    controls.classList.toggle("off", nothing);
    all.forEach(({ keys, text, pressed, hidden }, index) => {
      const button = made[index];
      const shown = text();
      if (button.dataset.text !== shown) {
        button.dataset.text = shown;
        button.replaceChildren(shown, keyHint(keys[0]));
      }
      if (pressed) button.setAttribute("aria-pressed", String(pressed()));
      button.hidden = hidden?.() ?? false;
      button.disabled = nothing;
    });
  }
  return { update, shortcuts: all.map(({ keys, label, run, hidden }) => ({ keys, label, run: () => hidden?.() || run() })) };
}

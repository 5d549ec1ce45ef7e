// "Has this video been seen before?": a file, an address or a video id in; the answer out.

import { answerView } from "./answer.js";
import { call, upload, withQuery } from "./api.js";
import { announce, el, errorBox, field } from "./dom.js";
import { hasJobs, resultOf } from "./jobs.js";
import { bytes, length, number } from "./words.js";

const ADDRESS = /^[a-z][a-z0-9+.-]+:\/\//i;

/** The view. parameters: `video_id` to ask about a video of the catalogue. */
export function askView(parameters) {
  let answer = null;
  let running = null;
  let total = null;
  // The bank that the last question is about; empty for all.
  let chosen = "";

  const input = el("input", { type: "file", id: "file", accept: "video/*,.mkv,.ts,.mxf,.avi,.flv,.wmv", class: "visually-hidden" });
  input.onchange = () => input.files.length && askFile(input.files[0]);
  const count = el("p", { class: "hint" }, " ");
  const drop = el("div", { class: "drop" },
    el("p", { class: "drop-title" }, "Drop a video here"),
    el("p", { class: "muted" }, "or"),
    el("label", { class: "button primary", for: "file" }, "Choose a file"), input,
    count,
  );
  const address = el("input", { type: "text", id: "address", spellcheck: "false", autocomplete: "off", placeholder: "https://… or holiday/beach.mp4" });
  const thorough = el("input", { type: "checkbox", id: "thorough" });
  const bank = el("input", { type: "text", id: "bank", autocomplete: "off", placeholder: "all banks", spellcheck: "false" });
  const options = el("details", { class: "options" }, el("summary", {}, "Options"),
    el("div", { class: "fields" },
      field("Search only this bank", bank),
      el("p", {}, el("label", { class: "check" }, thorough, " Search thoroughly: takes several times as long, and finds further videos in a query that contains a copy")),
    ));
  const form = el("form", { class: "paste" },
    field("Or paste a web address or the id of a video in the catalogue", address),
    el("button", { type: "submit" }, "Match"), );
  form.onsubmit = (event) => {
    event.preventDefault();
    const text = address.value.trim();
    if (text) askFor(ADDRESS.test(text) ? { uri: text } : { video_id: text });
    else address.focus();
  };
  const place = el("div", { class: "result" });
  const title = el("h1", {}, "Has this video been seen before?");
  const node = el("div", { class: "ask" }, title, el("div", { class: "card question" }, drop, form, options), place);

  for (const kind of ["dragenter", "dragover"]) {
    node.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  node.addEventListener("dragleave", (event) => node.contains(event.relatedTarget) || drop.classList.remove("over"));
  node.addEventListener("drop", () => drop.classList.remove("over"));

  async function countVideos(signal) {
    const page = await call("GET", withQuery("/v1/videos", { limit: 1, state: "ready" }), { signal });
    total = page.total;
    count.textContent = total === 1 ? "One video is in the catalogue." : `${number(total)} videos are in the catalogue.`;
  }
  countVideos().catch((error) => running || place.replaceChildren(errorBox(error)));

  const path = (jobs, more = {}) => withQuery(jobs ? "/v1/jobs" : "/v1/match", { ...more, bank: chosen, thorough: thorough.checked ? "true" : "" });

  function askFile(file) {
    input.value = "";
    ask({ noun: "upload", name: file.name, file }, (jobs, progress, signal) =>
      upload(path(jobs, { name: file.name }), file, {
        signal,
        onProgress: (sent, all) => (sent < all ? progress(`Sending ${file.name}`, sent / all, `${bytes(sent)} of ${bytes(all)}`) : progress("Looking for matches")),
      }));
  }

  function askFor(json) {
    const id = json.video_id ?? null;
    ask({ noun: "video", name: id ?? json.uri, file: null, video_id: id }, (jobs, progress, signal) => {
      progress(json.uri ? "Fetching the video and looking for matches" : "Looking for matches");
      return call("POST", path(jobs), { json, signal });
    });
  }

  async function ask(query, work) {
    running?.abort();
    const controller = (running = new AbortController());
    chosen = bank.value.trim();
    performance.clearMarks();
    performance.mark("asked");
    answer?.release();
    answer = null;
    const shown = progressBox(() => controller.abort());
    place.replaceChildren(shown.node);
    shown.node.scrollIntoView({ block: "nearest" });
    try {
      // A missing key is asked for before a large file is sent.
      await countVideos(controller.signal);
      // As a job it keeps its place in the queue, tells its stage, and may take long.
      const jobs = await hasJobs();
      controller.signal.throwIfAborted();
      const first = await work(jobs, shown.update, controller.signal);
      performance.mark("sent");
      const json = jobs ? await resultOf(first, shown.update, controller.signal) : first;
      performance.mark("answered");
      const view = await answerView(json, { ...query, bank: chosen }, total);
      if (running !== controller) return view.release();
      answer = view;
      node.classList.add("answered");
      place.replaceChildren(answer.node);
      performance.mark("shown");
      answer.node.querySelector("h2")?.focus({ preventScroll: true });
      window.scrollTo({ top: 0, behavior: "smooth" });
    } catch (error) {
      if (running !== controller) return;
      if (error.name === "AbortError") {
        place.replaceChildren(el("p", { class: "notice" }, "Cancelled."));
        announce("Cancelled");
      } else place.replaceChildren(errorBox(error));
    } finally {
      shown.stop();
    }
  }

  if (parameters.get("video_id")) {
    address.value = parameters.get("video_id");
    askFor({ video_id: parameters.get("video_id") });
  }
  return {
    title: "Ask",
    node,
    shortcuts: () => [
      { keys: ["o"], label: "Choose a file", run: () => input.click() },
      { keys: ["/"], label: "Paste an address or an id", run: () => address.focus() },
      ...(answer?.shortcuts() ?? []),
    ],
    dropped: askFile,
    release: () => {
      running?.abort();
      running = null;
      answer?.release();
    },
  };
}

function progressBox(onCancel) {
  const text = el("p", { class: "progress-text" }, "Starting");
  const more = el("span", { class: "muted" });
  const bar = el("progress", { max: 1, "aria-label": "Progress" });
  const began = performance.now();
  let said = "";
  let stage = "";
  const timer = setInterval(() => {
    if (stage) more.textContent = length(Math.round((performance.now() - began) / 1000));
  }, 1000);
  return {
    node: el("div", { class: "card progress" }, el("div", { class: "row" }, text, more), bar,
      el("div", { class: "row end" }, el("button", { type: "button", class: "quiet", onclick: onCancel }, "Cancel"))),
    stop: () => clearInterval(timer),
    /** done: fraction from 0 to 1; undefined while it is unknown. */
    update(words, done, detail = "") {
      text.textContent = words;
      stage = done === undefined ? words : "";
      if (detail) more.textContent = detail;
      if (done === undefined) bar.removeAttribute("value");
      else bar.value = done;
      if (words !== said) announce((said = words));
    },
  };
}

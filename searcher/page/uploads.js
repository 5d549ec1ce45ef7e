// Files on their way into the catalogue. Each has a line that all views show, as it arrives although its view was left.

import { call, upload, withQuery } from "./api.js";
import { announce, el, errorBox } from "./dom.js";
import { bytes } from "./words.js";

const place = document.getElementById("uploads");

/** Send a file into the catalogue; its line tells how far it is, and why it failed. Resolves to whether it was added. */
export async function addToCatalogue(file, bank) {
  const controller = new AbortController();
  const name = () => el("bdi", {}, file.name);
  const sent = el("span", { class: "muted number" }, "Starting");
  const bar = el("progress", { max: 1, "aria-label": `Upload of ${file.name}` });
  const cancel = el("button", { type: "button", class: "small", onclick: () => controller.abort() }, "Cancel");
  const line = el("div", { class: "upload row" }, name(), sent, bar, cancel);
  const end = (...told) => line.replaceChildren(...told, el("button", { type: "button", class: "small", onclick: () => line.remove() }, "Close"));

  for (const ended of [...place.children].filter((one) => !one.querySelector("progress"))) ended.remove();
  place.append(line);
  try {
    // A missing key is asked for before a large file is sent.
    await call("GET", withQuery("/v1/videos", { limit: 1 }), { signal: controller.signal });
    await upload(withQuery("/v1/videos", { name: file.name, bank }), file, {
      signal: controller.signal,
      onProgress: (done, all) => {
        sent.textContent = `${bytes(done)} of ${bytes(all)}`;
        bar.value = all ? done / all : 1;
        // What the service has is added.
        cancel.disabled = done === all;
      },
    });
    end(el("span", {}, name(), " is in the queue of the ", el("a", { href: "#/catalogue" }, "catalogue"), "."));
    announce(`${file.name} is in the queue`);
    return true;
  } catch (error) {
    if (error.name === "AbortError") {
      line.remove();
      announce("Cancelled");
    } else end(el("span", {}, name(), " was not added."), errorBox(error));
    return false;
  }
}

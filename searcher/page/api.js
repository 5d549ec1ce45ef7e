// Calls of the HTTP API. The key, if one is needed, is asked for once and kept in sessionStorage.

import { storage } from "./dom.js";

const KEY = "storyhash-key";
const NO_KEY = "This service needs an API key. Whoever runs it creates one for you, with “storyhash keys create”.";
const kept = storage("sessionStorage");

/** An error of the API: `message` is written for people, `code` for programs. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const hasKey = () => kept.getItem(KEY) !== null;
export const forgetKey = () => kept.removeItem(KEY);

let asking = null;

/** Ask for a key in the dialog. Resolves to true if one was given. */
function askForKey(reason) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("key-dialog");
    const input = document.getElementById("key-input");
    document.getElementById("key-reason").textContent = reason;
    input.value = "";
    document.getElementById("key-cancel").onclick = () => dialog.close("");
    dialog.onclose = () => {
      // No key has other characters, and what is copied may have some that are not seen.
      const key = input.value.replace(/[^!-~]/g, "");
      input.value = "";
      asking = null;
      const given = dialog.returnValue === "key" && key !== "";
      if (given) kept.setItem(KEY, key);
      document.getElementById("key-button").hidden = !hasKey();
      dialog.returnValue = "";
      resolve(given);
    };
    dialog.showModal();
    input.focus();
  });
  return asking;
}

const headersOf = (headers) => {
  const key = kept.getItem(KEY);
  return key === null ? headers : { ...headers, Authorization: `Bearer ${key}` };
};

function problem(status, text) {
  try {
    const { error } = JSON.parse(text);
    return new ApiError(status, error.code, error.message);
  } catch {
    return new ApiError(status, "", `the service answered with status ${status}`);
  }
}

// A proxy may answer in place of the service, and a connection may end in the middle of an answer.
const unreadable = () =>
  new ApiError(0, "unreadable_answer", "the answer of the service cannot be read; check that it is running, then try again");

const unreachable = () =>
  new ApiError(0, "unreachable", "the service cannot be reached; check that it is running, then try again");

async function fetched(path, options) {
  try {
    return await fetch(path, { ...options, headers: headersOf(options.headers ?? {}), credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
}

/** The response of one call; asks for a key where one is required, but not `quietly`. Raises ApiError. */
export async function send(path, { quietly = false, ...options } = {}) {
  let used = kept.getItem(KEY);
  let response = await fetched(path, options);
  while (response.status === 401 && !quietly) {
    const reason = problem(401, await response.text()).message;
    // Another call may have got a key meanwhile.
    const asked = used === null ? NO_KEY : reason;
    if (kept.getItem(KEY) === used && !(await askForKey(asked))) throw new ApiError(401, "unauthorized", reason);
    used = kept.getItem(KEY);
    response = await fetched(path, options);
  }
  if (!response.ok && response.status !== 304) throw problem(response.status, await response.text());
  return response;
}

/** The JSON of one call; null for a response without a body. json: the body. once: a key under which a
 * repetition of the call does nothing. quietly: nobody waits for the call, so no key is asked for. */
export async function call(method, path, { json, signal, once, quietly } = {}) {
  const options = { method, signal, quietly };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json" };
    if (once) options.headers["Idempotency-Key"] = once;
  }
  const response = await send(path, options);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : unreadable();
  }
}

/** A path with query parameters; empty values are left out, arrays are repeated. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined) query.append(name, one);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

// A reload or a closed tab would lose what is sent already, so the browser asks first.
const askFirst = (event) => event.preventDefault();

/** Send a file as the body of a POST. onProgress(sent, total) in bytes. Raises ApiError. */
export function upload(path, file, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
    for (const [name, value] of Object.entries(headersOf({}))) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    request.onload = () => {
      if (request.status >= 300) return reject(problem(request.status, request.responseText));
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        reject(unreadable());
      }
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => window.removeEventListener("beforeunload", askFirst);
    signal?.addEventListener("abort", () => request.abort());
    window.addEventListener("beforeunload", askFirst);
    request.send(file);
  });
}

const videos = new Map();
const MOST_REMEMBERED = 500;

/** A video of the catalogue; null if the caller may not see it or it is gone. */
export async function video(id) {
  if (!videos.has(id)) {
    if (videos.size >= MOST_REMEMBERED) videos.clear();
    videos.set(
      id,
      call("GET", `/v1/videos/${encodeURIComponent(id)}`).catch((error) => {
        videos.delete(id);
        if (error.status === 404) return null;
        throw error;
      }),
    );
  }
  return videos.get(id);
}

/** A random key for one change. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");

// The HTTP API of this service, as its OpenAPI document describes it. GET routes can be tried.

import { call, send, withQuery } from "./api.js";
import { el, errorBox, field } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const MOST_SHOWN = 20_000;
const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);
const json = (value) => el("pre", { tabindex: 0 }, JSON.stringify(value, null, 1));

/** A schema in one line; the name of a schema links to it. */
function typeOf(schema) {
  if (!schema) return [""];
  if (schema.$ref) return [el("a", { href: `#/docs?schema=${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const several = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (several) return several.flatMap((one, at) => (at ? [" or ", ...typeOf(one)] : typeOf(one)));
  if (schema.enum) return [schema.enum.map((one) => JSON.stringify(one)).join(" | ")];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items)];
  return [[schema.type ?? "any", schema.format].filter(Boolean).join(", ")];
}

function fields(caption, head, rows) {
  if (rows.length === 0) return null;
  return el("div", { class: "table", tabindex: 0, role: "region", "aria-label": caption }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

const examplesOf = (content) =>
  [content.example, ...Object.values(content.examples ?? {}).map((one) => one.value)].filter((one) => one !== undefined);

function bodies(caption, contents) {
  return Object.entries(contents ?? {}).map(([type, content]) => [
    el("p", {}, `${caption}: ${type} `, typeOf(content.schema)), examplesOf(content).map(json)]);
}

let inputsMade = 0;

/** A form that sends a GET request. */
function trial(path, parameters) {
  const inputs = parameters.filter((one) => one.in !== "header").map((one) => [one, el("input", { type: "text", id: `try-${++inputsMade}` })]);
  const answer = el("div", {});
  const run = async (event) => {
    event.preventDefault();
    const query = {};
    let address = path;
    for (const [{ name, in: place }, { value }] of inputs) {
      if (place === "path") address = address.replace(`{${name}}`, encodeURIComponent(value).replaceAll("%2F", "/"));
      else query[name] = value;
    }
    try {
      const response = await send(withQuery(address, query));
      const text = (await response.text()).slice(0, MOST_SHOWN);
      answer.replaceChildren(el("p", {}, `Status ${response.status}`), el("pre", { tabindex: 0 }, text));
    } catch (error) {
      answer.replaceChildren(errorBox(error));
    }
  };
  return el("form", { onsubmit: run },
    el("div", { class: "filters" }, inputs.map(([{ name }, input]) => field(name, input))),
    el("button", { type: "submit", class: "small" }, "Send"), answer);
}

function operation(method, path, given) {
  const parameters = given.parameters ?? [];
  const line = el("summary", {}, el("code", {}, `${method.toUpperCase()} ${path}`), ` ${given.summary ?? ""}`);
  const filled = () => [
    el("p", {}, given.description ?? ""),
    fields("Parameters", ["Name", "In", "Type", "Description"], parameters.map((one) => [
      one.name, one.in + (one.required ? ", required" : ""), typeOf(one.schema), one.description ?? one.schema?.description ?? ""])),
    bodies("Body", given.requestBody?.content),
    fields("Responses", ["Status", "Description", "Content"], Object.entries(given.responses).map(([status, one]) => [
      status, one.description ?? "", Object.entries(one.content ?? {}).map(([type, content]) => [`${type} `, ...typeOf(content.schema)])])),
    Object.entries(given.responses).filter(([status]) => status[0] === "2").map(([, one]) => bodies("Response", one.content)),
    method === "get" ? [el("h4", {}, "Try it"), trial(path, parameters)] : null,
  ];
  const place = el("div", {});
  return el("details", { ontoggle: (event) => {
    if (event.target.open && !place.hasChildNodes()) place.append(...filled().flat(Infinity).filter(Boolean));
  } }, line, place);
}

function schemaOf(name, schema) {
  if (!schema) return [el("p", {}, `There is no schema ${name}.`)];
  const required = new Set(schema.required ?? []);
  return [
    el("h2", {}, name), el("p", {}, schema.description ?? ""),
    fields("Fields", ["Name", "Type", "Description"], Object.entries(schema.properties ?? {}).map(([field, one]) => [
      field + (required.has(field) ? ", required" : ""), typeOf(one), one.description ?? ""])) ?? json(schema),
    ...(schema.examples ?? []).map(json),
    el("p", {}, el("a", { href: "#/docs" }, "All routes")),
  ];
}

function routes(document) {
  const groups = new Map();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((one) => one in operations)) {
      const tag = operations[method].tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, operations[method])]);
    }
  }
  return [...groups].map(([tag, nodes]) => el("section", { class: "card api" }, el("h2", {}, tag), nodes));
}

export function docsView(query) {
  const place = el("div", {}, el("p", { class: "muted" }, "Loading…"));
  call("GET", "/openapi.json").then((document) => {
    const schema = query.get("schema");
    place.replaceChildren(...(schema
      ? [el("section", { class: "card" }, ...schemaOf(schema, document.components?.schemas?.[schema]))]
      : routes(document)));
  }, (error) => place.replaceChildren(errorBox(error)));
  return {
    title: "HTTP API",
    node: el("div", { class: "docs" }, el("h1", {}, "HTTP API"),
      el("p", { class: "muted" }, "Every route of this service. Programs read ",
        el("a", { href: "/openapi.json" }, "/openapi.json"), "; it needs the key as each route does."),
      place),
    release: () => {},
    shortcuts: () => [],
  };
}

// Shows /openapi.json. Everything is made of text nodes: nothing in the document can become markup.
"use strict";

/** Makes an element: its tag, its properties, what is in it. */
function make(tag, properties, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content.filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

function resolve(api, schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? api.components.schemas[name] ?? {} : schema ?? {};
}

/** What a schema is, in a few words. */
function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const parts = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (parts) return parts.map(typeOf).join(schema.allOf ? " and " : " or ");
  const words = [].concat(schema.type ?? "any").join(" or ");
  if (schema.items) return words.replace("array", `list of ${typeOf(schema.items)}`);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  return schema.format ? `${words} (${schema.format})` : words;
}

/** A table of a schema's fields, and of those below it. */
function fields(api, schema, depth = 0) {
  const whole = resolve(api, schema);
  if (depth > 4) return null;
  if (whole.items) return fields(api, whole.items, depth + 1);
  const parts = whole.oneOf ?? whole.anyOf ?? whole.allOf;
  if (parts) return make("div", {}, ...parts.map((part) => fields(api, part, depth + 1)).filter(Boolean));
  const entries = Object.entries(whole.properties ?? {});
  if (entries.length === 0) return null;
  const needed = new Set(whole.required ?? []);
  return make("table", {}, ...entries.map(([name, field]) => make("tr", {},
    make("td", {}, make("code", {}, name), needed.has(name) ? "" : make("span", { className: "faint" }, " optional")),
    make("td", {}, typeOf(field)),
    make("td", {}, field.description ?? resolve(api, field).description ?? "", fields(api, field, depth + 1)))));
}

function content(api, holder) {
  return Object.entries(holder?.content ?? {}).map(([type, media]) => make("div", {},
    make("p", {}, make("code", {}, type), " ", typeOf(media.schema)), fields(api, media.schema)));
}

function operation(api, path, method, it) {
  const parameters = (it.parameters ?? []).map((parameter) => make("tr", {},
    make("td", {}, make("code", {}, parameter.name), parameter.required ? "" : make("span", { className: "faint" }, " optional")),
    make("td", {}, `${parameter.in}, ${typeOf(parameter.schema)}`),
    make("td", {}, parameter.description ?? "")));
  const responses = Object.entries(it.responses ?? {}).map(([status, response]) => make("details", {},
    make("summary", {}, make("code", {}, status), " ", response.description ?? ""), ...content(api, response)));
  return make("details", { id: it.operationId ?? `${method}${path}` },
    make("summary", {}, make("span", { className: `method ${method}` }, method.toUpperCase()), make("code", {}, path),
      " ", make("span", { className: "faint" }, it.summary ?? "")),
    it.description ? make("p", {}, it.description) : null,
    parameters.length ? make("table", {}, ...parameters) : null,
    it.requestBody ? make("details", {}, make("summary", {}, "Body"), ...content(api, it.requestBody)) : null,
    ...responses);
}

function show(api) {
  const groups = new Map((api.tags ?? []).map((tag) => [tag.name, { about: tag.description, all: [] }]));
  for (const [path, methods] of Object.entries(api.paths ?? {})) {
    for (const [method, it] of Object.entries(methods)) {
      if (!it?.responses) continue;
      const tag = it.tags?.[0] ?? "Other";
      if (!groups.has(tag)) groups.set(tag, { about: "", all: [] });
      groups.get(tag).all.push({ path, method, it });
    }
  }
  const index = document.getElementById("index");
  const main = document.getElementById("content");
  main.replaceChildren(make("h1", {}, `${api.info.title} ${api.info.version}`), make("p", {}, api.info.description ?? ""),
    make("p", {}, "As a document: ", make("a", { href: "/openapi.json" }, "openapi.json")));
  for (const [tag, { about, all }] of groups) {
    if (all.length === 0) continue;
    main.append(make("h2", {}, tag), make("p", {}, about ?? ""), ...all.map(({ path, method, it }) => operation(api, path, method, it)));
    index.append(make("strong", {}, tag), ...all.map(({ path, method, it }) => make("a",
      { href: `#${it.operationId ?? `${method}${path}`}`, title: `${method.toUpperCase()} ${path}` },
      make("span", { className: `method ${method}` }, method.toUpperCase()), it.summary || path)));
  }
  const open = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (named) { named.open = true; named.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
}

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch((error) => document.getElementById("content").replaceChildren(`The document can't be shown: ${error}`));

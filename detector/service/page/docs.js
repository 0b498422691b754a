// The OpenAPI description as a page.

import { element } from "./shared.js";

const answer = await fetch("openapi.json");
const description = answer.ok ? await answer.json() : { paths: {} };
const base = new URL(".", location.href).href.replace(/\/$/, "");

function example(method, path, operation) {
  const content = operation.requestBody?.content ?? {};
  const parts = ["curl"];
  if (method !== "get" && method !== "post") parts.push(`-X ${method.toUpperCase()}`);
  const form = content["multipart/form-data"]?.schema;
  const file = form?.required?.[0];
  if (file) parts.push(`-F ${file}=@${file === "video" ? "street.mp4" : "photo.jpg"}`);
  else if (content["application/json"]) parts.push("-H 'Content-Type: application/json' -d '{…}'");
  parts.push(`${base}${path}`);
  return parts.join(" ");
}

function table(head, rows) {
  const made = element("table", {}, element("tr", {}, ...head.map((text) => element("th", { textContent: text }))));
  for (const row of rows) made.append(element("tr", {}, ...row.map((text) => element("td", { textContent: text ?? "" }))));
  return made;
}

function kindOf(schema = {}) {
  const range = schema.minimum === undefined ? "" : ` ${schema.minimum} to ${schema.maximum ?? "…"}`;
  const normally = schema.default === undefined ? "" : `, default ${schema.default}`;
  return `${schema.type ?? "any"}${range}${normally}`;
}

function shown(path, method, operation) {
  const body = element("div", { className: "body" });
  if (operation.description) body.append(element("p", { textContent: operation.description }));
  body.append(element("pre", {}, element("code", { textContent: example(method, path, operation) })));
  const form = operation.requestBody?.content?.["multipart/form-data"]?.schema;
  const fields = Object.entries(form?.properties ?? {});
  const rows = fields.length
    ? fields.map(([name, schema]) => [name, kindOf(schema), schema.description])
    : (operation.parameters ?? []).map((one) => [one.name, kindOf(one.schema), one.description ?? one.schema?.description]);
  if (rows.length) body.append(table(["option", "kind", ""], rows));
  body.append(table(["status", ""], Object.entries(operation.responses).map(([status, one]) => [status, one.description])));
  return element("details", {},
    element("summary", {}, element("span", { className: "method", textContent: method.toUpperCase() }),
      element("code", { textContent: path }), element("span", { className: "small", textContent: operation.summary })),
    body);
}

for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    document.getElementById("operations").append(shown(path, method, operation));
  }
}

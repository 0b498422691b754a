// One picture: chosen, sent once, and then looked at.

import { json, Refused, request, save, say, telling } from "./api.js";
import { bar, colourOf, dot, element, fillModels, megabytes, percent, takesFiles, textOn } from "./shared.js";

const FAINTEST = 0.05; // what is asked for; the slider then needs no request
const byId = (id) => document.getElementById(`picture-${id}`);
const canvas = byId("canvas");

const state = {
  file: null, url: null, image: null, width: 0, height: 0, answer: null, classes: null,
  hidden: new Set(), hovered: -1, chosen: -1, heat: null, models: new Map(), asking: null,
};

export function startPictures(info, models) {
  state.limit = info.picture_bytes;
  for (const model of models.models) state.models.set(model.name, model);
  fillModels(byId("model"), models.models, models.default);
  byId("url").hidden = !info.urls;
  byId("limits").textContent = `JPEG, PNG, WEBP, AVIF, BMP or GIF, up to ${megabytes(info.picture_bytes)}`;
  for (const id of ["file", "again"]) {
    byId(id).addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) take(file);
    });
  }
  takesFiles(byId("drop"), take);
  takesFiles(byId("view"), take);
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file && !document.getElementById("panel-picture").hidden) take(file);
  });
  byId("url").addEventListener("submit", (event) => {
    event.preventDefault();
    takeUrl(event.target.elements.url.value);
  });
  byId("model").addEventListener("change", ask);
  byId("confidence").addEventListener("input", () => { clearHeat(); show(); });
  byId("heat").addEventListener("click", toggleHeat);
  byId("save").addEventListener("click", () => canvasOf(1).toBlob((blob) => save(blob, `${stem()}-detected.png`)));
  byId("json").addEventListener("click", () => save(JSON.stringify(shownAnswer(), null, 1), `${stem()}.json`, "application/json"));
  canvas.addEventListener("pointermove", (event) => hover(at(event)));
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("click", (event) => choose(at(event)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const shown = visible();
    if (!step || !shown.length) return;
    event.preventDefault();
    const place = shown.findIndex((one) => one.index === state.chosen);
    choose(shown[(place + step + shown.length) % shown.length].index);
  });
  window.addEventListener("resize", draw);
}

function stem() {
  return (state.file?.name ?? "picture").replace(/\.[^.]*$/, "");
}

async function take(file) {
  await telling(async () => {
    if (file.size > state.limit) throw new Refused(`The picture is larger than ${megabytes(state.limit)}, the most that is taken.`);
    let image = null;
    try {
      image = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      // The server may read what this browser does not, and says what is wrong with the rest.
    }
    Object.assign(state, { file, url: null, image });
    begin();
    await ask();
  });
}

async function takeUrl(url) {
  Object.assign(state, { file: null, url, image: null });
  begin();
  await ask();
}

function begin() {
  Object.assign(state, { answer: null, classes: null, hovered: -1, chosen: -1 });
  state.hidden.clear();
  clearHeat();
  const seen = Boolean(state.image);
  byId("drop").hidden = seen;
  byId("view").hidden = !seen;
  byId("bar").hidden = !seen;
  if (seen) {
    state.width = state.image.width;
    state.height = state.image.height;
  }
  show();
}

function body(fields) {
  if (state.url) {
    return { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ url: state.url, ...fields }) };
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("picture", state.file);
  return { body: form };
}

async function ask() {
  if (!state.file && !state.url) return;
  state.asking?.abort();
  const asking = new AbortController();
  state.asking = asking;
  const model = byId("model").value;
  const classifies = state.models.get(model).task === "classify";
  clearHeat();
  byId("busy").hidden = false;
  await telling(async () => {
    const fields = classifies ? { model, top: 8 } : { model, confidence: FAINTEST, max_detections: 500 };
    const path = classifies ? "v1/classify" : "v1/detect";
    const answer = await json(path, { method: "POST", signal: asking.signal, ...body(fields) });
    if (!state.image) await seeThrough(asking.signal, model, classifies);
    Object.assign(state, { answer: classifies ? null : answer, classes: classifies ? answer : null, chosen: -1, hovered: -1 });
    state.hidden.clear();
    byId("drop").hidden = true;
    byId("view").hidden = false;
    byId("bar").hidden = false;
  });
  if (state.asking === asking) byId("busy").hidden = true;
  if (!state.image) Object.assign(state, { file: null, url: null });
  show();
}

// A picture that this browser has not or cannot read: the server draws it, without boxes.
async function seeThrough(signal, model, classifies) {
  const detector = classifies ? [...state.models.values()].find((one) => one.task === "detect")?.name : model;
  const fields = detector ? { model: detector, confidence: 1 } : {};
  const answer = await request("v1/detect", { method: "POST", signal, ...merged(body(fields), { Accept: "image/jpeg" }) });
  state.image = await createImageBitmap(await answer.blob());
  state.width = state.image.width;
  state.height = state.image.height;
}

function merged(options, headers) {
  return { ...options, headers: { ...options.headers, ...headers } };
}

function threshold() {
  return byId("confidence").value / 100;
}

function visible() {
  return (state.answer?.detections ?? [])
    .map((one, index) => ({ ...one, index }))
    .filter((one) => one.confidence >= threshold() && !state.hidden.has(one.class_id));
}

function shownAnswer() {
  if (state.classes) return state.classes;
  return { ...state.answer, confidence: threshold(), detections: visible().map(({ index, ...one }) => one) };
}

function show() {
  byId("confidence-shown").textContent = percent(threshold());
  byId("confidence-field").hidden = state.models.get(byId("model").value)?.task === "classify";
  showClasses();
  showTop();
  showFound();
  byId("heat").disabled = !(state.classes || state.answer?.detections.length);
  byId("json").disabled = !(state.classes || state.answer);
  draw();
}

function showClasses() {
  const counts = new Map();
  for (const one of state.answer?.detections ?? []) {
    if (one.confidence < threshold()) continue;
    const known = counts.get(one.class_id) ?? { name: one.name, count: 0 };
    counts.set(one.class_id, { ...known, count: known.count + 1 });
  }
  byId("classes-card").hidden = counts.size < 1;
  const focused = document.activeElement?.dataset?.class;
  byId("classes").replaceChildren(...[...counts].map(([id, { name, count }]) => {
    const chip = element("button", { type: "button", className: "chip" }, dot(id), `${name} ${count}`);
    chip.dataset.class = id;
    chip.setAttribute("aria-pressed", String(!state.hidden.has(id)));
    chip.addEventListener("click", () => {
      if (!state.hidden.delete(id)) state.hidden.add(id);
      clearHeat();
      show();
    });
    return chip;
  }));
  if (focused) byId("classes").querySelector(`[data-class="${focused}"]`)?.focus();
}

function showTop() {
  const bars = [];
  if (state.classes) {
    const models = Object.entries(state.classes.models);
    for (const [name, classes] of models) {
      if (models.length > 1) bars.push(element("h3", { textContent: name }));
      bars.push(...classes.map((one) => bar(one.name, one.probability, percent(one.probability))));
    }
  } else {
    const best = new Map();
    for (const one of visible()) if (!best.has(one.class_id)) best.set(one.class_id, one);
    bars.push(...[...best.values()].slice(0, 8).map((one) => bar(one.name, one.confidence, percent(one.confidence), one.class_id)));
  }
  byId("top-card").hidden = bars.length === 0;
  byId("top").replaceChildren(...bars);
}

function showFound() {
  const shown = visible();
  byId("found-card").hidden = !state.answer;
  byId("count").textContent = shown.length === 1 ? "1 object" : `${shown.length} objects`;
  byId("found").replaceChildren(...shown.slice(0, 200).map((one) => {
    const item = element("button", { type: "button" }, dot(one.class_id), one.name,
      element("span", { className: "value", textContent: percent(one.confidence) }));
    item.dataset.index = one.index;
    item.setAttribute("aria-pressed", String(one.index === state.chosen));
    item.addEventListener("pointerenter", () => hover(one.index));
    item.addEventListener("pointerleave", () => hover(-1));
    item.addEventListener("click", () => choose(one.index));
    return element("li", {}, item);
  }));
  const words = shown.slice(0, 12).map((one) => `${one.name} ${percent(one.confidence)}`).join(", ");
  canvas.setAttribute("aria-label", state.answer ? `The picture with ${shown.length} boxes: ${words}` : "The picture");
}

function hover(index) {
  if (index === state.hovered) return;
  state.hovered = index;
  draw();
}

function choose(index) {
  state.chosen = index === state.chosen ? -1 : index;
  clearHeat();
  for (const item of byId("found").querySelectorAll("button")) {
    item.setAttribute("aria-pressed", String(Number(item.dataset.index) === state.chosen));
  }
  draw();
}

function at(event) {
  const area = canvas.getBoundingClientRect();
  const x = ((event.clientX - area.left) / area.width) * state.width;
  const y = ((event.clientY - area.top) / area.height) * state.height;
  const inside = visible().filter(({ box: [left, top, right, bottom] }) => x >= left && x <= right && y >= top && y <= bottom);
  inside.sort((one, other) => areaOf(one) - areaOf(other));
  return inside[0]?.index ?? -1;
}

function areaOf({ box: [left, top, right, bottom] }) {
  return (right - left) * (bottom - top);
}

async function toggleHeat() {
  if (state.heat) {
    clearHeat();
    draw();
    return;
  }
  const model = byId("model").value;
  const target = state.chosen >= 0 ? state.chosen : visible()[0]?.index;
  if (!state.classes && target === undefined) {
    say("There is no box to explain; lower the confidence.");
    return;
  }
  const fields = state.classes ? { model } : { model, confidence: FAINTEST, max_detections: 500, detection: target };
  byId("busy").hidden = false;
  await telling(async () => {
    const answer = await request("v1/explain", { method: "POST", ...merged(body(fields), { Accept: "image/jpeg" }) });
    state.heat = await createImageBitmap(await answer.blob());
    if (!state.classes) state.chosen = target;
    byId("heat").setAttribute("aria-pressed", "true");
  });
  byId("busy").hidden = true;
  draw();
}

function clearHeat() {
  state.heat = null;
  byId("heat").setAttribute("aria-pressed", "false");
}

function draw() {
  if (!state.image || byId("view").hidden) return;
  const room = byId("view").clientWidth;
  const scale = Math.min(1.5, room / state.width, (window.innerHeight * (room < 700 ? 0.6 : 0.74)) / state.height);
  const dense = window.devicePixelRatio || 1;
  const drawn = canvasOf(scale * dense);
  canvas.width = drawn.width;
  canvas.height = drawn.height;
  canvas.style.width = `${drawn.width / dense}px`;
  canvas.style.height = `${drawn.height / dense}px`;
  canvas.getContext("2d").drawImage(drawn, 0, 0);
}

function canvasOf(scale) {
  const drawn = element("canvas", { width: Math.round(state.width * scale), height: Math.round(state.height * scale) });
  const pen = drawn.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(state.heat ?? state.image, 0, 0, drawn.width, drawn.height);
  const unit = Math.max(1, Math.min(drawn.width, drawn.height) / 420);
  const marked = state.hovered >= 0 ? state.hovered : state.chosen;
  const shown = visible();
  const first = shown.filter((one) => one.index === marked);
  const others = state.heat ? [] : shown.filter((one) => one.index !== marked);
  pen.globalAlpha = marked >= 0 ? 0.35 : 1;
  for (const one of [...others].reverse()) outline(pen, one, scale, unit);
  pen.globalAlpha = 1;
  for (const one of first) outline(pen, one, scale, unit * 1.5);
  const taken = [];
  for (const one of marked >= 0 ? first : others) label(pen, one, scale, unit, taken);
  return drawn;
}

function outline(pen, one, scale, unit) {
  const [left, top, right, bottom] = one.box.map((edge) => edge * scale);
  pen.lineWidth = 2 * unit;
  pen.strokeStyle = colourOf(one.class_id);
  pen.strokeRect(left, top, right - left, bottom - top);
}

// The best boxes come first; a label that would cover another is left out and shown when its box is pointed at.
function label(pen, one, scale, unit, taken) {
  const [left, top] = one.box.map((edge) => edge * scale);
  const text = `${one.name} ${percent(one.confidence)}`;
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const width = pen.measureText(text).width + 10 * unit;
  const height = 18 * unit;
  const x = Math.max(0, Math.min(left - unit, pen.canvas.width - width));
  const y = top >= height ? top - height : top;
  if (taken.some(([ox, oy, ow]) => x < ox + ow && ox < x + width && y < oy + height && oy < y + height)) return;
  taken.push([x, y, width]);
  pen.fillStyle = colourOf(one.class_id);
  pen.fillRect(x, y, width, height);
  pen.fillStyle = textOn(colourOf(one.class_id));
  pen.fillText(text, x + 5 * unit, y + height / 2);
}

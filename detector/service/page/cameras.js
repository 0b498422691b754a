// Live cameras: the picture with boxes as the server draws them, and the boxes as text.

import { bar, element } from "./shared.js";

const byId = (id) => document.getElementById(`camera-${id}`);
const state = { cameras: [], chosen: null, shown: false, events: null };

export function startCameras(info) {
  state.cameras = info.cameras;
  byId("none").hidden = info.cameras.length > 0;
  byId("view").hidden = info.cameras.length === 0;
  byId("list").replaceChildren(...info.cameras.map((name) => {
    const button = element("button", { type: "button", className: "button", textContent: name });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => watch(name));
    return button;
  }));
  if (!info.cameras.length) byId("state").textContent = "None is configured.";
}

export function showCameras(shown) {
  state.shown = shown;
  if (shown && state.cameras.length) watch(state.chosen ?? state.cameras[0]);
  if (!shown) leave();
}

function leave() {
  state.events?.close();
  state.events = null;
  byId("image").removeAttribute("src");
}

function watch(name) {
  leave();
  state.chosen = name;
  for (const button of byId("list").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  const path = `v1/cameras/${encodeURIComponent(name)}`;
  byId("image").src = `${path}.mjpeg`;
  byId("image").alt = `What camera ${name} sees, with boxes`;
  byId("state").textContent = "Opening the camera…";
  state.events = new EventSource(`${path}/events`);
  state.events.onmessage = (event) => show(JSON.parse(event.data));
  state.events.addEventListener("trouble", (event) => { byId("state").textContent = JSON.parse(event.data).message; });
  state.events.onerror = () => { byId("state").textContent = "The connection to the server is lost; it is tried again."; };
}

function show({ width, height, detections }) {
  const counts = new Map();
  for (const one of detections) {
    const known = counts.get(one.class_id) ?? { name: one.name, count: 0, best: 0 };
    counts.set(one.class_id, { ...known, count: known.count + 1, best: Math.max(known.best, one.confidence) });
  }
  byId("found-card").hidden = false;
  byId("state").textContent = `Live, ${width} × ${height}`;
  byId("count").textContent = detections.length === 1 ? "1 object" : `${detections.length} objects`;
  byId("found").replaceChildren(...[...counts].map(([id, one]) => bar(one.name, one.best, `${one.count}`, id)));
}

// One video: uploaded, followed while it is processed, then played beside what was found in it.

import { json, Refused, request, say, telling, upload } from "./api.js";
import { bar, colourOf, element, fillModels, megabytes, percent, takesFiles } from "./shared.js";
import { Places } from "./zones.js";

const byId = (id) => document.getElementById(`video-${id}`);
const player = byId("player");
const overlay = byId("overlay");
const timeline = byId("timeline");

const state = { job: null, events: null, sending: null, frames: [], classes: new Map(), tracking: false };
const places = new Places({
  overlay,
  list: byId("places"),
  onChange: showPlaces,
  onHint: (text) => {
    byId("hint").textContent = text;
    byId("hint").hidden = !text;
  },
});

export async function startVideos(info, models) {
  state.tracking = info.tracking;
  state.limit = info.video_bytes;
  fillModels(byId("model"), models.models.filter((model) => model.task === "detect"), models.default);
  byId("track-field").hidden = !info.tracking;
  byId("limits").textContent =
    `MP4, MOV, MKV, WEBM, AVI and others, up to ${megabytes(info.video_bytes)} and ${Math.round(info.video_seconds / 60)} minutes`;
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) send(file);
  });
  takesFiles(byId("drop"), send);
  byId("confidence").addEventListener("input", () => {
    byId("confidence-shown").textContent = percent(byId("confidence").value / 100);
  });
  byId("cancel").addEventListener("click", cancel);
  byId("delete").addEventListener("click", cancel);
  byId("line").addEventListener("click", () => toggle("line"));
  byId("zone").addEventListener("click", () => toggle("zone"));
  byId("finish").addEventListener("click", () => places.finish());
  document.getElementById("places-save").addEventListener("click", () => places.save());
  document.getElementById("places-count").addEventListener("click", count);
  document.getElementById("places-open").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) telling(async () => places.open(await file.text()));
  });
  player.addEventListener("timeupdate", drawTimeline);
  player.addEventListener("loadedmetadata", fit);
  timeline.addEventListener("click", (event) => {
    const area = timeline.getBoundingClientRect();
    player.currentTime = ((event.clientX - area.left) / area.width) * lastTime();
  });
  window.addEventListener("resize", () => { fit(); drawTimeline(); });
  const [, number] = /^#job=([\w-]{32})$/.exec(location.hash) ?? [];
  if (!number) return false;
  await telling(async () => follow(await json(`v1/jobs/${number}`)));
  if (!state.job) history.replaceState(null, "", location.pathname);
  return Boolean(state.job);
}

function show(...ids) {
  for (const id of ["drop", "work", "view", "bar", "timeline", "options", "legend-card", "places-card", "counts-card"]) {
    byId(id).hidden = !ids.includes(id);
  }
}

async function send(file) {
  await telling(async () => {
    if (file.size > state.limit) throw new Refused(`The video is larger than ${megabytes(state.limit)}, the most that is taken.`);
    const form = new FormData();
    form.append("model", byId("model").value);
    form.append("confidence", byId("confidence").value / 100);
    if (state.tracking && byId("track").checked) form.append("track", "bytetrack");
    form.append("video", file);
    show("work");
    byId("state").textContent = "Uploading";
    byId("detail").textContent = megabytes(file.size);
    state.sending = new AbortController();
    try {
      const sent = (share) => {
        byId("progress").value = share;
        if (share >= 1) byId("state").textContent = "Checking the video";
      };
      await json("v1/info"); // asks for the token before a long upload
      follow(await upload("v1/videos", form, sent, state.sending.signal));
    } catch (error) {
      begin();
      throw error;
    } finally {
      state.sending = null;
    }
  });
}

function begin() {
  show("drop", "options");
  state.events?.close();
  Object.assign(state, { job: null, events: null, frames: [] });
  state.classes.clear();
  places.places = [];
  places.showList();
  places.cancel();
  player.removeAttribute("src");
  player.load();
  history.replaceState(null, "", location.pathname);
}

function follow(job) {
  state.job = job;
  history.replaceState(null, "", `#job=${job.id}`);
  show("work");
  progress(job);
  if (job.state === "done" || job.state === "failed") return;
  state.events = new EventSource(`v1/jobs/${job.id}/events`);
  state.events.onmessage = (event) => progress(JSON.parse(event.data));
  state.events.onerror = () => { byId("detail").textContent = "The connection to the server is lost; it is tried again."; };
}

function progress(job) {
  if (state.job?.id !== job.id) return;
  state.job = job;
  const words = { waiting: "Waiting for its turn", running: "Looking at every frame", done: "Done", failed: "Failed" };
  byId("state").textContent = words[job.state];
  const bar = byId("progress");
  if (job.total) bar.value = Math.min(1, job.frames / job.total);
  else bar.removeAttribute("value");
  const parts = [`${job.frames}${job.total ? ` of ${job.total}` : ""} frames`];
  if (job.frames_per_second) parts.push(`${job.frames_per_second} frames/s`);
  if (job.seconds_left) parts.push(`${Math.ceil(job.seconds_left)} s left`);
  byId("detail").textContent = parts.join(", ");
  if (job.state !== "done" && job.state !== "failed") return;
  state.events?.close();
  if (job.state === "done") telling(() => play(job));
  else {
    begin();
    say(job.message);
  }
}

async function cancel() {
  if (state.sending) {
    state.sending.abort();
    return;
  }
  const { job } = state;
  begin();
  if (job) await telling(() => request(`v1/jobs/${job.id}`, { method: "DELETE" }));
}

async function play(job) {
  show("view", "bar", "timeline", "legend-card", ...(job.tracked ? ["places-card"] : []));
  byId("line").hidden = byId("zone").hidden = !job.tracked;
  if (job.notes.length) say(job.notes.join(" "));
  player.src = `v1/jobs/${job.id}/video`;
  byId("save").href = player.src;
  byId("log").href = `v1/jobs/${job.id}/log.jsonl`;
  readLog(await (await request(`v1/jobs/${job.id}/log.jsonl`)).text());
  if (job.zones) {
    await places.open(await (await request(`v1/jobs/${job.id}/zones`)).text());
    await count();
  }
  showPlaces();
}

function readLog(text) {
  state.frames = [];
  state.classes.clear();
  for (const line of text.split("\n")) {
    if (!line) continue;
    const record = JSON.parse(line);
    if (record.type !== "frame") continue;
    const counts = new Map();
    for (const one of record.detections) {
      counts.set(one.class_id, (counts.get(one.class_id) ?? 0) + 1);
      const known = state.classes.get(one.class_id) ?? { name: one.name, boxes: 0, most: 0, tracks: new Set() };
      known.boxes += 1;
      known.most = Math.max(known.most, counts.get(one.class_id));
      if (one.track !== undefined) known.tracks.add(one.track);
      state.classes.set(one.class_id, known);
    }
    state.frames.push({ time: record.time, counts });
  }
  showLegend();
  drawTimeline();
}

function classesByNumber() {
  return [...state.classes].sort(([, one], [, other]) => other.boxes - one.boxes);
}

function showLegend() {
  const classes = classesByNumber();
  const most = Math.max(1, ...classes.map(([, one]) => one.boxes));
  byId("legend").replaceChildren(...classes.slice(0, 10).map(([id, one]) =>
    bar(one.name, one.boxes / most, state.job.tracked ? `${one.tracks.size} in all, at most ${one.most}` : `at most ${one.most}`, id)));
  if (!classes.length) byId("legend").textContent = "Nothing was found.";
}

function lastTime() {
  const last = state.frames.at(-1)?.time ?? 0;
  return Number.isFinite(player.duration) ? Math.max(player.duration, 0.001) : Math.max(last, 0.001);
}

function drawTimeline() {
  if (timeline.hidden || !state.frames.length) return;
  const dense = window.devicePixelRatio || 1;
  const area = timeline.getBoundingClientRect();
  timeline.width = Math.max(1, Math.round(area.width * dense));
  timeline.height = Math.max(1, Math.round(area.height * dense));
  const pen = timeline.getContext("2d");
  const { width, height } = timeline;
  const begin = state.frames[0].time;
  const bins = Math.max(1, Math.min(Math.floor(width / (2 * dense)), state.frames.length));
  const classes = classesByNumber().map(([id]) => id);
  const levels = Array.from({ length: bins }, () => new Map());
  for (const { time, counts } of state.frames) {
    const bin = levels[Math.min(bins - 1, Math.floor(((time - begin) / lastTime()) * bins))];
    for (const [id, count] of counts) bin.set(id, Math.max(bin.get(id) ?? 0, count));
  }
  const highest = Math.max(1, ...levels.map((bin) => [...bin.values()].reduce((sum, count) => sum + count, 0)));
  levels.forEach((bin, index) => {
    let base = height - 1;
    for (const id of classes) {
      const tall = ((bin.get(id) ?? 0) / highest) * (height - 20 * dense);
      pen.fillStyle = colourOf(id);
      pen.fillRect((index / bins) * width, base - tall, width / bins + 0.5, tall);
      base -= tall;
    }
  });
  const style = getComputedStyle(document.body);
  pen.fillStyle = style.color;
  pen.font = `${11 * dense}px system-ui, sans-serif`;
  pen.fillText(`at most ${highest} at once`, 8 * dense, 14 * dense);
  const now = (player.currentTime / lastTime()) * width;
  pen.fillRect(Math.min(width - 2 * dense, now), 0, 2 * dense, height);
}

// The picture within the player, without the black bars beside it.
function fit() {
  if (byId("view").hidden || !player.videoWidth) return;
  const scale = Math.min(player.clientWidth / player.videoWidth, player.clientHeight / player.videoHeight);
  const [width, height] = [player.videoWidth * scale, player.videoHeight * scale];
  const dense = window.devicePixelRatio || 1;
  overlay.width = Math.round(width * dense);
  overlay.height = Math.round(height * dense);
  Object.assign(overlay.style, {
    width: `${width}px`,
    height: `${height}px`,
    left: `${player.offsetLeft + (player.clientWidth - width) / 2}px`,
    top: `${player.offsetTop + (player.clientHeight - height) / 2}px`,
  });
  places.draw();
}

function toggle(kind) {
  player.pause();
  if (places.drawing?.kind === kind) places.cancel();
  else places.begin(kind);
}

function showPlaces() {
  const { drawing } = places;
  byId("line").setAttribute("aria-pressed", String(drawing?.kind === "line"));
  byId("zone").setAttribute("aria-pressed", String(drawing?.kind === "zone"));
  byId("finish").hidden = drawing?.kind !== "zone" || drawing.points.length < 3;
  byId("places-empty").hidden = places.places.length > 0;
  document.getElementById("places-count").disabled = places.places.length === 0;
  document.getElementById("places-save").disabled = places.places.length === 0;
  places.draw();
}

async function count() {
  await telling(async () => {
    const { job } = state;
    const found = await json(`v1/jobs/${job.id}/zones`, {
      method: "PUT", headers: { "Content-Type": "application/toml" }, body: places.toml(),
    });
    const total = (counts) => Object.values(counts).reduce((sum, one) => sum + one, 0);
    const head = (...names) => element("tr", {}, ...names.map((textContent) => element("th", { textContent })));
    const row = (...values) => element("tr", {}, ...values.map((textContent) => element("td", { textContent })));
    const rows = [];
    if (found.lines.length) rows.push(head("Line", "in", "out"), ...found.lines.map((one) => row(one.name, total(one.in), total(one.out))));
    if (found.zones.length) {
      rows.push(head("Zone", "entered", "most"), ...found.zones.map((one) => row(one.name, total(one.entries), one.most)));
    }
    byId("counts").replaceChildren(...rows);
    byId("events").replaceChildren(...found.events.map(eventItem));
    if (!found.events.length) byId("events").textContent = "Nothing happened there.";
    byId("counts-card").hidden = false;
  });
}

function eventItem(event) {
  const words = {
    crossed: `${event.class} crossed ${event.place}, ${event.direction}`,
    entered: `${event.class} entered ${event.place}`,
    left: `${event.class} left ${event.place}`,
    stayed: `${event.class} stays in ${event.place}`,
    above: `${event.count} in ${event.place}`,
  };
  const item = element("button", { type: "button" }, element("time", { textContent: clock(event.time) }), words[event.event] ?? event.event);
  item.addEventListener("click", () => {
    player.pause();
    player.currentTime = Math.max(0, event.time - (state.frames[0]?.time ?? 0));
  });
  return element("li", {}, item);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}.${Math.floor((seconds % 1) * 10)}`;
}

// Lines and zones, drawn on a video with mouse, finger or keys; kept as fractions of its width and height.

import { json, save } from "./api.js";
import { element } from "./shared.js";

const NEAR = 0.03;
const STEP = 0.01;

export class Places {
  constructor({ overlay, list, onChange, onHint }) {
    Object.assign(this, { overlay, list, onChange, onHint });
    this.places = [];
    this.drawing = null; // { kind, points, cursor }
    overlay.addEventListener("pointerdown", (event) => this.drawing && this.add(this.pointAt(event)));
    overlay.addEventListener("pointermove", (event) => this.drawing && this.move(this.pointAt(event)));
    overlay.addEventListener("dblclick", () => this.finish());
    overlay.addEventListener("keydown", (event) => this.key(event));
  }

  begin(kind) {
    this.drawing = { kind, points: [], cursor: [0.5, 0.5] };
    this.overlay.classList.add("drawing");
    this.overlay.tabIndex = 0;
    this.overlay.focus();
    this.hint();
    this.onChange();
  }

  cancel() {
    this.drawing = null;
    this.overlay.classList.remove("drawing");
    this.overlay.tabIndex = -1;
    this.onHint("");
    this.onChange();
  }

  hint() {
    const { kind, points } = this.drawing;
    const keys = "Keys: arrows move, Enter sets a point, Backspace takes it back, Escape ends.";
    const zone = points.length < 3 ? "Click the corners of the zone." : "Click the first corner again, or Finish zone.";
    this.onHint(`${kind === "line" ? "Click where the line begins and where it ends." : zone} ${keys}`);
  }

  pointAt(event) {
    const area = this.overlay.getBoundingClientRect();
    const clamp = (value) => Math.max(0, Math.min(1, value));
    return [clamp((event.clientX - area.left) / area.width), clamp((event.clientY - area.top) / area.height)];
  }

  key(event) {
    if (!this.drawing) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const step = event.shiftKey ? STEP * 5 : STEP;
      const [x, y] = this.drawing.cursor;
      this.move([x + way[0] * step, y + way[1] * step].map((value) => Math.max(0, Math.min(1, value))));
    } else if (event.key === "Enter" || event.key === " ") this.add(this.drawing.cursor);
    else if (event.key === "Backspace") this.drawing.points.pop();
    else if (event.key === "Escape") this.cancel();
    else return;
    event.preventDefault();
    this.onChange();
  }

  move(point) {
    this.drawing.cursor = point;
    this.onChange();
  }

  add(point) {
    const { kind, points } = this.drawing;
    const [first] = points;
    if (kind === "zone" && points.length > 2 && Math.hypot(first[0] - point[0], first[1] - point[1]) < NEAR) {
      this.finish();
      return;
    }
    const last = points.at(-1);
    if (last && Math.hypot(last[0] - point[0], last[1] - point[1]) < 0.003) return; // the second click of a double one
    points.push(point);
    this.drawing.cursor = point;
    if (kind === "line" && points.length === 2) this.finish();
    else this.hint();
    this.onChange();
  }

  finish() {
    if (!this.drawing) return;
    const { kind, points } = this.drawing;
    if (points.length < (kind === "line" ? 2 : 3)) return;
    const name = this.freeName(kind);
    this.places.push({ kind, name, points, classes: "", stay: "", above: "", anchor: "bottom" });
    this.cancel();
    this.showList();
    this.onChange();
  }

  freeName(kind) {
    for (let number = 1; ; number += 1) {
      const name = `${kind} ${number}`;
      if (!this.places.some((place) => place.name === name)) return name;
    }
  }

  showList() {
    this.list.replaceChildren(...this.places.map((place, index) => this.item(place, index)));
  }

  item(place, index) {
    const input = (key, label, type = "text") => {
      const made = element("input", { type, value: place[key], ariaLabel: `${label} of ${place.name}`, placeholder: label });
      if (type === "number") made.min = 0;
      made.addEventListener("input", () => { place[key] = made.value; this.onChange(); });
      return made;
    };
    const sign = element("span", { textContent: place.kind === "line" ? "╱" : "⬠", title: place.kind });
    sign.style.color = hue(index);
    const remove = element("button", { type: "button", textContent: "×", ariaLabel: `Remove ${place.name}` });
    remove.addEventListener("click", () => {
      this.places.splice(this.places.indexOf(place), 1);
      this.showList();
      this.onChange();
    });
    const more = element("div", { className: "more" }, input("classes", "only these classes: person, car"));
    if (place.kind === "zone") {
      more.append(input("stay", "event after so many seconds", "number"), input("above", "event above so many", "number"));
    }
    return element("li", {}, sign, input("name", "name"), remove, more);
  }

  draw() {
    const { overlay } = this;
    const pen = overlay.getContext("2d");
    const { width, height } = overlay;
    pen.clearRect(0, 0, width, height);
    const at = ([x, y]) => [x * width, y * height];
    const unit = Math.max(1, width / 700);
    this.places.forEach((place, index) => shape(pen, place, place.points.map(at), hue(index), unit));
    if (!this.drawing) return;
    const { kind, points, cursor } = this.drawing;
    shape(pen, { kind, name: "" }, [...points, cursor].map(at), hue(this.places.length), unit);
    const [x, y] = at(cursor);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.5 * unit;
    pen.beginPath();
    pen.moveTo(x - 9 * unit, y); pen.lineTo(x + 9 * unit, y);
    pen.moveTo(x, y - 9 * unit); pen.lineTo(x, y + 9 * unit);
    pen.stroke();
  }

  toml() {
    const quoted = (text) => JSON.stringify(text).replace(/\u007f/g, "\\u007f");
    const number = (value) => value.toFixed(4);
    const point = ([x, y]) => `[${number(x)}, ${number(y)}]`;
    const lines = ['units = "fractions"'];
    for (const place of this.places) {
      lines.push("", `[[${place.kind}]]`, `name = ${quoted(place.name.trim())}`);
      if (place.kind === "zone") lines.push(`polygon = [${place.points.map(point).join(", ")}]`);
      else lines.push(`from = ${point(place.points[0])}`, `to = ${point(place.points[1])}`);
      const classes = place.classes.split(",").map((name) => name.trim()).filter(Boolean);
      if (classes.length) lines.push(`classes = [${classes.map(quoted).join(", ")}]`);
      if (place.anchor !== "bottom") lines.push(`anchor = ${quoted(place.anchor)}`);
      if (place.kind === "zone" && place.stay !== "") lines.push(`stay_seconds = ${Number(place.stay)}`);
      if (place.kind === "zone" && place.above !== "") lines.push(`above = ${Math.round(Number(place.above))}`);
    }
    return `${lines.join("\n")}\n`;
  }

  save() {
    save(this.toml(), "zones.toml", "application/toml");
  }

  async open(text) {
    const found = await json("v1/zones", { method: "POST", headers: { "Content-Type": "application/toml" }, body: text });
    const common = (place) => ({ name: place.name, classes: place.classes.join(", "), anchor: place.anchor });
    this.places = [
      ...found.zones.map((zone) => ({
        kind: "zone", points: zone.polygon, stay: zone.stay_seconds ?? "", above: zone.above ?? "", ...common(zone),
      })),
      ...found.lines.map((line) => ({ kind: "line", points: [line.from, line.to], stay: "", above: "", ...common(line) })),
    ];
    this.showList();
    this.onChange();
  }
}

function hue(index) {
  return `hsl(${(index * 97 + 40) % 360} 95% 55%)`;
}

function shape(pen, place, points, colour, unit) {
  if (!points.length) return;
  pen.lineWidth = 3 * unit;
  pen.lineJoin = "round";
  pen.strokeStyle = colour;
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (place.kind === "zone" && points.length > 2) {
    pen.closePath();
    pen.globalAlpha = 0.18;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }
  pen.stroke();
  if (place.kind === "line" && points.length === 2) arrow(pen, points, colour, unit);
  const [x, y] = points[0];
  pen.font = `600 ${13 * unit}px system-ui, sans-serif`;
  pen.lineWidth = 4 * unit;
  pen.strokeStyle = "rgb(0 0 0 / 65%)";
  pen.strokeText(place.name, x + 6 * unit, y - 6 * unit);
  pen.fillStyle = "#fff";
  pen.fillText(place.name, x + 6 * unit, y - 6 * unit);
}

// Which way is "in": from the left of the line to its right, seen from its beginning.
function arrow(pen, [[x1, y1], [x2, y2]], colour, unit) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [ax, ay] = [(x2 - x1) / length, (y2 - y1) / length];
  const [rx, ry] = [-ay, ax];
  const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const [tx, ty] = [mx + rx * 26 * unit, my + ry * 26 * unit];
  pen.beginPath();
  pen.moveTo(mx, my);
  pen.lineTo(tx, ty);
  pen.lineTo(tx - (rx + ax) * 8 * unit, ty - (ry + ay) * 8 * unit);
  pen.moveTo(tx, ty);
  pen.lineTo(tx - (rx - ax) * 8 * unit, ty - (ry - ay) * 8 * unit);
  pen.strokeStyle = colour;
  pen.stroke();
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.lineWidth = 4 * unit;
  pen.strokeStyle = "rgb(0 0 0 / 65%)";
  pen.strokeText("in", tx + rx * 10 * unit, ty + ry * 10 * unit);
  pen.fillStyle = colour;
  pen.fillText("in", tx + rx * 10 * unit, ty + ry * 10 * unit);
  pen.lineWidth = 3 * unit;
}

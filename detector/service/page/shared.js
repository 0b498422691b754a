// What several panels draw: colours of classes, bars, and fields of files.

// In which the server draws the classes, by their numbers; the same for every model.
let palette = ["#888888"];

export function usePalette(models) {
  for (const { colours } of models) if (colours.length > palette.length) palette = colours;
}

export function colourOf(classId) {
  return palette[classId % palette.length];
}

// Black or white, whichever is easier to read on a colour.
export function textOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function dot(classId) {
  const made = element("span", { className: "dot" });
  made.style.background = colourOf(classId);
  return made;
}

export function bar(name, share, value, classId = null) {
  const fill = element("div", { className: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  if (classId !== null) fill.style.background = colourOf(classId);
  return element("div", { className: "item" },
    element("span", { className: "name", textContent: name, title: name }),
    element("span", { className: "value", textContent: value }),
    element("div", { className: "track" }, fill));
}

export const percent = (share) => `${Math.round(share * 100)} %`;

export function megabytes(bytes) {
  return bytes >= 1 << 30 ? `${Math.round(bytes / (1 << 30))} GB` : `${Math.round(bytes / (1 << 20))} MB`;
}

// Files dropped on an element.
export function takesFiles(target, take) {
  const over = (on) => target.classList.toggle("over", on);
  target.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  target.addEventListener("dragleave", () => over(false));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

export function fillModels(select, models, chosen) {
  select.replaceChildren(...models.map((model) => element("option", { value: model.name, textContent: model.name })));
  if (models.some((model) => model.name === chosen)) select.value = chosen;
}

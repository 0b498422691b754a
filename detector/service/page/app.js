// The page: its tabs, and what each needs to begin.

import { json, telling } from "./api.js";
import { startCameras, showCameras } from "./cameras.js";
import { startPictures } from "./picture.js";
import { usePalette } from "./shared.js";
import { startVideos } from "./video.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function select(tab) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  showCameras(tab.id === "tab-cameras");
  window.dispatchEvent(new Event("resize"));
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    next.focus();
    select(next);
  });
}

// A file that misses its place must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

telling(async () => {
  const models = await json("v1/models");
  const info = await json("v1/info");
  usePalette(models.models);
  startPictures(info, models);
  startCameras(info);
  const showing = await startVideos(info, models);
  if (showing) select(document.getElementById("tab-video"));
  document.body.dataset.ready = "true";
});

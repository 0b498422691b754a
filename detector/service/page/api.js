// Requests to the server. Addresses are relative, so that the page works under any path of a proxy.

export class Refused extends Error {}

const dialog = document.getElementById("token");

async function askForToken() {
  const form = dialog.querySelector("form");
  const wrong = document.getElementById("token-wrong");
  wrong.hidden = true;
  for (;;) {
    form.reset();
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    const answer = await fetch("v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: form.elements.token.value }),
    });
    if (answer.ok) return;
    wrong.hidden = false;
  }
}

let asking = null;

export function loggedIn() {
  asking ??= askForToken().finally(() => { asking = null; });
  return asking;
}

export async function messageOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return answer.status === 413 ? "The file is too large." : `The server answered ${answer.status}.`;
  }
}

export async function request(path, options = {}) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("The server cannot be reached.");
    }
    if (answer.status === 401) {
      await loggedIn();
      continue;
    }
    if (!answer.ok) throw new Refused(sentence(await messageOf(answer)));
    return answer;
  }
}

export async function json(path, options) {
  return (await request(path, options)).json();
}

// fetch does not say how far an upload is; XMLHttpRequest does.
export function upload(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", path);
    sent.responseType = "json";
    sent.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sent.onload = () => {
      if (sent.status === 202) resolve(sent.response);
      else reject(new Refused(sentence(sent.response?.error?.message ?? `The server answered ${sent.status}.`)));
    };
    sent.onerror = () => reject(new Refused("The connection broke off while the file was sent."));
    sent.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => sent.abort());
    sent.send(form);
  });
}

export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

const banner = document.getElementById("message");
banner?.querySelector("button").addEventListener("click", () => { banner.hidden = true; });

export function say(text) {
  banner.querySelector("p").textContent = text;
  banner.hidden = !text;
}

export async function telling(work) {
  say("");
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") {
      say(error instanceof Refused ? error.message : "Something went wrong on this page; reload it and try again.");
      if (!(error instanceof Refused)) throw error;
    }
    return undefined;
  }
}

export function save(content, name, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

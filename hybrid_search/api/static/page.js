// The search page with a script: the server renders, this swaps the parts, keeps the address and brings pictures.
// Without it the page works by plain links and forms.

import { onPicture } from "./picture.js";
import { closeDrawer, wireDrawer } from "./drawer.js";

const words = JSON.parse(document.getElementById("words").textContent);
const form = document.getElementById("search");
const part = document.getElementById("part");
const busy = document.getElementById("busy");
const announcer = document.getElementById("announce");
const PART = "X-Page-Part";

let running = null;

function announce(text) {
  announcer.textContent = "";
  window.setTimeout(() => { announcer.textContent = text; }, 60);
}

/** The address of what the form says now; empty and default values are left out. */
function formAddress() {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim() && !(name === "sort" && value === "relevance")) {
      params.append(name, value.trim());
    }
  }
  const query = params.toString();
  return query ? `/?${query}` : "/";
}

/** How to find a control again after the part around it was replaced. */
function selectorOf(element) {
  if (!element || !part.contains(element)) return null;
  if (element.name) {
    const value = element.type === "checkbox" || element.type === "radio" ? `[value="${CSS.escape(element.value)}"]` : "";
    return `[name="${CSS.escape(element.name)}"]${value}`;
  }
  return element.dataset.drawer ? `[data-drawer="${element.dataset.drawer}"]` : null;
}

function openFolds() {
  return [...part.querySelectorAll("details[data-fold][open]")].map((fold) => fold.dataset.fold);
}

/** Show the results of an address. `push` puts it into the history, `focus` moves the focus to the results, `typed` leaves the box to who types in it. */
async function show(address, { push = true, focus = false, scroll = true, typed = false } = {}) {
  if (running) running.abort();
  const mine = new AbortController();
  running = mine;
  busy.hidden = false;
  part.setAttribute("aria-busy", "true");
  announce(words["results.loading"]);
  try {
    const reply = await fetch(address, { headers: { [PART]: "results", Accept: "text/html" }, signal: mine.signal });
    if (reply.redirected) {
      window.location.assign(reply.url);
      return;
    }
    const html = await reply.text();
    if (mine.signal.aborted) return;
    if (push) window.history.pushState({}, "", address);
    shown = here();
    swap(html, { focus, scroll, typed });
  } catch (err) {
    if (err.name === "AbortError") return;
    failed(() => show(address, { push, focus, scroll, typed }));
  } finally {
    if (running === mine) {
      running = null;
      busy.hidden = true;
      part.removeAttribute("aria-busy");
    }
  }
}

function swap(html, { focus, scroll, typed }) {
  const selector = selectorOf(document.activeElement);
  const folds = openFolds();
  const drawerScroll = part.querySelector(".filters-body")?.scrollTop ?? 0;
  part.innerHTML = html;
  for (const name of folds) part.querySelector(`details[data-fold="${name}"]`)?.setAttribute("open", "");
  const body = part.querySelector(".filters-body");
  if (body) body.scrollTop = drawerScroll;
  readBack(typed);
  const again = selector && part.querySelector(selector);
  if (again) again.focus({ preventScroll: true });
  else if (focus) document.getElementById("results")?.focus({ preventScroll: true });
  if (scroll && window.scrollY > 0) window.scrollTo({ top: 0 });
  wireDrawer(part);
}

/** The search box follows what the part says is shown (after back, "similar" and removed chips). */
function readBack(typed) {
  const shown = part.querySelector(".layout").dataset;
  document.title = shown.title;
  if (!typed || document.activeElement !== form.elements.q) form.elements.q.value = shown.q;
  for (const name of ["picture", "like"]) {
    const field = form.querySelector(`input[name="${name}"]`);
    field.value = shown[name];
    field.disabled = !shown[name];
  }
  showChips(shown);
  keepLanguages();
  announce(shown.announce);
}

/** The language links lead to what is shown now. */
function keepLanguages() {
  for (const link of document.querySelectorAll(".languages a")) {
    const address = new URL(window.location.href);
    address.searchParams.set("lang", link.hreflang);
    link.href = address.pathname + address.search;
  }
}

function showChips(shown) {
  const chips = form.querySelector(".chips");
  chips.replaceChildren();
  if (shown.picture) chips.append(chip("picture", `/pictures/${shown.picture}`, words["picture.preview"], "", words["picture.remove"]));
  if (shown.like) chips.append(chip("like", shown.likeImage, "", `${shown.likeLabel} ${shown.likeTitle}`, shown.likeRemove));
}

function chip(name, image, alt, text, remove) {
  const made = document.createElement("span");
  made.className = "chip";
  made.dataset.chip = name;
  if (image) {
    const picture = Object.assign(document.createElement("img"), { src: image, alt, width: 32, height: 32, referrerPolicy: "no-referrer" });
    made.append(picture);
  }
  if (text) made.append(Object.assign(document.createElement("span"), { className: "chip-text", textContent: text }));
  const close = Object.assign(document.createElement("a"), { className: "chip-close", href: addressWithout(name) });
  close.dataset.live = "";
  close.setAttribute("aria-label", remove);
  close.innerHTML = '<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-close"/></svg>';
  made.append(close);
  return made;
}

function addressWithout(name) {
  const address = new URL(window.location.href);
  address.searchParams.delete(name);
  address.searchParams.delete("lang");
  return address.pathname + address.search;
}

function failed(again) {
  const note = document.createElement("div");
  note.className = "empty";
  note.setAttribute("role", "alert");
  note.append(Object.assign(document.createElement("h2"), { textContent: words["error.title"] }));
  note.append(Object.assign(document.createElement("p"), { textContent: words["error.offline"] }));
  const button = Object.assign(document.createElement("button"), { className: "button", type: "button", textContent: words["error.retry"] });
  button.addEventListener("click", () => { note.remove(); again(); });
  note.append(button);
  const results = document.getElementById("results");
  results.querySelector(".empty")?.remove();
  results.prepend(note);
  button.focus();
}

async function more(asked) {
  const button = asked.querySelector("button");
  button.disabled = true;
  busy.hidden = false;
  try {
    const body = new URLSearchParams(new FormData(asked));
    const reply = await fetch(asked.action, { method: "POST", body, headers: { [PART]: "cards", Accept: "text/html" } });
    if (!reply.ok) {
      await show(formAddress(), { push: false });  // the cursor has expired: the list starts again
      return;
    }
    const grid = document.getElementById("grid");
    const before = grid.querySelectorAll(".card").length;
    asked.closest("[data-more]").remove();
    grid.insertAdjacentHTML("beforeend", await reply.text());
    const cards = grid.querySelectorAll(".card");
    cards[before]?.querySelector(".title a")?.focus({ preventScroll: true });
    announce(words["results.more_added"].replace("{count}", String(cards.length - before)));
  } catch {
    button.disabled = false;
    failed(() => more(asked));
  } finally {
    busy.hidden = true;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  closeDrawer();
  show(formAddress(), { typed: true });
});

document.addEventListener("change", (event) => {
  if (event.target.form === form && event.target.name && event.target.name !== "q") {
    show(formAddress(), { scroll: !document.documentElement.classList.contains("drawer") });
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-live]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  show(link.getAttribute("href"), { focus: true });
});

document.addEventListener("submit", (event) => {
  if (!event.target.closest("[data-more]")) return;
  event.preventDefault();
  more(event.target);
});

const here = () => window.location.pathname + window.location.search;
let shown = here();

/** A jump within the page (the skip link) is a popstate too: only another address has other results. */
window.addEventListener("popstate", () => {
  if (here() !== shown) show(here(), { push: false, scroll: false });
});

onPicture(async (file) => {
  announce(words["picture.searching"]);
  busy.hidden = false;
  const body = new FormData();
  body.append("picture", file);
  try {
    const reply = await fetch("/pictures", { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await reply.json();
    if (!reply.ok) {
      refused(said);
      return;
    }
    const field = form.querySelector('input[name="picture"]');
    field.value = said.picture;
    field.disabled = false;
    const like = form.querySelector('input[name="like"]');
    like.disabled = true;
    await show(formAddress(), { focus: true });
  } catch {
    failed(() => document.getElementById("choose-picture").click());
  } finally {
    busy.hidden = true;
  }
});

/** A picture that the shop cannot use: say why, where the shopper looks. */
function refused(problem) {
  const results = document.getElementById("results");
  results.querySelector("[data-refused]")?.remove();
  const note = Object.assign(document.createElement("p"), { className: "note", textContent: `${problem.detail} ${problem.remedy ?? ""}` });
  note.dataset.refused = "";
  note.setAttribute("role", "alert");
  results.prepend(note);
}

wireDrawer(part);

// What moves on a page: its parts as they change, the slider, forms without a reload, the palette.
// Without it every page works by links and forms.

const body = document.body;
const base = body.dataset.base;
const PAGES = { o: "", b: "board", a: "agents", m: "mail", l: "leases", j: "jobs", e: "events", d: "graph", s: "sync" };
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Parts: each is replaced as a whole, except for what a person is doing in it.

const shown = new Map(); // name of a part -> its HTML as it came
const waiting = new Map(); // the same, of parts in which somebody is typing

function busy(part) {
  const active = document.activeElement;
  const field = part.contains(active) && active.matches("input:not([type=range]), textarea, select");
  return field || $$("textarea, input[type=text], input:not([type])", part).some((one) => one.value !== one.defaultValue)
    || (part.contains($("input[type=range]:active")));
}

function show(name, html, flash = true) {
  const part = document.getElementById(`part-${name}`);
  if (!part || shown.get(name) === html) return;
  if (busy(part)) { waiting.set(name, html); return; }
  waiting.delete(name);
  shown.set(name, html);
  const keys = new Set($$("[data-key]", part).map((one) => one.dataset.key));
  const open = $$("details[open]", part).map(place);
  const focused = part.contains(document.activeElement) ? path(document.activeElement, part) : null;
  part.innerHTML = html;
  for (const one of $$("details", part)) if (open.includes(place(one))) one.open = true;
  if (focused) $(focused, part)?.focus({ preventScroll: true });
  if (flash && keys.size) for (const one of $$("[data-key]", part)) if (!keys.has(one.dataset.key)) one.classList.add("fresh");
  begin(part);
}

// Where an element is, so that the same one is found again in the new part.
function place(one) {
  const row = one.closest("[data-key]");
  const root = row ?? one.closest("[data-part]");
  return `${row?.dataset.key ?? ""}/${$$("details", root).indexOf(one)}`;
}
function path(one, part) {
  const row = one.closest("[data-key]");
  if (!row || !part.contains(row)) return null;
  const same = $$(one.tagName, row);
  return `[data-key="${CSS.escape(row.dataset.key)}"] ${one.tagName.toLowerCase()}` + (same.length > 1 && one.value ? `[value="${CSS.escape(one.value)}"]` : "");
}

function settle() { for (const [name, html] of waiting) show(name, html); }
document.addEventListener("focusout", () => setTimeout(settle, 50));

// Server-sent events. The browser connects again by itself, and says the last id.

let source = null;
let late = 0;
function live(state) {
  const sign = $("#live");
  sign.dataset.state = state;
  sign.textContent = { on: "live", off: "reconnecting…", past: "past", still: "" }[state];
}

function follow() {
  source?.close();
  clearTimeout(late);
  source = null;
  if (!body.dataset.stream) { live("past"); return; }
  const url = new URL(body.dataset.stream, location.href);
  url.searchParams.set("after", body.dataset.cursor);
  source = new EventSource(url);
  late = setTimeout(follow, 10000); // an answer that does not begin is asked for again
  source.addEventListener("hello", () => { clearTimeout(late); live("on"); });
  source.addEventListener("part", (event) => {
    const { part, html } = JSON.parse(event.data);
    show(part, html);
  });
  source.onerror = () => {
    live("off");
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}
addEventListener("pagehide", () => { clearTimeout(late); source?.close(); });
addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

// Time: the slider moves the whole page.

let moving = null;
async function travel(at, push = true) {
  const url = new URL(location.href);
  if (at) url.searchParams.set("at", at); else url.searchParams.delete("at");
  url.searchParams.delete("note");
  moving?.abort();
  const mine = (moving = new AbortController());
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" }, signal: mine.signal });
    if (!answer.ok) throw new Error(answer.status === 404 ? "It was not there yet." : answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    adopt(page, url, push);
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message, "bad");
  } finally {
    if (moving === mine) moving = null;
  }
}

function adopt(page, url, push) {
  const slider = document.activeElement?.matches(".timeline input[type=range]");
  for (const name of ["stream", "cursor", "at"]) body.dataset[name] = page.body.dataset[name] ?? "";
  for (const part of $$("[data-part]", page)) show(part.dataset.part, part.innerHTML, false);
  for (const selector of ["p.past", "nav", "footer"]) {
    const [from, to] = [$(selector, page), $(selector)];
    if (from && to) to.replaceWith(from);
    else if (from) $("#main").before(from);
    else to?.remove();
  }
  history[push ? "pushState" : "replaceState"](null, "", url);
  if (slider) $(".timeline input[type=range]")?.focus({ preventScroll: true });
  follow();
}
addEventListener("popstate", () => travel(new URL(location.href).searchParams.get("at"), false));

function begin(root) {
  const slider = $(".timeline input[type=range]", root);
  if (slider) {
    slider.disabled = false;
    const form = slider.form;
    const { begin: from, end, steps, now } = form.dataset;
    const moment = () => {
      const ms = +from + ((+end - +from) * +slider.value) / +steps;
      return slider.value === steps && +end >= +now ? "" : new Date(Math.round(ms)).toISOString();
    };
    let timer = 0;
    slider.oninput = () => {
      const at = moment();
      $("output", form).textContent = at ? stamp(at) : "now";
      clearTimeout(timer);
      timer = setTimeout(() => travel(at, false), 60);
    };
    slider.onchange = () => { clearTimeout(timer); travel(moment(), true); };
  }
  for (const one of $$("[data-output]", root)) output(one);
  ages(root);
}

const stamp = (at) => `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;

function ages(root = document) {
  if (body.dataset.at) return;
  for (const one of $$("time[datetime]", root)) {
    const s = Math.max(0, (Date.now() - Date.parse(one.dateTime)) / 1000);
    if (Number.isNaN(s)) continue;
    const [unit, size] = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]].find(([, size]) => s >= size) ?? ["s", 1];
    one.textContent = `${Math.floor(s / size)} ${unit} ago`;
  }
}
setInterval(() => { if (!document.hidden) ages(); }, 10000);

// The output of a job that runs.

const outputs = new Map();
function output(pre) {
  const url = pre.dataset.output;
  const old = outputs.get(url);
  if (old) { pre.textContent = old.text; return; }
  const state = { text: "" };
  outputs.set(url, state);
  const events = new EventSource(url);
  events.addEventListener("output", (event) => {
    state.text = (state.text + event.data).slice(-200000);
    const now = $(`[data-output="${CSS.escape(url)}"]`);
    if (!now) return;
    const bottom = now.scrollTop + now.clientHeight >= now.scrollHeight - 8;
    now.textContent = state.text;
    if (bottom) now.scrollTop = now.scrollHeight;
  });
  events.addEventListener("over", () => events.close());
}

// Forms: sent without leaving the page.

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || !form.action.includes("/do/")) return;
  event.preventDefault();
  const data = new URLSearchParams(new FormData(form, event.submitter));
  const buttons = $$("button", form);
  for (const one of buttons) one.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { accept: "application/json" } });
    const said = answer.headers.get("content-type")?.includes("json") ? await answer.json() : { ok: false, text: await answer.text() };
    toast(said.text, said.ok ? "good" : "bad");
    if (said.ok) {
      form.reset();
      form.closest("details")?.removeAttribute("open");
      document.activeElement?.blur();
    }
  } catch (error) {
    toast("The server cannot be reached.", "bad");
  } finally {
    for (const one of buttons) one.disabled = false;
    settle();
  }
});

function toast(text, kind) {
  const one = document.createElement("p");
  one.className = `toast ${kind}`;
  one.textContent = text;
  $("#toasts").append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 10000 : 4000);
}

// The palette.

const palette = $("#palette"), input = $("#palette-input"), list = $("#palette-list");
let choices = [], chosen = 0, asking = 0;
const link = (to) => {
  const at = body.dataset.at;
  return `${base}/${to}${at ? `?at=${encodeURIComponent(at)}` : ""}`;
};
const fixed = () => [
  ...$$("nav a").map((one) => ({ title: one.firstChild.textContent.trim(), hint: "page", go: () => { location.href = one.href; } })),
  ...$$("datalist#known option, .worker .name b").map((one) => one.value ?? one.textContent).filter((name, n, all) => all.indexOf(name) === n)
    .map((name) => ({ title: name, hint: "agent", go: () => { location.href = link("agents"); } })),
  { title: "Dark or light", hint: "t", go: theme },
  { title: "The keys", hint: "?", go: () => $("#keys").showModal() },
  { title: "Back to now", hint: "n", go: () => travel("") },
];

function draw() {
  list.replaceChildren(...choices.map((one, n) => {
    const row = document.createElement("li");
    row.role = "option";
    row.id = `choice-${n}`;
    row.setAttribute("aria-selected", n === chosen);
    const title = document.createElement("span"), hint = document.createElement("span");
    [title.textContent, hint.textContent, hint.className] = [one.title, one.hint, "facts"];
    row.append(title, hint);
    row.onclick = () => pick(n);
    return row;
  }));
  input.setAttribute("aria-activedescendant", choices.length ? `choice-${chosen}` : "");
  list.children[chosen]?.scrollIntoView({ block: "nearest" });
}

async function search() {
  const text = input.value.trim(), mine = ++asking;
  const words = text.toLowerCase().split(/\s+/);
  choices = fixed().filter((one) => words.every((word) => one.title.toLowerCase().includes(word)));
  if (/^(\d+[smhd]|\d{4}-\d\d.*)$/.test(text)) choices.unshift({ title: `The shop at ${text}`, hint: "moment", go: () => travel(text) });
  chosen = 0;
  draw();
  if (text.length < 2) return;
  const answer = await fetch(`${base}/-/find?q=${encodeURIComponent(text)}`);
  if (mine !== asking || !answer.ok) return;
  const items = (await answer.json()).map((one) => ({ title: one.title, hint: `${one.id} ${one.status}`, go: () => { location.href = link(`item/${one.work_id}`); } }));
  choices = [...items, ...choices];
  draw();
}

function pick(n) {
  palette.close();
  choices[n]?.go();
}

function openPalette() {
  input.value = "";
  palette.showModal();
  search();
}
input.addEventListener("input", search);
input.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && choices.length) { chosen = (chosen + step + choices.length) % choices.length; draw(); event.preventDefault(); }
  if (event.key === "Enter") { event.preventDefault(); pick(chosen); }
});
for (const dialog of $$("dialog")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// Keys and theme.

function theme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax`;
}

let before = "";
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select") || $("dialog[open]")) return;
  const { prev, next } = $(".timeline")?.dataset ?? {};
  if (before === "g" && event.key in PAGES) location.href = link(PAGES[event.key]);
  else if (event.key === "?") $("#keys").showModal();
  else if (event.key === "t") theme();
  else if (event.key === "n") travel("");
  else if (event.key === "[" && prev) travel(prev);
  else if (event.key === "]" && next) travel(next);
  else if (event.key === "/") {
    event.preventDefault();
    const field = $(".filter input[type=search]");
    if (field) field.focus(); else location.href = link("events");
  }
  before = event.key === "g" && before !== "g" ? "g" : "";
});

$("#palette-open").hidden = false;
$("#palette-open").onclick = openPalette;
$("#theme").hidden = false;
$("#theme").onclick = theme;
const url = new URL(location.href);
if (url.searchParams.has("note")) { url.searchParams.delete("note"); history.replaceState(null, "", url); }
for (const part of $$("[data-part]")) shown.set(part.dataset.part, part.innerHTML);
begin(document);
follow();

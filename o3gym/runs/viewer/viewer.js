"use strict";

const CHUNK = 60; // rows added to the list at a time, because a run may have thousands
const COLUMNS = ["arm", "group", "sample", "agent", "family", "policy", "verdict", "stop", "turns", "reward", "question", "line"];
const FILTERS = ["arm", "verdict", "family", "stop", "policy"];
const NO_FAMILY = "no family";
const MARKS = { correct: "✓", wrong: "✗", failed: "?", unjudged: "·" };

const $ = (id) => document.getElementById(id);
const json = (id) => JSON.parse($(id).textContent);

/** Creates an element. Strings become text nodes, never markup, because much of the content was written by a model. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const rows = json("index").map((values) => Object.fromEntries(COLUMNS.map((name, i) => [name, values[i]])));
for (const row of rows) row.href = [row.arm, row.group, row.sample].concat(row.agent === "main" ? [] : row.agent).map(encodeURIComponent).join("/");

const several = rows.some((row) => row.arm !== rows[0].arm);

const episodes = {
  lines: null,
  read(row) {
    this.lines ||= $("episodes").textContent.split("\n");
    return JSON.parse(this.lines[row.line]);
  },
};

/* ---- state: all of it is in the URL, so that every view of the page can be linked to ---- */

const state = { filters: {}, open: null, matches: [], shown: 0 };

/** Parses "#arm/group/sample?verdict=wrong&q=word"; either part may be missing. */
function parseHash() {
  let [path, query] = location.hash.slice(1).split("?");
  if (query === undefined && path.includes("=")) [path, query] = ["", path];
  return { path, filters: Object.fromEntries(new URLSearchParams(query || "")) };
}

function address(path, filters = state.filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
  return "#" + path + (query ? (path ? "?" : "") + query : "");
}

function haystack(row) {
  if (row.haystack === undefined) {
    const words = [row.group, row.arm];
    const collect = (value) => {
      if (typeof value === "string") words.push(value);
      else if (value && typeof value === "object") Object.values(value).forEach(collect);
    };
    collect(episodes.read(row));
    row.haystack = words.join("\n").toLowerCase();
  }
  return row.haystack;
}

function matches(row) {
  const words = (state.filters.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const same = FILTERS.every((name) => !state.filters[name] || String(row[name]) === state.filters[name]);
  return same && (words.length === 0 || words.every((word) => haystack(row).includes(word)));
}

/* ---- the list ---- */

function listRow(row) {
  const open = row === state.open;
  const ended = ["answered", "located"].includes(row.stop) ? "" : row.stop;
  const facts = [several && row.arm, row.sample ? `sample ${row.sample}` : "", ended, `${row.turns} turn${row.turns === 1 ? "" : "s"}`, row.group];
  return h("li", {},
    h("a", { href: address(row.href), "aria-current": open && "true", class: "row" },
      h("span", { class: `mark ${row.verdict}`, role: "img", "aria-label": row.verdict }, MARKS[row.verdict]),
      h("span", { class: "question" }, row.question || row.group),
      h("span", { class: "facts" }, facts.filter(Boolean).join(" · "))));
}

function extendList(upTo) {
  const end = Math.min(state.matches.length, Math.max(upTo, state.shown));
  $("list").querySelector(".more")?.remove();
  $("list").append(...state.matches.slice(state.shown, end).map(listRow));
  state.shown = end;
  if (end < state.matches.length) {
    const more = h("button", { type: "button" }, `Show more of ${state.matches.length}`);
    more.addEventListener("click", () => extendList(state.shown + CHUNK));
    const item = h("li", { class: "more" }, more);
    $("list").append(item);
    nearEnd.disconnect();
    nearEnd.observe(item);
  }
}

const nearEnd = new IntersectionObserver((seen) => {
  if (seen.some((entry) => entry.isIntersecting) && $("list").scrollTop > 0) extendList(state.shown + CHUNK);
}, { root: $("list") });

function fillList() {
  state.matches = rows.filter(matches);
  state.shown = 0;
  $("list").replaceChildren();
  extendList(CHUNK);
  $("list").scrollTop = 0;
  $("count").textContent = state.matches.length === rows.length ? `${rows.length} episodes` : `${state.matches.length} of ${rows.length} episodes`;
  $("clear").hidden = !Object.values(state.filters).some(Boolean);
  if (!state.matches.length) $("list").append(h("li", { class: "note" }, "No episode matches."));
}

function markOpen() {
  const at = state.matches.indexOf(state.open);
  if (at >= state.shown) extendList(at + CHUNK);
  for (const link of $("list").querySelectorAll("[aria-current]")) link.removeAttribute("aria-current");
  const link = $("list").children[at]?.firstChild;
  link?.setAttribute("aria-current", "true");
  link?.scrollIntoView({ block: "nearest" });
}

/* ---- the summary ---- */

/** A table that becomes cards on a phone; each cell carries its heading for that. */
function table([head, ...body], decorate) {
  return h("table", {},
    h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, body.map((cells, at) => h("tr", {}, cells.map((text, i) =>
      i === 0 ? h("th", { scope: "row" }, text) : h("td", { "data-name": head[i] }, text, decorate && decorate(head[i], at)))))));
}

function interval([value, low, high]) {
  if (value === null) return null;
  const bar = h("span", { class: "interval", "aria-hidden": "true" }, h("i"), h("b"));
  bar.firstChild.style.left = `${low * 100}%`;
  bar.firstChild.style.right = `${100 - high * 100}%`;
  bar.lastChild.style.left = `${value * 100}%`;
  return bar;
}

function showSummary() {
  const summary = json("summary");
  $("warnings").append(...summary.warnings.map((text) => h("li", {}, text)));
  $("arms").append(table(summary.arms, (name, at) => name.startsWith("accuracy") && interval(summary.rates[at])));
  $("conduct").append(table(summary.conduct));
  $("families").append(table(summary.families));
  $("stops").append(table(summary.stops));
  $("protocol").append(...summary.protocol.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))));
}

/* ---- navigation ---- */

/** Switches between the summary and the list on a phone; a wide screen shows both. */
function showTab(list) {
  document.body.classList.toggle("listing", list);
  $("to-list").setAttribute("aria-pressed", String(list));
  $("to-summary").setAttribute("aria-pressed", String(!list));
}

function go(path) {
  location.hash = address(path);
}

function step(by) {
  const at = state.matches.indexOf(state.open);
  const next = state.matches[at < 0 ? 0 : at + by];
  if (next) go(next.href);
}

function refresh(first) {
  const { path, filters } = parseHash();
  if (first || JSON.stringify(filters) !== JSON.stringify(state.filters)) {
    state.filters = filters;
    for (const name of [...FILTERS, "q"]) $("filters").elements[name].value = filters[name] || "";
    fillList();
  }
  if (path || Object.keys(filters).length) showTab(true);
  const named = (row) => row.href === path || decodeURIComponent(row.href) === path; // a hand-written link may be unencoded
  state.open = path ? rows.find(named) || null : null;
  document.body.classList.toggle("reading", state.open !== null);
  $("overview").hidden = state.open !== null;
  $("episode").hidden = state.open === null;
  markOpen();
  if (state.open) {
    showEpisode($("episode"), state.open, episodes.read(state.open));
    $("main").scrollTop = 0;
    scrollTo(0, 0);
  } else $("episode").replaceChildren();
}

function filterNow() {
  const form = new FormData($("filters"));
  const filters = Object.fromEntries([...form].filter(([, value]) => value));
  location.replace(address(state.open ? state.open.href : "", filters) || "#");
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || "");
  if (event.key === "Escape") typing ? event.target.blur() : go("");
  if (typing) return;
  const actions = { j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1), "/": () => $("q").focus(), t: () => $("episode").querySelector("[name=targets]")?.click() };
  if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
}

function start() {
  for (const name of FILTERS) {
    const values = [...new Set(rows.map((row) => String(row[name])))].sort();
    const select = $("filters").elements[name];
    select.append(h("option", { value: "" }, "all"), ...values.map((value) => h("option", { value }, value)));
    select.closest("label").hidden = values.length < 2;
  }
  let waiting = 0;
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("change", filterNow);
  $("q").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filterNow, 150); });
  $("clear").addEventListener("click", (event) => { event.preventDefault(); location.replace(address(state.open ? state.open.href : "", {})); });
  $("home").addEventListener("click", (event) => { event.preventDefault(); go(""); });
  $("to-summary").addEventListener("click", () => showTab(false));
  $("to-list").addEventListener("click", () => showTab(true));
  addEventListener("hashchange", () => refresh(false));
  addEventListener("keydown", onKey);
  showSummary();
  showTab(false);
  refresh(true);
}

addEventListener("DOMContentLoaded", start);

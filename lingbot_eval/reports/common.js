"use strict";
// What the pages share: a table of tasks, and below it a list of episodes. Everything from the JSON in #data becomes
// text nodes; nothing is ever parsed as markup. What is chosen stands in the address after "#", so that a view can be
// kept and sent. A page's own script, which follows, has: taskColumns, episodeColumns, KINDS, rank, words, detail,
// drawHeader.

const PAGE_ROWS = 50;
const SIGN = {success: "✓ success", failure: "✗ failure", error: "! error", "": "· not played"};
const $ = id => document.getElementById(id);

let data = JSON.parse($("data").textContent);
const chosen = Object.assign(
  {suite: "", task: "", q: "", find: "", outcome: "", by: "", down: "", page: "1", open: ""},
  Object.fromEntries(new URLSearchParams(location.hash.slice(1))));

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(child => child != null));
  return node;
}

const number = (value, digits) => value == null ? "–" : value.toFixed(digits);
/** One digit, a tie to the even one, as Python's: 1 of 16 is 6.2 % in every table. */
const tenths = value => (Number.isInteger(4 * value) && !Number.isInteger(2 * value) ? 2 * Math.round(5 * value) / 10 : value).toFixed(1);
const percent = value => value == null ? "–" : tenths(100 * value);
const severalSuites = () => new Set(data.tasks.map(line => line.suite)).size > 1;
const definitions = facts => el("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** A name that may be broken after its underscores. */
const breakable = name => name.split(/(?<=_)/).flatMap((part, place) => place ? [el("wbr", {}), part] : [part]);

// --- tasks ---

function taskButton(line) {
  const pressed = chosen.suite === line.suite && chosen.task === line.task;
  return el("button", {type: "button", class: "choose", "aria-pressed": String(pressed), onclick: () => {
    choose({suite: line.suite, task: line.task, page: "1", open: ""});
    $("episodes-title").focus({preventScroll: true});
    $("episodes-title").scrollIntoView();
  }}, ...breakable(line.task || (severalSuites() ? "all tasks" : `${line.suite}, all tasks`)));
}

/** A piece of a drawing, from ``left`` over ``width``, both fractions of it. */
function piece(kind, left, width) {
  const node = el("i", {class: kind});
  node.style.left = `${100 * left}%`;
  if (width != null) node.style.width = `${100 * width}%`;
  return node;
}

const whisker = (low, high) => [piece("interval", low, high - low), piece("end", low), piece("end", high)];

function cell(column, content, tag = "td") {
  const kinds = ["text", "wide", "extra", "suite", "plot"].filter(kind => column[kind]);
  return el(tag, {class: kinds.join(" ") || null}, ...[content].flat());
}

function heading(column, content) {
  const head = cell(column, content, "th");
  head.setAttribute("scope", "col");
  return head;
}

function sortHeading(column) {
  const mine = chosen.by === column.name;
  const head = heading(column, el("button", {type: "button", onclick: () =>
    choose({by: column.name, down: mine && !chosen.down ? "1" : ""})}, column.name));
  if (mine) head.setAttribute("aria-sort", chosen.down ? "descending" : "ascending");
  if (column.plot) head.append(el("span", {class: "axis", "aria-hidden": "true"}, ...column.axis().map(mark => el("span", {}, mark))));
  return head;
}

function compare(one, other) {
  if (one == null || other == null) return (one == null) - (other == null);
  if (Array.isArray(one)) return compare(one[0], other[0]);
  return typeof one === "number" ? one - other : String(one).localeCompare(String(other));
}

function drawTasks() {
  const columns = taskColumns();
  const sought = chosen.q.toLowerCase();
  const lines = data.tasks.filter(line => line.task && `${line.suite} ${line.task}`.toLowerCase().includes(sought));
  const by = columns.find(column => column.name === chosen.by);
  if (by) lines.sort((one, other) => (chosen.down ? -1 : 1) * compare(one[by.key], other[by.key]));
  const row = line => el("tr", {class: line.suite === chosen.suite && line.task === chosen.task ? "chosen" : null},
    ...columns.map(column => cell(column, column.show(line))));
  $("tasks").tHead.replaceChildren(el("tr", {}, ...columns.map(sortHeading)));
  $("tasks").tBodies[0].replaceChildren(...data.tasks.filter(line => !line.task).map(row));
  $("tasks").tBodies[1].replaceChildren(...lines.map(row));
  $("no-tasks").hidden = lines.length > 0;
}

// --- episodes ---

function episodeButton(episode) {
  const open = chosen.open === episode.id;
  const name = episode.seed + (episode.state == null ? "" : `, state ${episode.state}`);
  return el("button", {type: "button", class: "choose", "aria-expanded": String(open), "data-id": episode.id,
    onclick: () => { choose({open: open ? "" : episode.id}); focusOn(episode.id); }}, name);
}

function focusOn(id) {
  for (const button of $("episodes").querySelectorAll("button[data-id]")) {
    if (button.dataset.id !== id) continue;
    button.focus({preventScroll: true});
    button.scrollIntoView({block: "nearest"});
    button.closest("tr").nextElementSibling?.scrollIntoView({block: "nearest"});
  }
}

const taskName = episode => breakable(severalSuites() ? `${episode.suite}: ${episode.task}` : episode.task);

function outcome(episode) {
  return el("span", {class: episode.outcome || "unplayed"}, SIGN[episode.outcome || ""]);
}

function listed() {
  const sought = chosen.find.toLowerCase();
  const [, , fits] = KINDS.find(([kind]) => kind === chosen.outcome) || KINDS[0];
  return data.episodes.filter(episode =>
    (!chosen.suite || episode.suite === chosen.suite) && (!chosen.task || episode.task === chosen.task) &&
    fits(episode) && (!sought || words(episode).toLowerCase().includes(sought)),
  ).sort((one, other) => rank(one) - rank(other));  // stable: in planned order within a rank
}

/** What came of an episode, by name. */
function findings(episode) {
  const scored = Boolean(episode.steps || episode.operator || episode.reason);  // by a person, who counts no commands
  const times = count => count === 1 ? "once" : `${count} times`;
  return [
    ["Error", episode.error],
    ["Failed by", episode.reason],
    ["Commands", episode.outcome && !scored && String(episode.commands || 0)],
    ["Progress", episode.max_progress && `${episode.progress || 0} of ${episode.max_progress}`],
    ["Steps", episode.steps],
    ["A hand helped", episode.interventions && times(episode.interventions)],
    ["Tried again", episode.retries && times(episode.retries)],
    ["Note", episode.note],
    ["Scored by", episode.operator],
    ["Corrected by", episode.correction],
    ["Wall time", episode.outcome && `${number(episode.seconds || 0, 1)} s`],
    ["Spent", episode.model != null && `${number(episode.model, 1)} s in the model, ${number(episode.simulator, 1)} s in the simulator, ${number(episode.waiting, 1)} s waiting`],
    ["Out of bounds", episode.out_of_bounds && `${episode.out_of_bounds} commands`],
    ["Not planned", episode.plan_failures && `${episode.plan_failures} commands for which no path was found`],
    ["Imagined", episode.latent_mse != null && `latent MSE ${number(episode.latent_mse, 3)}` + (episode.psnr == null ? "" : `, PSNR ${number(episode.psnr, 1)} dB`)],
    ["Attempt", episode.outcome && String(episode.attempt || 1)],
    ["Before", episode.before && episode.before.join("\n")],
    ["Finished", episode.finished && `${episode.finished} on ${episode.host || "?"}`],
    ["Attached", episode.files && episode.files.join("\n")],
  ];
}

function film(episode) {
  return episode.video ? el("video", {src: episode.video, controls: true, loop: true, muted: true, preload: "metadata", playsinline: true,
    "aria-label": `Video of ${episode.id}` + (episode.latent_mse == null ? "" : "; what the agent imagined is below what it saw")}) : null;
}

function drawEpisodes() {
  const columns = episodeColumns();
  const found = listed();
  const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
  const page = Math.min(Math.max(1, parseInt(chosen.page, 10) || 1), pages);
  const start = PAGE_ROWS * (page - 1);
  const shown = found.slice(start, start + PAGE_ROWS);
  $("episodes-title").textContent = "Episodes" + (chosen.suite ? ` of ${[chosen.suite, chosen.task].filter(Boolean).join(", ")}` : "");
  $("all").hidden = !chosen.suite;
  $("episodes").tHead.replaceChildren(el("tr", {}, ...columns.map(column => heading(column, column.name))));
  $("episodes").tBodies[0].replaceChildren(...shown.flatMap(episode => {
    const open = episode.id === chosen.open;
    const row = el("tr", {class: open ? "open" : null}, ...columns.map(column => cell(column, column.show(episode))));
    return open ? [row, el("tr", {class: "detail"}, el("td", {colspan: columns.length}, ...detail(episode)))] : [row];
  }));
  $("no-episodes").hidden = found.length > 0;
  $("page").textContent = found.length ? `${start + 1}–${start + shown.length} of ${found.length}` : "";
  $("previous").disabled = page === 1;
  $("next").disabled = page === pages;
}

// --- what is chosen ---

function choose(changes) {
  Object.assign(chosen, changes);
  const kept = Object.entries(chosen).filter(([name, value]) => value && !(name === "page" && value === "1"));
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  if (["q", "by", "down", "suite", "task"].some(name => name in changes)) drawTasks();
  drawEpisodes();
}

function turn(pages) {
  const button = pages < 0 ? $("previous") : $("next");
  if (!button.disabled) choose({page: String((parseInt(chosen.page, 10) || 1) + pages), open: ""});
}

function walk(by) {
  const ids = [...$("episodes").querySelectorAll("button[data-id]")].map(button => button.dataset.id);
  const here = ids.indexOf(chosen.open);
  const next = here < 0 ? (by > 0 ? 0 : ids.length - 1) : here + by;
  if (ids[next] !== undefined) { choose({open: ids[next]}); focusOn(ids[next]); }
}

/** All videos of the open episode from their beginning, together. */
function playTogether() {
  for (const video of document.querySelectorAll(".detail video")) { video.currentTime = 0; video.play(); }
}

const KEYS = {
  "/": () => $("q").focus(), j: () => walk(1), k: () => walk(-1), n: () => turn(1), p: () => turn(-1), v: playTogether,
  Escape: () => { const was = chosen.open; choose({open: ""}); focusOn(was); },
};

/** Draws the page and listens. */
function begin() {
  document.addEventListener("keydown", event => {
    const typing = event.target.matches("input, select") && event.key !== "Escape";
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  for (const name of ["q", "find"]) {
    $(name).value = chosen[name];
    $(name).addEventListener("input", () => choose({[name]: $(name).value, ...(name === "find" && {page: "1", open: ""})}));
  }
  $("outcome").append(...KINDS.map(([kind, name]) => el("option", {value: kind, selected: kind === chosen.outcome}, name)));
  $("outcome").addEventListener("change", () => choose({outcome: $("outcome").value, page: "1", open: ""}));
  $("all").addEventListener("click", () => choose({suite: "", task: "", page: "1", open: ""}));
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  drawHeader();
  drawTasks();
  drawEpisodes();
}

// What the pages share: a table of tasks, and below it a list of episodes. Everything from the JSON in #data becomes
// text nodes; nothing is ever parsed as markup. What is chosen stands in the address after "#", so that a view can be
// kept and sent. A page's own script, which follows, has: taskColumns, episodeColumns, RANKS, KINDS, WRITER, rank, words,
// detail, prepared, drawHeader.

const PAGE_ROWS = 50;
const PART = 2000;  // episodes in a part, as parts.py has them
const KEPT = 60;  // parts; the 50 rows of a page may be in as many
const AHEAD = 4;  // parts that are asked for at once while words are sought
const SIGN = {success: "✓ success", failure: "✗ failure", error: "! error", "": "· not played"};

let data = JSON.parse($("data").textContent);
const chosen = Object.assign(
  {suite: "", task: "", q: "", find: "", outcome: "", by: "", down: "", page: "1", open: ""},
  Object.fromEntries(new URLSearchParams(location.hash.slice(1))));

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
  }}, ...breakable(line.task || (severalSuites() ? "all tasks" : `${line.suite}, all tasks`)), line.unseen ? "\u00a0†" : "");
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
    onclick: () => { wanted = episode.id; choose({open: open ? "" : episode.id}); }}, name);
}

let wanted = "";  // the episode that is to have the focus, and be in sight, as soon as it is drawn

const buttonOf = id => [...$("episodes").querySelectorAll("button[data-id]")].find(button => button.dataset.id === id);

function focusOnWanted() {
  const button = wanted && buttonOf(wanted);
  wanted = "";
  if (!button) return;
  button.focus({preventScroll: true});
  button.scrollIntoView({block: "nearest"});
  button.closest("tr").nextElementSibling?.scrollIntoView({block: "nearest"});
}

const taskName = episode => breakable(severalSuites() ? `${episode.suite}: ${episode.task}` : episode.task);

function outcome(episode) {
  return el("span", {class: episode.outcome || "unplayed"}, SIGN[episode.outcome || ""]);
}

// --- where they are: few in the page itself, as part 0; many in files beside it, loaded when they are looked at ---

const parts = new Map();
const asked = new Set();
const failed = new Set();  // did not come; asked for again when something else is chosen, or the server has answered
let missing = "";  // what is wrong with the last part that did not come
const served = location.protocol.startsWith("http");

function fill() {
  parts.clear();
  asked.clear();
  failed.clear();
  missing = "";
  if (data.parts) return;
  const groups = new Map(data.groups.map((group, number) => [`${group.suite}\n${group.task}`, number]));
  const order = episode => rank(episode) * groups.size + groups.get(`${episode.suite}\n${episode.task}`);
  const ordered = data.episodes.map(prepared).map(episode => [order(episode), episode]).sort(([one], [other]) => one - other);
  parts.set(0, ordered.map(([, episode]) => episode));
}

const partOf = position => data.parts ? Math.floor(position / PART) : 0;

/** The episode at a place of the listing; undefined where its part is not loaded yet. */
const at = position => parts.get(partOf(position))?.[data.parts ? position % PART : position];

function load(number) {
  if (asked.has(number) || failed.has(number) || parts.has(number)) return;
  asked.add(number);
  const [src, version] = [`${data.parts}${number}.js`, data.version];
  document.head.append(el("script", {src, onload: event => event.target.remove(), onerror: event => {
    event.target.remove();
    if (version === data.version) lost(number, served ? `${src} did not come from lingbot-eval view; it is asked for again.` :
      `${src} is not beside this page. If it was copied, copy its folder whole, not the file alone; if it was written anew since, open it again; else ${WRITER} writes it whole.`);
  }}));
}

function lost(number, why) {
  asked.delete(number);
  failed.add(number);
  missing = why;
  drawEpisodes();
}

function askAgain() {
  if (!failed.size) return;
  failed.clear();
  drawEpisodes();
}

/** What the file of a part calls. */
function part(version, number, lines) {
  if (version === data.version) {
    asked.delete(number);
    failed.delete(number);
    missing = "";
    parts.set(number, lines.map(prepared));
    if (parts.size > KEPT) parts.delete(parts.keys().next().value);
    drawEpisodes();
  } else if (asked.has(number)) lost(number, served ? "The run has gone on; what belongs to it now is asked for." : `The parts beside this page are another one's: ${WRITER} writes it whole.`);
}

/** Which places of the listing belong to what is chosen: [first, one behind the last], ... */
function stretches() {
  const [, , ranks] = KINDS.find(([kind]) => kind === chosen.outcome) || KINDS[0];
  const found = [];
  let end = 0;
  RANKS.forEach((name, rank) => {
    for (const {suite, task, counts} of data.groups) {
      const start = end;
      end += counts[rank];
      if (end === start || !ranks.includes(name) || (chosen.suite && suite !== chosen.suite) || (chosen.task && task !== chosen.task)) continue;
      if (found.length && found.at(-1)[1] === start) found.at(-1)[1] = end;
      else found.push([start, end]);
    }
  });
  return found;
}

/** Places in the listing of what is chosen, from the ``start``-th of them. */
function* places(start) {
  for (const [first, end] of stretches()) {
    for (let place = first + start; place < end; place++) yield place;
    start = Math.max(0, start - (end - first));
  }
}

const search = {key: "", version: "", looked: 0, hits: [], before: null, over: true};

/** What was found: before the run went on, until all of it has been looked at again. */
const found = () => search.over ? search.hits : search.before || search.hits;

/** Look at what was not looked at yet, as far as it is loaded, and ask for more. */
function seek() {
  const [key, version] = [[chosen.find, chosen.suite, chosen.task, chosen.outcome].join("\n"), data.version];
  if (search.key !== key) Object.assign(search, {key, version, looked: 0, hits: [], before: null, over: false});
  else if (search.version !== version) Object.assign(search, {version, before: found(), looked: 0, hits: [], over: false});
  if (search.over) return;
  const sought = chosen.find.toLowerCase();
  const unread = new Set();
  for (const place of places(search.looked)) {
    const episode = unread.size ? undefined : at(place);
    if (!episode) unread.add(partOf(place));
    if (unread.size === AHEAD) break;
    if (!episode) continue;
    search.looked++;
    if (words(episode).toLowerCase().includes(sought)) search.hits.push(episode);
  }
  search.over = unread.size === 0;
  unread.forEach(load);
}

/** [episodes of a page, undefined for those that are not loaded yet; where it begins; how many there are in all] */
function listed() {
  if (chosen.find) seek();
  const count = chosen.find ? found().length : stretches().reduce((sum, [start, end]) => sum + end - start, 0);
  const pages = Math.max(1, Math.ceil(count / PAGE_ROWS));
  const start = PAGE_ROWS * (Math.min(Math.max(1, parseInt(chosen.page, 10) || 1), pages) - 1);
  if (chosen.find) return [found().slice(start, start + PAGE_ROWS), start, count];
  const shown = [];
  for (const place of places(start)) {
    if (shown.length === PAGE_ROWS) break;
    shown.push(at(place));
    if (!shown.at(-1)) load(partOf(place));
  }
  return [shown, start, count];
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

let drawn = [];
let place = "";  // what was chosen, and the page of it, when it was last drawn

function drawEpisodes() {
  const columns = episodeColumns();
  const [shown, start, count] = listed();
  const waits = shown.includes(undefined);
  $("episodes-title").textContent = "Episodes" + (chosen.suite ? ` of ${[chosen.suite, chosen.task].filter(Boolean).join(", ")}` : "");
  $("all").hidden = !chosen.suite;
  const busy = waits || (Boolean(chosen.find) && !search.over);
  $("episodes").setAttribute("aria-busy", String(busy));
  $("page").textContent = progress(shown.length, start, count, waits);
  $("previous").disabled = start === 0;
  $("next").disabled = start + PAGE_ROWS >= count;
  $("no-episodes").hidden = count > 0 || busy;
  $("no-parts").textContent = busy ? missing : "";
  const here = [chosen.suite, chosen.task, chosen.outcome, chosen.find, start].join("\n");
  if (waits && here !== place) {  // what is drawn is no part of what the heading says now
    $("episodes").tBodies[0].replaceChildren();
    drawn = [];
  }
  place = here;
  if (waits) return;
  const rows = [chosen.open, columns.length, ...shown];
  if (rows.length === drawn.length && rows.every((one, place) => one === drawn[place])) return focusOnWanted();  // they stay
  drawn = rows;
  const focused = document.activeElement?.dataset.id;
  $("episodes").tHead.replaceChildren(el("tr", {}, ...columns.map(column => heading(column, column.name))));
  $("episodes").tBodies[0].replaceChildren(...shown.flatMap(episode => {
    const open = episode.id === chosen.open;
    const row = el("tr", {class: open ? "open" : null}, ...columns.map(column => cell(column, column.show(episode))));
    return open ? [row, el("tr", {class: "detail"}, el("td", {colspan: columns.length}, ...detail(episode)))] : [row];
  }));
  if (focused) buttonOf(focused)?.focus({preventScroll: true});
  focusOnWanted();
}

function progress(shown, start, count, waits) {
  const range = count ? `${start + 1}–${start + shown} of ${count}` : "";
  if (waits) return `${range}, loading …`;
  return chosen.find && !search.over ? `${range || "none"} so far, searching …` : range;
}

// --- what is chosen ---

function choose(changes) {
  Object.assign(chosen, changes);
  failed.clear();
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
  if (ids[next] === undefined) return;
  wanted = ids[next];
  choose({open: wanted});
}

/** All videos of the open episode from their beginning, together. */
function playTogether() {
  for (const video of document.querySelectorAll(".detail video")) { video.currentTime = 0; video.play(); }
}

const KEYS = {
  "/": () => $("q").focus(), j: () => walk(1), k: () => walk(-1), n: () => turn(1), p: () => turn(-1), v: playTogether,
  Escape: () => { wanted = chosen.open; choose({open: ""}); },
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
  fill();
  drawHeader();
  drawTasks();
  drawEpisodes();
}

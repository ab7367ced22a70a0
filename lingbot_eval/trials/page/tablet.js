"use strict";
// Shows what the server says of the session and sends taps. Texts become text nodes; nothing is parsed as markup.
// A tap is never sent twice: what was recorded is asked for instead.

const ASK_MS = 1000;
const ANSWER_MS = 5000;
const TICK_MS = 200;
const token = location.hash.slice(1);

let version = "", view = null;
let zero = 0; // on Date.now(): when the trial's clock was at 0
let sending = false, taps = 0;

const button = (id, kind, words, act, attributes = {}) =>
  el("button", {type: "button", id, class: kind, onclick: act, ...attributes}, words);

const points = value => String(Math.round(1000 * value) / 1000);

// --- the server ---

async function ask(path, body) {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  const post = body ? {method: "POST", body: JSON.stringify(body)} : {};
  const answer = await fetch(path, {...post, headers, signal: AbortSignal.timeout(ANSWER_MS)});
  return {ok: answer.ok, ...(answer.status === 204 ? {said: "", view: null} : await answer.json())};
}

async function poll() {
  const before = taps;
  const answer = await ask(`state?after=${encodeURIComponent(version)}`).catch(() => null);
  lost(!answer ? "No answer from the server; asking again. Nothing is recorded until it answers." : answer.ok ? "" : answer.said);
  setTimeout(poll, ASK_MS);
  if (answer && before === taps) show(answer); // what was tapped meanwhile has a newer answer of its own
}

async function tap(order, seen = version) {
  if (sending) return;
  sending = true;
  taps += 1;
  const answer = await ask("tap", {version: seen, order}).catch(() => null);
  sending = false;
  if (!answer) return lost("No answer from the server. What it shows when it is back is what is recorded.");
  show(answer);
  tell(answer.said, !answer.ok);
}

function lost(words) {
  $("lost").hidden = !words;
  $("lost").textContent = words;
  $("trial").inert = $("before").inert = Boolean(words);
}

function tell(words, refused) {
  $("said").textContent = words;
  $("said").className = refused ? "refused" : "";
}

// --- the trial at hand ---

function show(answer) {
  if (!answer.view) return;
  ({version, view} = answer);
  zero = Date.now() - 1000 * view.seconds;
  const focused = document.activeElement?.id;
  $("trial").replaceChildren(...(view.number ? trial() : over()));
  $("before").hidden = !view.records.length;
  $("before").querySelector("summary").textContent = `${view.records.length} recorded: look, or correct`;
  $("records").replaceChildren(...[...view.records].reverse().map(recorded));
  if (focused && !$("sheet").open) $(focused)?.focus({preventScroll: true});
  tick();
}

function trial() {
  const where = `Trial ${view.number} of ${view.trials} · set-up ${view.setup} · ${view.method ? `method ${view.method}` : "method hidden"}`;
  const head = [
    el("p", {id: "where", class: "faint"}, where),
    el("h1", {}, view.title),
    el("p", {}, "Say: ", el("strong", {}, view.instruction)),
    el("p", {class: "faint"}, `Success: ${view.success}`),
  ];
  const say = (kind, more = {}) => () => tap({kind, number: view.number, ...more});
  const voided = button("void", "void", "Void…", askVoid);
  if (!view.started) {
    return [...head,
      el("p", {}, `Put the objects on the marks of set-up ${view.setup} and make ${view.method || "the policy"} ready.`),
      button("start", "go big", "Start the clock", say("start")),
      el("div", {class: "row"}, voided)];
  }
  const allowed = view.allowed_retries == null ? "" : ` of ${view.allowed_retries}`;
  return [...head,
    el("p", {id: "clock", role: "timer"}),
    el("p", {id: "points", class: "faint"}, pointsSoFar()),
    el("ol", {class: "steps"}, ...view.steps.map(step)),
    el("div", {class: "row"},
      button("undo", "", view.undo ? `Undo ${view.undo}` : "Undo", say("undo"), {disabled: !view.undo}),
      button("retry", "", `Retry (${view.retries}${allowed})`, say("retry")),
      button("intervention", "", `Intervention (${view.interventions})`, say("intervention")),
      button("note", "", view.notes.length ? `Note… (${view.notes.length})` : "Note…", askNote)),
    el("div", {class: "row ends"},
      button("success", "success", "Success…", askSuccess),
      button("failure", "failure", "Failure…", askFailure),
      voided)];
}

function pointsSoFar() {
  if (!view.steps.length) return "No steps are known for this task, so it has no progress score.";
  const [given, most] = ["given", "points"].map(name => view.steps.reduce((sum, line) => sum + line[name], 0));
  return `${points(given)} of ${points(most)} points`;
}

function step(line, place) {
  const number = place + 1;
  const full = line.given === line.points;
  const reach = given => () => tap({kind: "step", number: view.number, step: number, points: [given]});
  return el("li", {},
    el("button", {type: "button", id: `step-${number}`, class: full ? "full given" : "full", disabled: full, onclick: reach(line.points)},
      el("span", {class: "number"}, String(number)),
      el("span", {class: "name"}, line.name),
      el("span", {}, `${full ? "✓ " : ""}${points(line.given)}/${points(line.points)}`)),
    view.half_points ? el("button", {type: "button", id: `half-${number}`, "aria-label": `half of step ${number}`,
      class: line.given === line.points / 2 ? "half given" : "half", disabled: line.given > 0, onclick: reach(line.points / 2)}, "½") : null);
}

function over() {
  return [el("h1", {}, `All ${view.trials} trials are done`),
    el("p", {}, "In a terminal, lingbot-eval trial SESSION --table shows the scores. A trial that is corrected to void comes again.")];
}

function tick() {
  const clock = $("clock");
  if (!clock) return;
  const seconds = Math.max(0, (Date.now() - zero) / 1000);
  const late = view.limit != null && seconds > view.limit;
  clock.textContent = `${Math.floor(seconds)} s` + (view.limit == null ? "" : ` of ${view.limit} s`) + (late ? ": too late for a success" : "");
  clock.className = late ? "over" : "";
}

// --- what is asked before something is recorded; each question remembers the version that it was asked on ---

function sheet(title, ...children) {
  const back = button("back", "", "Back", () => $("sheet").close());
  $("sheet").replaceChildren(el("h2", {id: "sheet-title"}, title), ...children, el("div", {class: "row"}, back));
  $("sheet").showModal();
}

function sender(order) {
  const [seen, number] = [version, view.number];
  return () => {
    $("sheet").close();
    tap({number, ...order()}, seen);
  };
}

function askSuccess() {
  const missing = view.steps.filter(line => !line.given).length;
  sheet(`Trial ${view.number}: success?`,
    missing ? el("p", {}, `${missing} of ${view.steps.length} steps have no points yet; with a success they count as reached.`) : null,
    button("yes", "success big", "Yes, success", sender(() => ({kind: "success"}))));
}

function askFailure() {
  const reasons = view.reasons.map((text, place) =>
    button(`reason-${place}`, "", text, sender(() => ({kind: "failure", text}))));
  sheet(`Trial ${view.number}: failure, because of`, el("div", {class: "row"}, ...reasons));
}

function askText(title, label, kind, words) {
  const field = el("textarea", {id: "text", maxlength: 1000});
  sheet(title, el("label", {}, label, field),
    button("yes", "go big", words, sender(() => ({kind, text: field.value}))));
  field.focus();
}

const askVoid = () => askText(`Trial ${view.number}: void`,
  "What went wrong that is not the method's doing? The trial is not counted, and comes again.", "void", "Void this trial");
const askNote = () => askText(`Note on trial ${view.number}`, view.notes.join("; ") || "Kept with the trial.", "note", "Keep the note");

// --- what is recorded, and its correction ---

function recorded(line) {
  const score = line.steps.length ? `${points(line.steps.reduce((sum, s) => sum + s.given, 0))}/${points(line.steps.reduce((sum, s) => sum + s.points, 0))}` : "";
  return el("button", {type: "button", id: `record-${line.number}`, onclick: () => askCorrection(line)},
    el("span", {class: "number"}, String(line.number)),
    el("span", {class: "words"}, `${line.title}, set-up ${line.setup}${line.method ? `, ${line.method}` : ""}`),
    el("span", {class: `word-${line.outcome}`}, line.outcome + (line.reason ? `: ${line.reason}` : "")),
    el("span", {}, score + (line.corrected ? " (corrected)" : "")));
}

function choice(id, values, chosen) {
  const options = values.map(([value, words]) => el("option", {value, selected: value === chosen}, words));
  return el("select", {id}, ...options);
}

function askCorrection(line) {
  const outcome = choice("outcome", ["success", "failure", "void"].map(name => [name, name]), line.outcome);
  const reason = choice("reason", [["", "choose"], ...view.reasons.map(text => [text, text])], line.reason);
  const reasonLabel = el("label", {}, "Reason of the failure", reason);
  const given = line.steps.map((s, place) =>
    choice(`points-${place + 1}`, (line.half_points ? [0, s.points / 2, s.points] : [0, s.points]).map(value => [String(value), points(value)]), String(s.given)));
  const why = el("textarea", {id: "why", maxlength: 1000});
  const who = el("input", {id: "who", maxlength: 1000, value: view.operator});
  const fit = () => { reasonLabel.hidden = outcome.value !== "failure"; };
  outcome.addEventListener("change", fit);
  fit();
  sheet(`Correct trial ${line.number}`,
    el("p", {class: "faint"}, "The first record stays in the file; this one counts from now on."),
    el("label", {}, "Outcome", outcome), reasonLabel,
    ...line.steps.map((s, place) => el("label", {}, `${place + 1} ${s.name}`, given[place])),
    el("label", {}, "Why", why), el("label", {}, "Who", who),
    button("yes", "go big", "Correct it", sender(() => ({
      kind: "correct", number: line.number, outcome: outcome.value, reason: outcome.value === "failure" ? reason.value : "",
      points: given.map(field => Number(field.value)), text: why.value, who: who.value,
    }))));
}

setInterval(tick, TICK_MS);
poll();

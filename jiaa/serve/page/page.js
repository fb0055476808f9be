// The rating page: asks, sends one rating at a time, shows what it changed.
"use strict";

const find = (id) => document.getElementById(id);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
let state = null;
let busy = false;

function image(kind, row, alt) {
  const shown = document.createElement("img");
  shown.src = `/${kind}/${row}`;
  shown.alt = alt;
  return shown;
}

function text(tag, kind, content) {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = content;
  return made;
}

function showStars([low, high]) {
  if (find("stars").children.length) return;
  for (let stars = low; stars <= high; stars++) {
    const button = text("button", "", stars);
    button.type = "button";
    button.setAttribute("aria-label", `${plural(stars, "star")} of ${high}`);
    button.setAttribute("aria-keyshortcuts", stars);
    button.addEventListener("click", () => rate(stars));
    find("stars").append(button);
  }
}

function showQuestion(question) {
  find("asking").hidden = !question;
  find("done").hidden = Boolean(question);
  if (!question) return;
  if (find("photo").dataset.row !== String(question.image)) {
    find("photo").dataset.row = question.image;
    find("photo").src = `/photo/${question.image}`;
    find("photo").alt = `The photograph to rate: ${question.name}`;
  }
  find("name").textContent = question.name;
  const share = (100 * question.share).toFixed(1);
  const why = question.designed ? "Why this one: your" : "Your";
  find("why").textContent =
    `${why} answer would settle ${share}\u00a0% of what is still open about ` +
    `your taste. Now I expect ${question.score.toFixed(1)} stars. It tells most about:`;
  find("like").replaceChildren(
    ...question.like.map((row) => image("thumb", row, "a photograph like it")));
}

function movement(one) {
  if (!one.up) return "–";
  return one.up > 0 ? `▲ ${one.up}` : `▼ ${-one.up}`;
}

function rankingRow(one, index, kept) {
  const item = document.createElement("li");
  if (one.up > 0) item.className = "up";
  const score = text("div", "score", one.score.toFixed(2));
  const spoken = text("small", "", movement(one));
  spoken.setAttribute("aria-label", one.up
    ? `${one.up > 0 ? "up" : "down"} ${plural(Math.abs(one.up), "place")}` : "as before");
  score.append(spoken);
  const name = text("div", "name", one.name);
  name.title = one.name;
  if (one.stars !== null) name.append(text("small", "", `you: ${one.stars}`));
  const picture = kept.get(String(one.image)) || image("thumb", one.image, "");
  picture.dataset.row = one.image;
  item.append(text("div", "place", index + 1), picture, name, score);
  return item;
}

function show(next) {
  state = next;
  showStars(state.scale);
  showQuestion(state.question);
  const skipped = state.skipped ? `, ${state.skipped} skipped` : "";
  find("progress").textContent =
    `${state.rated} of ${plural(state.photos, "photograph")} rated${skipped}`;
  find("moved").textContent = state.rated
    ? `The last change moved ${plural(state.moved, "photograph")} ` +
      `(learned in ${Math.round(state.milliseconds)} ms).`
    : "Before your first rating this is what people in general like.";
  const pictures = find("ranking").querySelectorAll("img");
  const kept = new Map([...pictures].map((one) => [one.dataset.row, one]));
  find("ranking").replaceChildren(
    ...state.ranking.map((one, index) => rankingRow(one, index, kept)));
  for (const id of ["undo", "undo-last"]) find(id).disabled = !state.can_undo;
}

function fail(message) {
  find("error").textContent = message;
  find("error").hidden = false;
}

async function call(path, body) {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(path, body === undefined ? {} : {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    find("error").hidden = true;
    show(found);
  } catch (error) {
    const lost = error instanceof TypeError;
    fail(lost ? "jiaa is not running any more; start `jiaa rate` again." : error.message);
  } finally {
    busy = false;
  }
}

function rate(stars) {
  if (state && state.question) call("/api/rate", { image: state.question.image, stars });
}

function skip() {
  if (state && state.question) call("/api/skip", { image: state.question.image });
}

function undo() {
  if (state && state.can_undo) call("/api/undo", {});
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !state) return;
  const stars = Number(event.key);
  const [low, high] = state.scale;
  if (event.key.trim() && stars >= low && stars <= high) rate(stars);
  else if (event.key === "s" || event.key === "ArrowRight") skip();
  else if (event.key === "u" || event.key === "Backspace") undo();
  else return;
  event.preventDefault();
});
find("skip").addEventListener("click", skip);
find("undo").addEventListener("click", undo);
find("undo-last").addEventListener("click", undo);
call("/api/state");

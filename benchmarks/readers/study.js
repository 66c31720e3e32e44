// The course of a study: start, one case after the other, and the end. Nothing is sent anywhere.
const byId = (id) => document.getElementById(id);
const study = JSON.parse(byId("study").textContent);
const received = {};
function receiveCase(id, text) { received[id] = text; }

const record = new Record(study);
const tiles = [...document.querySelectorAll(".tile")];
const pictures = new Pictures(tiles.map((tile) => tile.querySelector("canvas")), showView);
const rankings = Object.fromEntries(study.questions.map((question) =>
  [question.key, new Ranking(question, study.images, announce, answersChanged)]));
const counted = study.trials.filter((trial) => !trial.practice);
let current = null;

function announce(sentence) { byId("status").textContent = sentence; }
const asked = () => rankings[document.querySelector("input[name=asked]:checked").value];

// ---- The volumes of a case: in the page, or in a file beside it.
async function textOf({ id, data_sha256 }) {
  const inside = byId(`data-${id}`);
  const text = inside ? inside.textContent : await fileOf(id);
  if (crypto.subtle) { // which browsers have on disks and on secure servers
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const hash = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hash !== data_sha256) throw new Error(`The images of screen ${id} are not those that this page was made with.`);
  }
  return text;
}

function fileOf(id) {
  const script = Object.assign(document.createElement("script"), { src: `cases/${id}.js` });
  return new Promise((resolve, reject) => {
    script.addEventListener("load", () => {
      const text = received[id];
      delete received[id];
      script.remove();
      resolve(text);
    });
    script.addEventListener("error", () => reject(new Error(`The file cases/${id}.js is missing beside this page.`)));
    document.head.append(script);
  });
}

// ---- The course.
function showOnly(id) {
  for (const section of ["start", "case", "end"]) byId(section).hidden = section !== id;
  byId("unkept").hidden = record.isKept;
  window.scrollTo(0, 0);
  byId(`${id}-heading`).focus();
}

async function goOn() {
  current = record.next ?? null;
  if (!current) return showOnly("end");
  const trial = record.trial(current.id), number = counted.indexOf(current) + 1;
  byId("case-heading").textContent = current.practice ? "Practice case" : `Case ${number} of ${counted.length}`;
  byId("practice").hidden = !current.practice;
  byId("progress").hidden = current.practice;
  byId("progress").value = number - 1;
  for (const [key, ranking] of Object.entries(rankings)) ranking.load(trial.ranks[key]);
  byId("comment").value = trial.comment;
  byId("missing").textContent = "";
  showOnly("case");
  describe();
  document.documentElement.dataset.study = "loading";
  try {
    await pictures.show(JSON.parse(await textOf(current)), study.windows[0]);
  } catch (error) {
    byId("missing").textContent = error.message;
    return;
  }
  record.clock = performance.now();
  document.documentElement.dataset.study = "ready";
}

function answersChanged() {
  if (!current) return;
  const trial = record.trial(current.id);
  for (const [key, ranking] of Object.entries(rankings)) trial.ranks[key] = [...ranking.ranks];
  trial.comment = byId("comment").value;
  byId("missing").textContent = "";
  record.save();
  describe();
}

// What a screen reader says of a tile.
function describe() {
  tiles.forEach((tile, image) => {
    const ranks = Object.values(rankings).map(({ question, ranks }) => `${question.title}: ${ranks[image] ? `rank ${ranks[image]}` : "no rank"}`);
    tile.setAttribute("aria-label", `Image ${letterOf(image)}. ${ranks.join(". ")}.`);
  });
}

function finishCase() {
  if (document.documentElement.dataset.study !== "ready") return;
  const all = Object.values(rankings);
  const missing = all.flatMap(({ question, missing }) => (missing.length ? [`${question.title}: ${missing.join(", ")}`] : []));
  if (missing.length) {
    byId("missing").textContent = `Without a rank so far: ${missing.join("; ")}.`;
    return;
  }
  const ties = all.flatMap(({ question, ties }) => ties.map((tie) => `${question.title}: ${tie}.`));
  if (!ties.length) return closeCase(false);
  byId("ties-list").replaceChildren(...ties.map((tie) => Object.assign(document.createElement("li"), { textContent: tie })));
  byId("ties").showModal();
}

function closeCase(ties) {
  record.tick(current.id, pictures.view);
  Object.assign(record.trial(current.id), { done: true, ties });
  record.save();
  document.documentElement.dataset.study = "closed";
  goOn();
}

function exportAnswers() {
  if (current && pictures.view && document.documentElement.dataset.study === "ready") record.tick(current.id, pictures.view);
  const blob = new Blob([JSON.stringify(record.toFile(), null, 1) + "\n"], { type: "application/json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `answers-${study.reader}.json` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  announce(`The answers were written to answers-${study.reader}.json.`);
}

async function importAnswers(event) {
  const [file] = event.target.files;
  if (!file) return;
  const wrong = record.fromFile(await file.text());
  event.target.value = "";
  byId("file-error").textContent = wrong;
  if (wrong) return;
  announce("The answers of the file were read.");
  goOn();
}

// ---- View: controls, keys and pointer.
const presets = [...document.querySelectorAll("button[data-centre]")], planes = [...document.querySelectorAll("button[data-plane]")];
const slider = byId("slice"), centre = byId("centre"), width = byId("width"), zoom = byId("zoom");

function changeView(part) {
  if (document.documentElement.dataset.study !== "ready") return;
  record.tick(current.id, pictures.view);
  pictures.change(part);
}

function showView() {
  const { view } = pictures, text = `slice ${pictures.slice + 1} of ${pictures.depth}`;
  slider.max = pictures.depth - 1;
  slider.value = pictures.slice;
  slider.setAttribute("aria-valuetext", text);
  byId("slice-text").textContent = text;
  if (document.activeElement !== centre) centre.value = view.centre;
  if (document.activeElement !== width) width.value = view.width;
  zoom.value = view.zoom;
  byId("zoom-text").textContent = `${Math.round(100 * view.zoom)} %`;
  for (const button of planes) button.setAttribute("aria-pressed", String(button.dataset.plane === view.plane));
  for (const button of presets) {
    const same = Number(button.dataset.centre) === view.centre && Number(button.dataset.width) === view.width;
    button.setAttribute("aria-pressed", String(same));
  }
}

const SCROLL = { ArrowUp: -1, ArrowDown: 1, PageUp: -5, PageDown: 5 };
const PAN = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };
const PLANE_KEYS = { a: "axial", c: "coronal", s: "sagittal" };

// The keys of a focused tile; returns whether the key was one of them.
function tileKey(image, event) {
  const { key } = event, { view } = pictures, ranking = asked();
  if (event.ctrlKey || event.metaKey || event.altKey || document.documentElement.dataset.study !== "ready") return false;
  if (event.shiftKey && key in PAN) {
    const [axis, by] = PAN[key];
    changeView({ [axis]: view[axis] + (0.1 * by) / view.zoom });
  } else if (/^[1-9]$/.test(key) && Number(key) <= study.images) ranking.set(image, Number(key));
  else if (["0", "Delete", "Backspace"].includes(key)) ranking.set(image, null);
  else if (key === "ArrowLeft" || key === "ArrowRight") ranking.move(image, key === "ArrowRight" ? 1 : -1);
  else if (key in SCROLL) pictures.goTo(pictures.slice + SCROLL[key]);
  else if (key === "+" || key === "-") changeView({ zoom: view.zoom * (key === "+" ? 1.25 : 0.8) });
  else if (key.toLowerCase() in PLANE_KEYS) changeView({ plane: PLANE_KEYS[key.toLowerCase()] });
  else if (key.toLowerCase() === "q") askNext();
  else return false;
  if (key in SCROLL || key.toLowerCase() in PLANE_KEYS) announce(`${view.plane}, ${byId("slice-text").textContent}`);
  return true;
}

function askNext() {
  const inputs = [...document.querySelectorAll("input[name=asked]")], at = inputs.findIndex((input) => input.checked);
  const next = inputs[(at + 1) % inputs.length];
  next.checked = true;
  announce(`The keys now rank by: ${rankings[next.value].question.title}.`);
}

// With the mouse: drag for the window, with Shift to move an enlarged picture; the wheel for slices, with Ctrl to zoom.
function viewByPointer(canvas) {
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || !pictures.view) return; // a finger scrolls the page
    start = { x: event.clientX, y: event.clientY, view: { ...pictures.view } };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const right = event.clientX - start.x, down = event.clientY - start.y, { view } = start;
    if (event.shiftKey) {
      const side = canvas.clientWidth * view.zoom;
      changeView({ x: view.x - right / side, y: view.y - down / side });
    } else if (right || down) {
      const step = view.width / 200;
      changeView({ centre: Math.round(view.centre + step * down), width: Math.max(1, Math.round(view.width + step * right)) });
    }
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { start = null; });
  canvas.addEventListener("wheel", (event) => {
    if (!pictures.view) return;
    event.preventDefault();
    if (event.ctrlKey) changeView({ zoom: pictures.view.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15) });
    else pictures.goTo(pictures.slice + Math.sign(event.deltaY));
  }, { passive: false });
}

function listen() {
  tiles.forEach((tile, image) => {
    tile.addEventListener("keydown", (event) => { if (event.target === tile && tileKey(image, event)) event.preventDefault(); });
    draggable(tile.querySelector(".name"), image);
    viewByPointer(tile.querySelector("canvas"));
  });
  dropped = (key, image, rank) => rankings[key].set(image, rank);
  slider.addEventListener("input", () => pictures.goTo(Number(slider.value)));
  zoom.addEventListener("input", () => changeView({ zoom: Number(zoom.value) }));
  byId("fit").addEventListener("click", () => changeView({ zoom: 1, x: 0.5, y: 0.5 }));
  for (const button of planes) button.addEventListener("click", () => changeView({ plane: button.dataset.plane }));
  for (const button of presets) {
    button.addEventListener("click", () => changeView({ centre: Number(button.dataset.centre), width: Number(button.dataset.width) }));
  }
  for (const input of [centre, width]) {
    input.addEventListener("input", () => {
      if (centre.value !== "" && Number(width.value) > 0) changeView({ centre: Number(centre.value), width: Number(width.value) });
    });
    input.addEventListener("blur", () => { if (pictures.view) showView(); });
  }
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("comment").addEventListener("input", answersChanged);
  byId("next").addEventListener("click", finishCase);
  byId("ties").addEventListener("close", () => {
    if (byId("ties").returnValue === "keep") closeCase(true);
    byId("ties").returnValue = "";
  });
  byId("begin").addEventListener("click", goOn);
  for (const button of document.querySelectorAll(".export")) button.addEventListener("click", exportAnswers);
  byId("import").addEventListener("change", importAnswers);
  window.addEventListener("resize", () => { if (pictures.view) pictures.draw(); });
  const tick = () => { if (document.documentElement.dataset.study === "ready") record.tick(current.id, pictures.view); };
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 5000);
}

if ("DecompressionStream" in window) {
  listen();
  byId("begin").textContent = record.isBegun ? "Go on" : "Begin with the practice case";
  byId("unkept").hidden = record.isKept;
  byId("start").hidden = false;
  document.documentElement.dataset.page = "ready";
} else byId("old-browser").hidden = false;

// What a reader has answered: kept in the browser, written to a file, and read from one.
class Record {
  constructor(study) {
    this.study = study;
    this.name = `reader-study-${study.page_sha256}`;
    this.isKept = true;
    this.content = this.stored() ?? { started: new Date().toISOString(), trials: {} };
  }

  stored() {
    try {
      return JSON.parse(localStorage.getItem(this.name));
    } catch {
      this.isKept = false;
      return null;
    }
  }

  save() {
    try {
      localStorage.setItem(this.name, JSON.stringify(this.content));
    } catch {
      this.isKept = false;
    }
  }

  // The answers of a screen; empty ones where it was not begun.
  trial(id) {
    const empty = () => Array(this.study.images).fill(null);
    const ranks = () => Object.fromEntries(this.study.questions.map(({ key }) => [key, empty()]));
    return (this.content.trials[id] ??= { ranks: ranks(), comment: "", ties: false, milliseconds: 0, windows: {}, done: false });
  }

  get next() { return this.study.trials.find(({ id }) => !this.content.trials[id]?.done); }
  get isBegun() { return Object.keys(this.content.trials).length > 0; }

  // The time since the last call counts for a screen and its window, unless the page was hidden.
  tick(id, view) {
    const now = performance.now(), spent = this.wasHidden ? 0 : Math.round(now - (this.clock ?? now));
    this.clock = now;
    this.wasHidden = document.hidden;
    const trial = this.trial(id), window = `${view.centre}/${view.width}`;
    trial.milliseconds += spent;
    trial.windows[window] = (trial.windows[window] ?? 0) + spent;
    this.save();
  }

  toFile() {
    const { page_sha256, key_sha256, reader, seed, trials } = this.study;
    const answers = trials.filter(({ id }) => this.content.trials[id]).map(({ id }) => ({ id, ...this.trial(id) }));
    const head = { format: "reader-answers", version: 1, page_sha256, key_sha256, reader, seed };
    const times = { started: this.content.started, exported: new Date().toISOString() };
    const order = trials.map(({ id }) => id);
    return { ...head, ...times, finished: !this.next, order, crc32: crc32(this.signed(answers)), trials: answers };
  }

  // The text whose checksum tells whether answers were damaged or changed; answers.py makes the same.
  signed(answers) {
    const rankings = (ranks) => this.study.questions.map(({ key }) => `${key}=${ranks[key].map((rank) => rank ?? "").join(",")}`);
    const lines = answers.map(({ id, done, ranks, comment }) => [id, done, ...rankings(ranks), comment].join("|"));
    return [this.study.page_sha256, ...lines].join("\n");
  }

  // Take the answers of a file; returns what is wrong with it, or "".
  fromFile(text) {
    let file;
    try {
      file = JSON.parse(text);
      if (file.format !== "reader-answers") return "This file holds no answers of a reader study.";
      if (file.page_sha256 !== this.study.page_sha256) return "This file belongs to another page.";
      if (file.crc32 !== crc32(this.signed(file.trials))) return "This file is damaged, or was changed.";
    } catch {
      return "This file holds no answers of a reader study.";
    }
    const trials = Object.fromEntries(file.trials.map(({ id, ...trial }) => [id, trial]));
    this.content = { started: file.started, trials };
    this.save();
    return "";
  }
}

function crc32(text) {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

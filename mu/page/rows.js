// The diagram of the work: a row for each worker, or for each task, thousands if need be; who was at what, who waited for whom.

class RowsPlot extends Plot {
  constructor(model) {
    super("rows", Math.max(1, model.end), Math.max(1, model.end / 5000));
    this.model = model;
    this.left = 86;
    this.mode = "task";
    this.first = 0; // the rows that are in view: first, and how many
    this.many = Infinity;
    this.lane = 0;
    for (const button of this.root.querySelectorAll("[data-mode]")) {
      button.onclick = () => {
        this.mode = button.dataset.mode;
        for (const other of this.root.querySelectorAll("[data-mode]")) other.ariaPressed = String(other === button);
        [this.first, this.many, this.chosen] = [0, Infinity, null];
        this.leave();
      };
    }
    for (const button of this.root.querySelectorAll("[data-rows]")) {
      button.onclick = () => this.zoomRows(Number(button.dataset.rows), this.first + this.shown / 2);
    }
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.shiftKey) return;
      event.preventDefault();
      this.zoomRows(Math.exp(-(event.deltaY || event.deltaX) / 200), this.rowAt(event.offsetY));
    }, { passive: false });
    this.show(0, this.total);
  }

  /** More facts have come. */
  grow() {
    const whole = this.to - this.from >= this.total;
    this.total = Math.max(1, this.model.end);
    this.least = Math.max(1, this.total / 5000);
    if (whole) this.show(0, this.total);
    else this.redraw();
  }

  height() { return clamp(this.all.length * 22 + 44, 150, 560); }
  get all() { return this.mode === "task" ? this.model.inOrder : [...this.model.workers.values()]; }
  get shown() { return Math.min(this.many, Math.max(1, this.all.length - this.first)); }
  rowAt(y) { return this.first + (y - 8) / (this.canvas.clientHeight - 38) * this.shown; }

  zoomRows(factor, around) {
    const all = this.all.length, many = factor ? clamp(Math.round(this.shown / factor), Math.min(4, all), all) : all;
    const share = (around - this.first) / this.shown;
    this.many = many;
    this.first = clamp(Math.round(around - share * many), 0, all - many);
    this.redraw();
  }

  paint(pen, height) {
    const bottom = height - 30, rows = this.all;
    this.inks = new Map([...this.model.stages, "starting", "running"].map((stage, index) => [stage, ink(stage, index)]));
    pen.textAlign = "center";
    for (const ms of ticks(this.from, this.to, Math.max(2, this.inner / 90))) {
      const x = this.x(ms), label = this.seconds(ms);
      pen.fillStyle = colour("grid");
      pen.fillRect(Math.round(x), 8, 1, bottom - 8);
      if (x + pen.measureText(label).width / 2 > this.width) continue;
      pen.fillStyle = colour("soft");
      pen.fillText(label, x, bottom + 14);
    }
    const many = this.shown, high = (bottom - 10) / many;
    pen.textAlign = "right";
    for (const index of ticks(this.first, this.first + many - 1, Math.min(14, Math.max(2, bottom / 30)), 1)) {
      if (!rows[index]) continue;
      pen.fillStyle = colour("soft");
      pen.fillText(this.label(rows[index]), this.left - 10, clamp(8 + (index - this.first + 0.5) * high, 12, bottom - 6), this.left - 14);
    }
    pen.save();
    pen.beginPath();
    pen.rect(this.left, 6, this.inner, bottom - 6);
    pen.clip();
    this.rows = [];
    const step = Math.max(1, Math.floor(0.75 / high)); // of rows thinner than a pixel, some are left out
    for (let index = this.first; index < this.first + many && index < rows.length; index += step) {
      const thick = Math.max(1, Math.min(high * step * (high > 4 ? 0.82 : 1), 20));
      const row = { top: 8 + (index - this.first) * high + (high > 4 ? (high - thick) / 2 : 0), high: thick, own: rows[index] };
      this.rows.push(row);
      this.bar(pen, row);
    }
    if (high >= 5) this.links(pen);
    pen.restore();
    if (this.cursor !== null) this.outline(pen);
  }

  label(row) { return row.name ?? `worker ${row.number}`; }

  seconds(ms) {
    const span = this.to - this.from;
    if (this.total >= 120_000) return clock(ms / 1000, span < 10_000 ? 2 : 0);
    return `${(ms / 1000).toFixed(span < 200 ? 3 : span < 5000 ? 2 : 1)} s`;
  }

  /** A row: its runs pale, what they were at over them, and how they ended if that was not well. */
  bar(pen, row) {
    const now = this.model.outcome ? this.model.outcome.at : this.model.end;
    for (const run of row.own.runs) {
      const ended = run.ended ?? now;
      if (ended < this.from || run.began > this.to) continue;
      pen.fillStyle = colour("band");
      pen.fillRect(this.x(run.began), row.top, Math.max(1, this.x(ended) - this.x(run.began)), row.high);
    }
    let drawn = -1, last = "";
    for (const span of row.own.spans) {
      const ended = span.ended ?? now;
      if (ended < this.from || span.began > this.to) continue;
      const x = this.x(span.began), end = Math.max(x + 1, this.x(ended));
      if (end <= drawn && last === span.stage) continue;
      const quiet = span.stage === "wait" || span.stage === "starting", thin = quiet && row.high > 6 ? row.high * 0.32 : 0;
      if (quiet && row.high > 6) {
        pen.fillStyle = colour("card");
        pen.fillRect(x, row.top, end - x, row.high);
      }
      pen.fillStyle = this.inks.get(span.stage);
      pen.fillRect(x, row.top + thin, Math.max(1, end - x - (end - x > 5 ? 0.75 : 0)), row.high - 2 * thin);
      [drawn, last] = [end, span.stage];
    }
    for (const run of row.own.runs) {
      if (!["lost", "raised"].includes(run.how) || run.ended < this.from || run.ended > this.to) continue;
      pen.fillStyle = colour("bad");
      pen.fillRect(this.x(run.ended) - 1.5, row.top - 1, 3, row.high + 2);
    }
  }

  /** From where a message was sent to where it was waited for. */
  links(pen) {
    const place = new Map(this.rows.map((row) => [row.own, row]));
    const rowOf = (run) => place.get(this.mode === "task" ? run.task : run.worker);
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 1;
    for (const row of this.rows) {
      for (const span of row.own.spans) {
        if (span.stage !== "wait" || span.ended === null || span.ended < this.from || span.began > this.to) continue;
        const sent = this.model.arrived(span), from = sent && rowOf(sent.run);
        if (!from || from === row) continue;
        const down = from.top < row.top;
        pen.beginPath();
        pen.moveTo(this.x(sent.at), down ? from.top + from.high : from.top);
        pen.lineTo(this.x(span.ended), down ? row.top : row.top + row.high);
        pen.stroke();
      }
    }
  }

  outline(pen) {
    const span = this.chosen, row = span && this.rows.find((other) => other.own.spans.includes(span) || other.own.runs.includes(span));
    if (!row) return;
    const x = this.x(span.began), end = this.x(span.ended ?? this.model.end);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(x - 0.5, row.top - 1.5, Math.max(3, end - x), row.high + 3);
  }

  overview(pen, height) {
    const bins = Math.max(1, Math.min(400, Math.floor(this.inner / 2)));
    stack(pen, this.model.load(bins, this.total), bins, this.inks, [this.left, 0, this.inner, height], ["wait", "starting"]);
  }

  point(x, y) {
    if (x < this.left || x > this.width - this.right || !this.rows?.length) return this.leave();
    let lane = this.rows.findIndex((row) => y < row.top + row.high + 1);
    if (lane < 0) lane = this.rows.length - 1;
    this.cursor = this.at(x);
    const row = this.rows[lane].own, near = 3 / this.inner * (this.to - this.from), end = this.model.end;
    const inside = (span) => span.began - near <= this.cursor && (span.ended ?? end) + near >= this.cursor;
    const found = row.spans.findLast(inside) ?? row.runs.findLast(inside);
    if (!found) return this.leave();
    this.lane = lane;
    this.describe(found, x, y);
  }

  describe(span, x, y) {
    this.chosen = span;
    const run = span.stage ? span.run : span, ended = span.ended ?? this.model.end;
    const lines = [["took", took(ended - span.began)], ["from", this.seconds(span.began)], ["to", span.ended === null ? "now" : this.seconds(ended)]];
    if (run) {
      lines.unshift(["task", run.task.name], ["by", `worker ${run.worker.number}`]);
      if (run.how && run.how !== "done") lines.push(["its end", run.how], ["since", run.why || "\u2013"]);
    }
    if (span.stage === "wait") {
      const sent = this.model.arrived(span);
      lines.push(["for", `${span.name} of ${span.sender}`]);
      if (sent) lines.push(["which was there after", took(Math.max(0, sent.at - span.began))], ["bytes", count(sent.bytes)]);
    }
    this.tell(x, y, span.stage ?? "running", lines);
  }

  step(by) {
    const row = this.rows?.[clamp(this.lane, 0, this.rows.length - 1)]?.own;
    if (!row?.spans.length) return;
    const at = this.chosen ? row.spans.indexOf(this.chosen) : -1;
    this.choose(row.spans[clamp(at < 0 ? 0 : at + by, 0, row.spans.length - 1)]);
  }

  rise(by) {
    if (!this.rows?.length) return;
    const before = this.lane;
    this.lane = clamp(before + by, 0, this.rows.length - 1);
    if (this.lane === before) this.first = clamp(this.first + by, 0, this.all.length - this.shown);
    const spans = this.rows[this.lane].own.spans;
    this.choose(spans.findLast((span) => span.began <= (this.cursor ?? this.from)) ?? spans[0]);
  }

  choose(span) {
    if (!span) return;
    this.cursor = (span.began + (span.ended ?? this.model.end)) / 2;
    this.follow(this.cursor);
    this.describe(span, this.x(this.cursor), this.rows[clamp(this.lane, 0, this.rows.length - 1)].top);
    this.redraw();
  }
}

const took = (ms) => (ms < 1000 ? `${ms.toFixed(0)} ms` : ms < 100_000 ? `${(ms / 1000).toFixed(2)} s` : clock(ms / 1000));
const SPARE = ["encode", "rebase", "join", "decode", "look", "read", "other"];
/** The colour of a stage: its own if it has one, else one of the others'. */
const ink = (stage, index) => colour({ starting: "grid", running: "band" }[stage] ?? stage) || colour(SPARE[index % SPARE.length]);

/** Draw how many workers were at what, one over the other, into a box; returns the most there were. */
function stack(pen, load, parts, inks, [left, top, wide, high], without = []) {
  const shown = [...load].filter(([stage]) => !without.includes(stage));
  let most = 1;
  for (let part = 0; part < parts; part++) most = Math.max(most, shown.reduce((sum, [, row]) => sum + row[part], 0));
  for (let part = 0; part < parts; part++) {
    let floor = top + high;
    for (const [stage, row] of shown) {
      const tall = row[part] / most * (high - 2);
      pen.fillStyle = inks.get(stage) ?? colour("other");
      pen.fillRect(left + part / parts * wide, floor - tall, wide / parts + 0.3, tall);
      floor -= tall;
    }
  }
  return most;
}

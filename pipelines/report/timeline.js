// The diagram of the work: who was at what, when, and who waited for whom. By process, or by chunk.

class TimelinePlot extends Plot {
  constructor(data) {
    const { spans, processes, chunks, stages, wall_ms } = data;
    super("timeline", Math.max(1, wall_ms), Math.max(1, wall_ms / 2000));
    this.data = data;
    this.left = 74;
    this.spans = spans.map(([process, chunk, stage, began, ended]) => ({ process, chunk, stage: stages[stage], began, ended }));
    this.byChunk = chunks.map(() => []);
    for (const span of this.spans) if (this.byChunk[span.chunk]) this.byChunk[span.chunk].push(span);
    this.byProcess = processes.map(() => []);
    for (const span of this.spans) this.byProcess[span.process].push(span);
    for (const lane of this.byProcess) lane.sort((a, b) => a.began - b.began);
    for (const [index, own] of this.byChunk.entries()) {
      own.sort((a, b) => a.began - b.began);
      if (chunks[index][3] === 0) continue;
      for (const span of own) {
        if (span.stage !== "rebase") continue;
        const before = this.byChunk[index - 1].filter((other) => other.stage === "rebase" && other.ended <= span.began + 0.2);
        span.arrived = before.at(-1)?.ended; // when the state that it needed was there
        const wait = own[own.indexOf(span) - 1];
        if (wait?.stage === "wait") wait.arrived = span.arrived;
      }
    }
    this.ends = this.byChunk.map((own) => [Math.min(...own.map((s) => s.began)), Math.max(...own.map((s) => s.ended))]);
    this.mode = "process";
    for (const button of this.root.querySelectorAll("[data-mode]")) {
      button.onclick = () => {
        this.mode = button.dataset.mode;
        for (const other of this.root.querySelectorAll("[data-mode]")) other.ariaPressed = String(other === button);
        this.leave();
      };
    }
    this.lane = 0;
    this.show(0, this.total);
  }

  height() { return this.mode === "chunk" ? 380 : this.data.processes.length * 30 + 44; }

  /** Which chunks have something to show in what is in view: first and one past the last. */
  visible() {
    let first = Infinity, last = -1;
    this.ends.forEach(([began, ended], index) => {
      if (began > this.to || ended < this.from) return;
      first = Math.min(first, index);
      last = index;
    });
    return last < 0 ? [0, 1] : [first, Math.max(last + 1, first + 4)];
  }

  paint(pen, height) {
    const bottom = height - 30;
    this.inks = new Map(this.data.stages.map((stage) => [stage, colour(stage) || colour("other")]));
    pen.textAlign = "center";
    for (const ms of ticks(this.from, this.to, Math.max(2, this.inner / 90))) {
      const x = this.x(ms);
      pen.fillStyle = colour("grid");
      pen.fillRect(Math.round(x), 8, 1, bottom - 8);
      const label = this.seconds(ms);
      if (x + pen.measureText(label).width / 2 > this.width) continue;
      pen.fillStyle = colour("soft");
      pen.fillText(label, x, bottom + 14);
    }
    for (const [title, began] of this.data.readings) {
      const x = this.x(began);
      if (x < this.left || x > this.width - this.right) continue;
      pen.fillStyle = colour("faint");
      pen.fillRect(Math.round(x), 0, 1, bottom);
    }
    pen.save();
    if (this.mode === "chunk") this.paintChunks(pen, bottom);
    else this.paintProcesses(pen);
    pen.restore();
    if (this.cursor !== null) this.outline(pen);
  }

  seconds(ms) {
    const span = this.to - this.from;
    if (this.total >= 120_000) return clock(ms / 1000, span < 10_000 ? 2 : 0);
    return `${(ms / 1000).toFixed(span < 200 ? 3 : span < 5000 ? 2 : 1)} s`;
  }

  clip(pen, bottom) {
    pen.beginPath();
    pen.rect(this.left, 6, this.inner, bottom - 6);
    pen.clip();
  }

  paintProcesses(pen) {
    pen.textAlign = "right";
    this.rows = this.data.processes.map((name, row) => {
      pen.fillStyle = colour("soft");
      pen.fillText(name, this.left - 12, row * 30 + 23);
      return { top: row * 30 + 12, high: 22, spans: this.byProcess[row] };
    });
    this.clip(pen, this.rows.length * 30 + 14);
    for (const row of this.rows) this.bar(pen, row);
  }

  paintChunks(pen, bottom) {
    const [first, end] = this.visible(), high = (bottom - 10) / (end - first);
    pen.textAlign = "right";
    for (const chunk of ticks(first, Math.min(end, this.byChunk.length) - 1, 8, 1)) {
      pen.fillStyle = colour("soft");
      pen.fillText(`chunk ${count(chunk)}`, this.left - 12, clamp(8 + (chunk - first + 0.5) * high, 12, bottom - 6));
    }
    this.rows = [];
    this.clip(pen, bottom);
    for (let chunk = first; chunk < end && chunk < this.byChunk.length; chunk++) {
      const row = { top: 8 + (chunk - first) * high, high: Math.max(2.5, Math.min(high * 0.82, 24)), spans: this.byChunk[chunk], chunk };
      row.top += (high - row.high) / 2;
      this.rows.push(row);
      this.bar(pen, row);
    }
    if (high < 7) return;
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 1;
    this.rows.forEach((row, index) => {
      const before = this.rows[index - 1];
      for (const { arrived, began, stage } of index ? row.spans : []) {
        if (stage !== "rebase" || arrived === undefined) continue;
        pen.beginPath();
        pen.moveTo(this.x(arrived), before.top + before.high);
        pen.lineTo(this.x(arrived), row.top - 1.5);
        pen.lineTo(this.x(began), row.top - 1.5);
        pen.lineTo(this.x(began), row.top + 1);
        pen.stroke();
      }
    });
  }

  /** The spans of a row; what would fall on pixels that already have the same colour is not drawn again. */
  bar(pen, row) {
    let drawn = -1, ink = "";
    for (const span of row.spans) {
      if (span.ended < this.from || span.began > this.to) continue;
      const x = this.x(span.began), end = Math.max(x + 1, this.x(span.ended));
      if (end <= drawn && ink === span.stage) continue;
      const waits = span.stage === "wait", thin = waits && row.high > 6 ? row.high * 0.32 : 0;
      pen.fillStyle = this.inks.get(span.stage);
      pen.fillRect(x, row.top + thin, Math.max(1, end - x - (end - x > 5 ? 0.75 : 0)), row.high - 2 * thin);
      drawn = end;
      ink = span.stage;
    }
  }

  outline(pen) {
    const row = this.rows[this.lane], span = this.chosen;
    if (!row || !span) return;
    pen.save();
    this.clip(pen, 9999);
    const x = this.x(span.began);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(x - 0.5, row.top - 1.5, Math.max(3, this.x(span.ended) - x), row.high + 3);
    pen.restore();
  }

  overview(pen, height) {
    const busy = new Map();
    const bins = Math.max(1, Math.min(400, Math.floor(this.inner / 2))), length = this.total / bins;
    for (const span of this.spans) {
      if (span.stage === "wait") continue;
      if (!busy.has(span.stage)) busy.set(span.stage, new Float64Array(bins));
      const held = busy.get(span.stage);
      const end = Math.min(bins - 1, Math.floor(span.ended / length));
      for (let bin = Math.max(0, Math.floor(span.began / length)); bin <= end; bin++) {
        held[bin] += Math.max(0, Math.min(span.ended, (bin + 1) * length) - Math.max(span.began, bin * length)) / length;
      }
    }
    let most = 1;
    for (let bin = 0; bin < bins; bin++) most = Math.max(most, [...busy.values()].reduce((sum, held) => sum + held[bin], 0));
    for (let bin = 0; bin < bins; bin++) {
      let floor = height;
      for (const [stage, held] of busy) {
        const high = held[bin] / most * (height - 2);
        pen.fillStyle = this.inks.get(stage);
        pen.fillRect(this.left + bin / bins * this.inner, floor - high, this.inner / bins + 0.3, high);
        floor -= high;
      }
    }
  }

  point(x, y) {
    if (x < this.left || x > this.width - this.right || !this.rows) return this.leave();
    const lane = this.rows.findIndex((row) => y >= row.top - 3 && y < row.top + row.high + 3);
    this.cursor = this.at(x);
    const near = 3 / this.inner * (this.to - this.from);
    const found = lane < 0 ? null : nearest(this.rows[lane].spans, this.cursor, near);
    if (!found) return this.leave();
    this.lane = lane;
    this.describe(found, x, y);
  }

  describe(span, x, y) {
    this.chosen = span;
    const { chunks, processes } = this.data, [first, frames, chain, position] = chunks[span.chunk];
    const length = (ms) => (ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`);
    const lines = [
      ["by", processes[span.process]], ["took", length(span.ended - span.began)],
      ["from", `${(span.began / 1000).toFixed(3)} s`], ["to", `${(span.ended / 1000).toFixed(3)} s`],
      ["frames", `${count(first)} to ${count(first + frames - 1)}`], ["chain", `${count(chain)}, place ${position}`],
    ];
    if (span.stage === "wait") {
      const there = clamp(span.arrived ?? span.began, span.began, span.ended);
      lines.splice(2, 0, [`for chunk ${count(span.chunk - 1)}'s state`, length(there - span.began)]);
      lines.splice(3, 0, ["then for a processor", length(span.ended - there)]);
    }
    const reading = this.data.readings.findLast(([, began]) => began <= span.began + 0.2);
    if (reading) lines.push(["during", reading[0]]);
    this.tell(x, y, `${span.stage} \u00b7 chunk ${count(span.chunk)}`, lines);
  }

  /** The next or the previous span of the row. */
  step(by) {
    if (!this.rows) return;
    this.lane = clamp(this.lane, 0, this.rows.length - 1);
    const row = this.rows[this.lane], at = this.chosen ? row.spans.indexOf(this.chosen) : -1;
    const next = at < 0 ? row.spans.findIndex((span) => span.ended >= this.from) : clamp(at + by, 0, row.spans.length - 1);
    this.choose(row, row.spans[next]);
  }

  rise(by) {
    if (!this.rows) return;
    this.lane = clamp(this.lane + by, 0, this.rows.length - 1);
    const row = this.rows[this.lane];
    const place = this.cursor ?? this.from;
    this.choose(row, nearest(row.spans, place, Infinity));
  }

  choose(row, span) {
    if (!span) return;
    this.cursor = (span.began + span.ended) / 2;
    this.follow(this.cursor);
    this.describe(span, this.x(this.cursor), row.top + row.high / 2);
    this.redraw();
  }
}

/** The span at a place, or the nearest one not further away than `near`. */
function nearest(spans, place, near) {
  let best = null, away = near;
  for (const span of spans) {
    const apart = place < span.began ? span.began - place : place > span.ended ? place - span.ended : 0;
    if (apart < away || (apart === 0 && !best)) [best, away] = [span, apart];
    if (apart === 0) return span;
  }
  return best;
}

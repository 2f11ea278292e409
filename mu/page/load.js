// How many workers were at what over time, and how many tasks were done by then.

class LoadPlot extends Plot {
  constructor(model) {
    super("load", Math.max(1, model.end), Math.max(1, model.end / 5000));
    this.model = model;
    this.left = 86;
    this.right = 52;
    this.show(0, this.total);
  }

  grow() {
    const whole = this.to - this.from >= this.total;
    this.total = Math.max(1, this.model.end);
    if (whole) this.show(0, this.total);
    else this.redraw();
  }

  height() { return 190; }
  seconds(ms) { return RowsPlot.prototype.seconds.call(this, ms); }

  paint(pen, height) {
    const bottom = height - 30, box = [this.left, 8, this.inner, bottom - 8];
    this.inks = new Map([...this.model.stages, "starting", "running"].map((stage, index) => [stage, ink(stage, index)]));
    const parts = Math.max(1, Math.min(600, Math.floor(this.inner / 2)));
    const whole = Math.max(1, Math.round(parts * this.total / (this.to - this.from)));
    const load = this.model.load(Math.min(whole, 20_000), this.total), length = this.total / Math.min(whole, 20_000);
    this.part = length;
    const cut = new Map([...load].map(([stage, row]) => [stage, row.slice(Math.floor(this.from / length), Math.ceil(this.to / length))]));
    this.load = load;
    const many = [...cut.values()][0]?.length || 1;
    const most = stack(pen, cut, many, this.inks, box);
    pen.textAlign = "right";
    for (const value of ticks(0, most, 4, 1)) {
      const y = bottom - value / most * (bottom - 10);
      pen.fillStyle = colour("soft");
      pen.fillText(count(value), this.left - 10, y);
      pen.globalAlpha = 0.5;
      pen.fillStyle = colour("line");
      pen.fillRect(this.left, Math.round(y), this.inner, 1);
      pen.globalAlpha = 1;
    }
    pen.textAlign = "center";
    for (const ms of ticks(this.from, this.to, Math.max(2, this.inner / 90))) {
      pen.fillStyle = colour("soft");
      pen.fillText(this.seconds(ms), this.x(ms), bottom + 14);
    }
    this.line(pen, bottom);
  }

  /** The tasks that were done, as a line with an axis of its own. */
  line(pen, bottom) {
    const { committed, tasks } = this.model, all = Math.max(1, tasks.size), y = (done) => bottom - done / all * (bottom - 10);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.5;
    pen.beginPath();
    let done = 0;
    pen.moveTo(this.x(this.from), y(committed.filter((at) => at < this.from).length));
    for (const at of committed) {
      done += 1;
      if (at < this.from || at > this.to) continue;
      pen.lineTo(this.x(at), y(done));
    }
    pen.lineTo(this.x(Math.min(this.to, this.model.end)), y(committed.filter((at) => at <= this.to).length));
    pen.stroke();
    pen.fillStyle = colour("ink");
    pen.textAlign = "left";
    pen.fillText(`${count(all)}`, this.width - this.right + 6, y(all) + 4);
    pen.fillText("tasks", this.width - this.right + 6, y(all) + 18);
  }

  overview(pen, height) { stack(pen, this.model.load(200, this.total), 200, this.inks, [this.left, 0, this.inner, height], ["starting"]); }

  point(x, y) {
    if (x < this.left || x > this.width - this.right) return this.leave();
    this.cursor = this.at(x);
    this.describe(x, y);
  }

  describe(x, y) {
    const part = Math.floor(this.cursor / this.part), lines = [];
    for (const [stage, row] of this.load) if (row[part] > 0.005) lines.push([stage, row[part].toFixed(row[part] < 10 ? 1 : 0)]);
    lines.push(["tasks done", count(this.model.committed.filter((at) => at <= this.cursor).length)]);
    this.tell(x, y, this.seconds(this.cursor), lines);
  }

  step(by) {
    const span = (this.to - this.from) / 60;
    this.cursor = clamp((this.cursor ?? this.from) + (Number.isFinite(by) ? by * span : by > 0 ? this.total : -this.total), 0, this.total);
    this.follow(this.cursor);
    this.describe(this.x(this.cursor), 40);
    this.redraw();
  }
}

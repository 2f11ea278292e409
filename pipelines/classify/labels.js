// The diagram of the labels: a film strip, and below it a lane for each label that weighs much, over time or by number.

const ROW = 27, AXIS = 26, STRIP = [72, 130];

class LabelsPlot extends Plot {
  /** `pictures` are the elements of the thumbnails, or null where there is none; `chosen` is told of every choice. */
  constructor(data, pictures, chosen) {
    const { frames, lanes } = data, timed = frames.length > 0 && frames.every((frame) => frame.seconds !== null);
    const places = frames.map((frame, index) => (timed ? frame.seconds : index + 0.5));
    const total = timed ? Math.max(data.seconds, places.at(-1) || 0, 0.001) : Math.max(1, frames.length);
    super("labels", total, total / Math.max(4, frames.length) * 3);
    Object.assign(this, { frames, lanes, timed, places, pictures, chosen, index: -1 });
    // A frame speaks for all that is nearer to it than to any other.
    this.edges = [0, ...places.slice(1).map((place, index) => (place + places[index]) / 2), total];
    this.scores = lanes.map((lane) => frames.map((frame) => {
      const rank = frame.labels.findIndex((label) => label.label === lane);
      return rank < 0 ? null : { score: frame.labels[rank].score, first: rank === 0 };
    }));
    this.tops = frames.map((frame) => (frame.labels.length ? lanes.indexOf(frame.labels[0].label) : null));
    const shapes = pictures.filter(Boolean).map((picture) => picture.naturalWidth / picture.naturalHeight || 16 / 9).sort((a, b) => a - b);
    this.shape = clamp(shapes[shapes.length >> 1] || 16 / 9, 0.5, 2.4);
    for (const picture of pictures) picture?.addEventListener("load", () => this.redraw(), { once: true });
    this.show(0, this.total);
  }

  /** The height of the film strip: so that few frames fill it, and many show what is in the middle of each. */
  get tall() {
    if (!this.pictures.some(Boolean)) return 0;
    return Math.round(clamp(this.inner / this.frames.length / this.shape, ...STRIP));
  }

  get film() { return this.tall + 12; }
  height() { return this.film + this.lanes.length * this.row + AXIS; }
  get narrow() { return this.root.clientWidth < 620; }
  get row() { return this.narrow ? ROW + 9 : ROW; }

  /** The frame that speaks for a place. */
  near(place) {
    let low = 0, high = this.frames.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.edges[middle + 1] <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  draw() {
    this.left = this.narrow ? 8 : Math.min(190, this.root.clientWidth * 0.22);
    this.width = this.canvas.parentElement.clientWidth;
    super.draw();
  }

  paint(pen, height) {
    if (!this.frames.length) return;
    this.inks = this.lanes.map((_, lane) => colour(`lane-${lane}`));
    this.seen = [this.near(this.from), this.near(this.to)];
    if (this.tall) this.paintFilm(pen);
    this.paintBand(pen, height - AXIS);
    this.lanes.forEach((_, lane) => this.paintLane(pen, lane));
    this.paintAxis(pen, height - AXIS);
    this.paintProblems(pen);
    this.paintCursor(pen, height - AXIS);
  }

  /** As many pictures as fit, each of the frame that speaks for the middle of its place. */
  paintFilm(pen) {
    const high = this.tall, wide = high * (high > STRIP[0] ? this.shape : Math.min(this.shape, 1.2)), own = this.inner / this.frames.length;
    const all = this.to - this.from > 0.999 * this.total && own >= 56; // one place for each, if that is not too narrow
    const slots = all ? this.frames.length : Math.max(1, Math.round(this.inner / wide)), step = this.inner / slots;
    pen.save();
    pen.beginPath();
    pen.roundRect(this.left, 0, this.inner, high, 6);
    pen.clip();
    pen.fillStyle = colour("strip");
    pen.fillRect(this.left, 0, this.inner, high);
    let slot = 0;
    while (slot < slots) {
      const frame = this.near(this.at(this.left + (slot + 0.5) * step));
      let end = slot + 1;
      while (end < slots && this.near(this.at(this.left + (end + 0.5) * step)) === frame) end++;
      this.paintPicture(pen, this.pictures[frame], this.left + slot * step, (end - slot) * step);
      slot = end;
    }
    pen.restore();
  }

  /** A picture that fills its place, or stands in the middle of one that is wider. */
  paintPicture(pen, picture, left, wide) {
    if (!picture?.complete || !picture.naturalWidth) return;
    const shape = picture.naturalWidth / picture.naturalHeight, high = this.tall;
    const shown = Math.min(wide - 1.5, high * Math.max(shape, this.shape) * 1.25), x = left + (wide - shown) / 2, ratio = shown / high;
    const w = Math.min(picture.naturalWidth, picture.naturalHeight * ratio), h = w / ratio;
    pen.drawImage(picture, (picture.naturalWidth - w) / 2, (picture.naturalHeight - h) / 2, w, h, x, 0, shown, high);
  }

  paintLane(pen, lane) {
    const top = this.film + lane * this.row, base = top + this.row - 3, high = ROW - 7;
    const [first, last] = this.seen, scores = this.scores[lane];
    pen.fillStyle = colour("grid");
    pen.fillRect(this.left, base, this.inner, 1);
    pen.save();
    pen.beginPath();
    pen.rect(this.left, top, this.inner, this.row);
    pen.clip();
    pen.fillStyle = this.inks[lane];
    for (let frame = first; frame <= last; frame++) {
      const found = scores[frame];
      if (!found) continue;
      const x = this.x(this.edges[frame]), wide = this.x(this.edges[frame + 1]) - x;
      pen.globalAlpha = found.first ? 1 : 0.38;
      const tall = Math.max(1.5, found.score * high);
      pen.fillRect(x, base - tall, Math.max(1, wide - (wide > 4 ? 1 : 0)), tall);
    }
    pen.restore();
    const chosen = this.index >= 0 && scores[this.index];
    pen.textAlign = this.narrow ? "left" : "right";
    pen.fillStyle = chosen ? colour("ink") : colour("soft");
    const room = this.narrow ? this.inner * 0.7 : this.left - 30, text = fit(pen, this.lanes[lane].split(",")[0], room);
    const [x, y] = this.narrow ? [this.left + 14, top + 6] : [this.left - 26, base - 8];
    pen.fillText(text, x, y);
    pen.fillStyle = this.inks[lane];
    pen.beginPath();
    pen.roundRect(this.narrow ? this.left : this.left - 18, y - 5, 9, 9, 3);
    pen.fill();
  }

  paintAxis(pen, top) {
    pen.textAlign = "center";
    pen.fillStyle = colour("soft");
    const most = Math.max(2, this.inner / 90), span = this.to - this.from;
    const marks = this.timed ? ticks(this.from, this.to, most) : ticks(this.from, this.to - 1, most, 1).map((mark) => Math.round(mark) + 0.5);
    for (const mark of marks) {
      const label = this.timed ? clock(mark, span < 2 ? 2 : span < 20 ? 1 : 0) : String(Math.floor(mark) + 1);
      const x = this.x(mark), half = pen.measureText(label).width / 2;
      if (x - half < this.left - 4 || x + half > this.width) continue;
      pen.fillText(label, x, top + 15);
    }
  }

  /** A mark for each frame that was not classified. */
  paintProblems(pen) {
    pen.fillStyle = colour("bad");
    for (let frame = this.seen[0]; frame <= this.seen[1]; frame++) {
      if (!this.frames[frame].problem) continue;
      const x = this.x(this.places[frame]);
      if (x >= this.left && x <= this.width - this.right) pen.fillRect(x - 1, this.film - 6, 2.5, 5);
    }
  }

  /** What the chosen frame speaks for. */
  paintBand(pen, bottom) {
    if (this.index < 0) return;
    const [from, to] = [this.index, this.index + 1].map((edge) => clamp(this.x(this.edges[edge]), this.left, this.width - this.right));
    pen.fillStyle = colour("band");
    pen.globalAlpha = 0.45;
    if (to > from) pen.fillRect(from, this.tall + 4, Math.max(1.5, to - from), bottom - this.tall - 4);
    pen.globalAlpha = 1;
  }

  paintCursor(pen, bottom) {
    if (this.index < 0) return;
    const x = this.x(this.places[this.index]);
    if (x < this.left - 1 || x > this.width - this.right + 1) return;
    pen.fillStyle = colour("accent");
    pen.fillRect(x - 0.75, 0, 1.5, bottom);
  }

  overview(pen, height) {
    this.tops.forEach((lane, frame) => {
      if (lane === null) return;
      pen.fillStyle = lane < 0 ? colour("lane-other") : this.inks[lane];
      const x = this.x(this.edges[frame]), tall = Math.max(3, this.frames[frame].labels[0].score * height);
      pen.fillRect(x, height - tall, Math.max(1, this.x(this.edges[frame + 1]) - x), tall);
    });
  }

  point(x) {
    if (x >= this.left && x <= this.width - this.right) this.choose(this.near(this.at(x)));
  }

  /** What was looked at stays when the pointer leaves. */
  leave() { this.redraw(); }
  step(by) { this.choose(clamp((this.index < 0 ? 0 : this.index) + by, 0, this.frames.length - 1), true); }

  choose(index, follow = false) {
    if (!this.frames.length || index === this.index) return;
    this.index = index;
    this.cursor = this.places[index];
    if (follow) this.follow(this.cursor);
    const { name, labels, problem } = this.frames[index];
    const said = labels.map((label) => `${label.label.split(",")[0]} ${label.score.toFixed(2)}`).join(", ");
    this.heard.textContent = `${name}. ${problem ? `failed: ${problem}` : said}`;
    this.chosen(index);
    this.redraw();
  }
}

/** A text as far as there is room for it. */
function fit(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let length = text.length;
  while (length > 1 && pen.measureText(`${text.slice(0, length)}\u2026`).width > room) length--;
  return `${text.slice(0, length)}\u2026`;
}

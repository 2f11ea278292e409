// The diagram of the frames: bytes, quantizer and quality of each, above one axis.

const KEY = 1, GOLDEN = 2, ALTREF = 4, LAST = 8;

class FramesPlot extends Plot {
  constructor(data) {
    const { frames, libvpx, chunks } = data;
    super("frames", frames.bytes.length, 12);
    this.data = data;
    this.logarithmic = true;
    this.starts = chunks.map((chunk) => chunk[0]);
    const panels = [
      { name: "bytes", title: "bytes per frame", high: 150, ink: "inter" },
      { name: "q", title: "quantizer index", high: 70, ink: "join" },
      { name: "psnr", title: "PSNR of the luma, dB", high: 104, ink: "decode" },
      { name: "ssim", title: "SSIM of the luma", high: 104, ink: "rebase" },
    ];
    this.panels = panels.filter((panel) => frames[panel.name]);
    for (const panel of this.panels) {
      panel.own = frames[panel.name];
      panel.peer = libvpx && libvpx[panel.name];
      panel.range = this.range(panel);
    }
    const button = this.root.querySelector("[data-scale]");
    button.onclick = () => {
      this.logarithmic = !this.logarithmic;
      button.textContent = this.logarithmic ? "linear scale" : "logarithmic scale";
      this.redraw();
    };
    this.show(0, this.total);
  }

  height() { return this.panels.reduce((sum, panel) => sum + panel.high + 26, 0) + 46; }

  range({ name, own, peer }) {
    const values = Float64Array.from(peer ? [...own, ...peer] : own).filter((value) => name !== "psnr" || value < 100).sort();
    if (!values.length) return [99, 100]; // every frame as it was
    const odd = name === "bytes" ? 0 : Math.floor(values.length / 500); // a few outliers do not flatten all others
    const low = values[odd], high = values[values.length - 1 - odd];
    if (name === "bytes") return [Math.max(1, low), Math.max(2, high)];
    if (name === "q") return [Math.max(0, low - 4), Math.min(127, high + 4)];
    const room = Math.max((high - low) * 0.08, name === "psnr" ? 0.3 : 0.001);
    return [low - room, name === "ssim" ? Math.min(1, high + room) : high + room];
  }

  /** From a value to a place in the panel. */
  scale(panel, top) {
    let [low, high] = panel.range;
    let bend = (value) => value;
    if (panel.name === "bytes" && this.logarithmic) {
      bend = (value) => Math.log10(Math.max(1, value));
      low = bend(low * 0.8);
      high = bend(high * 1.15);
    } else if (panel.name === "bytes") [low, high] = [0, high * 1.05];
    return (value) => top + panel.high - clamp((bend(value) - low) / (high - low), 0, 1) * panel.high;
  }

  marks(panel) {
    const [low, high] = panel.range;
    if (panel.name !== "bytes") return ticks(low, high, panel.name === "q" ? 3 : 4);
    if (!this.logarithmic) return ticks(0, high * 1.05, 4);
    const found = [];
    for (let ten = 1; ten <= high; ten *= 10) for (const k of [1, 3]) found.push(k * ten);
    const fitting = found.filter((value) => value >= low * 0.8 && value <= high * 1.15);
    return fitting.length > 5 ? fitting.filter((value) => String(value)[0] === "1") : fitting;
  }

  paint(pen, height) {
    const first = Math.floor(this.from), end = Math.min(this.total, Math.ceil(this.to));
    this.wide = this.inner / (this.to - this.from); // pixels a frame
    let top = 30;
    const bottom = height - 34;
    this.joints(pen, top, bottom, first, end);
    for (const panel of this.panels) {
      const y = this.scale(panel, top);
      pen.fillStyle = colour("soft");
      pen.textAlign = "left";
      pen.fillText(panel.title, this.left, top - 9);
      pen.textAlign = "right";
      for (const mark of this.marks(panel)) {
        pen.fillStyle = colour("grid");
        pen.fillRect(this.left, Math.round(y(mark)), this.inner, 1);
        pen.fillStyle = colour("faint");
        pen.fillText(this.number(panel, mark), this.left - 8, y(mark));
      }
      pen.save();
      pen.beginPath();
      pen.rect(this.left, top - 4, this.inner, panel.high + 8);
      pen.clip();
      const bars = panel.name === "bytes" && this.wide >= 3;
      const beside = () => panel.peer && this.line(pen, panel.peer, y, first, end, colour("peer"), false);
      if (!bars) beside();
      if (bars) this.bars(pen, panel, y, top + panel.high, first, end);
      else this.line(pen, panel.own, y, first, end, colour(panel.ink), true);
      if (bars) beside();
      pen.restore();
      top += panel.high + 26;
    }
    this.axis(pen, height);
    if (this.cursor !== null) {
      pen.fillStyle = colour("ink");
      pen.globalAlpha = 0.55;
      pen.fillRect(Math.round(this.x(this.cursor + 0.5)), 12, 1, bottom - 12);
      pen.globalAlpha = 1;
    }
  }

  number(panel, value) {
    if (panel.name === "ssim") return value.toFixed(panel.range[1] - panel.range[0] < 0.004 ? 4 : 3);
    if (panel.name === "psnr") return String(Math.round(value * 10) / 10);
    if (panel.name === "bytes" && value >= 1000) return `${value / 1000}k`;
    return String(value);
  }

  /** Where chunks and chains begin, when there is room to tell them apart; and the key frames. */
  joints(pen, top, bottom, first, end) {
    const { chunks, frames } = this.data;
    pen.fillStyle = colour("line");
    let before = -99;
    for (const [start, , , position] of chunks) {
      const x = this.x(start);
      if (start <= first || start >= end || x - before < (position ? 14 : 3)) continue;
      pen.globalAlpha = position ? 0.75 : 1;
      pen.fillRect(Math.round(x), position ? top + 6 : top - 4, 1, bottom - top);
      before = x;
    }
    pen.globalAlpha = 1;
    let last = -99;
    pen.fillStyle = colour("key");
    for (let i = first; i < end; i++) {
      const x = this.x(i + 0.5);
      if (!(frames.flags[i] & KEY) || x - last < 2) continue;
      pen.beginPath();
      pen.moveTo(x - 3.5, 3);
      pen.lineTo(x + 3.5, 3);
      pen.lineTo(x, 9);
      pen.fill();
      last = x;
    }
  }

  kind(i) {
    const flags = this.data.frames.flags[i];
    return flags & KEY ? "key" : flags & (GOLDEN | ALTREF) ? "boost" : "inter";
  }

  bars(pen, panel, y, floor, first, end) {
    const inks = { key: colour("key"), boost: colour("boost"), inter: colour("inter") };
    const gap = this.wide > 6 ? 1.5 : 0.5;
    for (let i = first; i < end; i++) {
      const top = y(panel.own[i]);
      pen.fillStyle = inks[this.kind(i)];
      pen.fillRect(this.x(i) + gap / 2, top, this.wide - gap, Math.max(1, floor - top));
    }
  }

  /** Frame by frame where there is room, else the mean of each column of pixels and, behind it, from least to most. */
  line(pen, series, y, first, end, ink, own) {
    const points = [];
    if (this.wide >= 1) {
      for (let i = first; i < end; i++) points.push([this.x(i + 0.5), y(series[i])]);
    } else {
      const step = 1.5 / this.wide;
      if (own) pen.fillStyle = ink;
      for (let at = first; at < end; at += step) {
        const [low, high, mean] = summary(series, Math.floor(at), Math.min(end, Math.max(Math.floor(at) + 1, Math.floor(at + step))));
        const x = this.x(at);
        if (own) {
          pen.globalAlpha = 0.28;
          pen.fillRect(x, y(high), 1.5, Math.max(1, y(low) - y(high)));
          pen.globalAlpha = 1;
        }
        points.push([x + 0.75, y(mean)]);
      }
    }
    pen.strokeStyle = ink;
    pen.lineWidth = own ? 1.6 : 1.1;
    pen.lineJoin = "round";
    pen.beginPath();
    points.forEach(([x, place], i) => (i ? pen.lineTo(x, place) : pen.moveTo(x, place)));
    pen.stroke();
    if (!own || this.wide < 9) return;
    pen.fillStyle = ink;
    for (const [x, place] of points) {
      pen.beginPath();
      pen.arc(x, place, 2.2, 0, 7);
      pen.fill();
    }
  }

  axis(pen, height) {
    const y = height - 30;
    pen.textAlign = "center";
    for (const frame of ticks(this.from, Math.min(this.to, this.total - 1), Math.max(2, this.inner / 110), 1)) {
      const x = this.x(frame + 0.5);
      pen.fillStyle = colour("line");
      pen.fillRect(Math.round(x), y - 4, 1, 5);
      const wide = pen.measureText(count(frame)).width;
      if (x + wide / 2 > this.width || x - wide / 2 < 0) continue;
      pen.fillStyle = colour("soft");
      pen.fillText(count(frame), x, y + 9);
      pen.fillStyle = colour("faint");
      pen.fillText(clock(this.data.frames.time[frame], this.to - this.from < 400 ? 2 : 0), x, y + 23);
    }
    pen.textAlign = "left";
    pen.fillStyle = colour("faint");
    pen.fillText("frame", 6, y + 9);
    pen.fillText("time", 6, y + 23);
  }

  overview(pen, height) {
    const panel = { ...this.panels[0], high: height - 4 }, y = this.scale(panel, 2);
    this.wide = this.inner / this.total;
    pen.fillStyle = colour("inter");
    for (let x = 0; x < this.inner; x++) {
      const from = Math.floor(x / this.wide), to = Math.max(from + 1, Math.floor((x + 1) / this.wide));
      if (from >= this.total) break;
      const top = y(summary(panel.own, from, Math.min(to, this.total))[2]);
      pen.fillRect(this.left + x, top, 1, height - 2 - top);
    }
  }

  point(x, y) {
    if (x < this.left || x > this.width - this.right) return this.leave();
    this.cursor = clamp(Math.floor(this.at(x)), 0, this.total - 1);
    this.describe(y, Math.max(1, Math.floor(1 / this.wide)));
  }

  step(by) {
    const seen = by < 0 ? Math.ceil(this.to) - 1 : Math.floor(this.from); // where the first key press leads
    this.cursor = this.cursor === null && Number.isFinite(by) ? seen : (this.cursor ?? 0) + by;
    this.cursor = clamp(this.cursor, 0, this.total - 1);
    this.follow(this.cursor);
    this.describe(90, 1);
    this.redraw();
  }

  /** One frame, or `frames` of them where they share a column of pixels. */
  describe(y, frames) {
    const from = this.cursor, to = Math.min(this.total, from + frames), lines = [];
    if (to - from > 1) {
      for (const panel of this.panels) {
        const [low, high, mean] = summary(panel.own, from, to).map((value) => exact(panel.name, value));
        lines.push([panel.name.replace("psnr", "PSNR-Y").replace("ssim", "SSIM-Y"), `${low} to ${high}, mean ${mean}`]);
      }
      return this.tell(this.x(from + 0.5), y, `frames ${count(from)} to ${count(to - 1)}`, lines);
    }
    const row = frameRow(this.data, from, this.chunkOf(from));
    this.tell(this.x(from + 0.5), y, `frame ${count(from)}`, row.filter(([name]) => name !== "frame"));
  }

  chunkOf(frame) {
    let low = 0, high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= frame) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Least, most and mean of a part of a column. */
function summary(series, from, to) {
  let low = Infinity, high = -Infinity, sum = 0;
  for (let i = from; i < to; i++) {
    const value = series[i];
    if (value < low) low = value;
    if (value > high) high = value;
    sum += value;
  }
  return [low, high, sum / (to - from)];
}

const exact = (name, value) =>
  name === "psnr" ? `${value.toFixed(2)} dB` : name === "ssim" ? value.toFixed(4) : name === "q" ? String(Math.round(value)) : count(value);

/** All that is known of a frame, as pairs of words: what the table, the files and the tips show. */
function frameRow({ frames, libvpx }, i, chunk) {
  const flags = frames.flags[i];
  const refreshed = [[LAST, "last"], [GOLDEN, "golden"], [ALTREF, "altref"]].filter(([bit]) => flags & bit).map(([, name]) => name);
  const row = [
    ["frame", count(i)], ["time", clock(frames.time[i], 3)], ["chunk", count(chunk)],
    ["kind", flags & KEY ? "key" : flags & (GOLDEN | ALTREF) ? "boosted" : "inter"],
    ["bytes", count(frames.bytes[i])], ["quantizer", String(frames.q[i])], ["becomes", refreshed.join(" ") || "none"],
  ];
  if (frames.psnr) row.push(["PSNR-Y", exact("psnr", frames.psnr[i])], ["SSIM-Y", exact("ssim", frames.ssim[i])]);
  if (libvpx && i < libvpx.bytes.length) {
    row.push(["libvpx: bytes", count(libvpx.bytes[i])], ["libvpx: quantizer", String(libvpx.q[i])]);
    row.push(["libvpx: PSNR-Y", exact("psnr", libvpx.psnr[i])], ["libvpx: SSIM-Y", exact("ssim", libvpx.ssim[i])]);
  }
  return row;
}

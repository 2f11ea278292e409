// What both diagrams share: a canvas that is zoomed into along one axis, by pointer, buttons and keys.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u2009");
const clock = (seconds, digits = 0) => {
  const whole = Math.floor(seconds / 60), rest = (seconds - whole * 60).toFixed(digits);
  const minutes = String(whole % 60).padStart(whole >= 60 ? 2 : 1, "0");
  return `${whole >= 60 ? Math.floor(whole / 60) + ":" : ""}${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
};

/** An element with properties and children; text is only ever set as text. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Round numbers that divide low to high into at most `most` parts. */
function ticks(low, high, most, least = 0) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, most), ten = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, [1, 2, 5, 10].map((k) => k * ten).find((k) => k >= rough));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step + 0); // + 0: no minus before a zero
  return found;
}

class Plot {
  /** `total` is the length of the axis in its unit, `least` the shortest part of it that can be shown. */
  constructor(id, total, least) {
    this.root = document.getElementById(id);
    [this.canvas, this.strip] = this.root.querySelectorAll("canvas");
    this.tip = this.root.querySelector(".tip");
    this.heard = this.root.querySelector(".heard");
    this.total = total;
    this.least = Math.min(least, total);
    this.from = 0;
    this.to = total;
    this.cursor = null;
    this.left = 58;
    this.right = 10;
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      button.onclick = () => this.zoom(Number(button.dataset.zoom), (this.from + this.to) / 2);
    }
    new ResizeObserver(() => this.redraw()).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.listen();
  }

  get inner() { return this.width - this.left - this.right; }
  x(value) { return this.left + (value - this.from) / (this.to - this.from) * this.inner; }
  at(x) { return clamp(this.from + (x - this.left) / this.inner * (this.to - this.from), this.from, this.to); }

  show(from, to) {
    const span = clamp(to - from, this.least, this.total);
    this.from = clamp(from - (span - (to - from)) / 2, 0, this.total - span);
    this.to = this.from + span;
    this.redraw();
  }

  /** Zoom by a factor around a place; 0 shows everything. */
  zoom(factor, around) {
    if (!factor) this.show(0, this.total);
    else this.show(around - (around - this.from) / factor, around + (this.to - around) / factor);
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  /** A canvas of the figure made fit for the screen, and its pen. */
  prepare(canvas, height) {
    const ratio = devicePixelRatio || 1, width = canvas.parentElement.clientWidth;
    canvas.style.height = `${height}px`;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    this.width = width;
    return pen;
  }

  draw() {
    const pen = this.prepare(this.canvas, this.height());
    this.paint(pen, this.canvas.clientHeight);
    if (this.marked) {
      const [a, b] = this.marked.map((value) => this.x(value)).sort((one, other) => one - other);
      pen.globalAlpha = 0.16;
      pen.fillStyle = colour("accent");
      pen.fillRect(a, 0, b - a, this.canvas.clientHeight);
      pen.globalAlpha = 1;
    }
    const small = this.prepare(this.strip, 26), full = [this.from, this.to];
    [this.from, this.to] = [0, this.total];
    small.fillStyle = colour("grid");
    small.fillRect(this.left, 0, this.inner, 26);
    this.overview(small, 26);
    const [a, b] = full.map((value) => this.x(value));
    [this.from, this.to] = full;
    small.fillStyle = colour("card");
    small.globalAlpha = 0.72;
    small.fillRect(this.left, 0, a - this.left, 26);
    small.fillRect(b, 0, this.width - this.right - b, 26);
    small.globalAlpha = 1;
    small.strokeStyle = colour("faint");
    small.strokeRect(a + 0.5, 0.5, Math.max(3, b - a - 1), 25);
  }

  /** Show what is at a place: `lines` are pairs of words under a title. */
  tell(x, y, title, lines) {
    this.tip.replaceChildren(make("b", { textContent: title }));
    for (const [name, value] of lines) {
      this.tip.append(make("div", {}, make("span", { textContent: name }), make("span", { textContent: value })));
    }
    this.tip.hidden = false;
    const { offsetWidth: wide, offsetHeight: high } = this.tip;
    const place = x + 16 + wide > this.width ? x - 16 - wide : x + 16;
    this.tip.style.left = `${clamp(place, 0, Math.max(0, this.width - wide))}px`;
    this.tip.style.top = `${clamp(y - high / 2, 0, Math.max(0, this.canvas.clientHeight - high))}px`;
    this.heard.textContent = `${title}. ${lines.map((pair) => pair.join(" ")).join(", ")}`;
  }

  leave() {
    this.cursor = null;
    this.tip.hidden = true;
    this.redraw();
  }

  listen() {
    const place = (event) => [event.offsetX, event.offsetY];
    const { canvas, strip } = this;
    let start = null;
    canvas.onpointerdown = (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      start = this.at(event.offsetX);
    };
    canvas.onpointermove = (event) => {
      if (start !== null && Math.abs(this.x(start) - event.offsetX) > 4) this.marked = [start, this.at(event.offsetX)];
      this.point(...place(event));
      this.redraw();
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      const marked = this.marked;
      start = this.marked = null;
      if (marked && event.type === "pointerup") this.show(Math.min(...marked), Math.max(...marked));
    };
    canvas.onpointerleave = () => { if (start === null) this.leave(); };
    canvas.ondblclick = () => this.zoom(0);
    canvas.onblur = () => this.leave();
    canvas.addEventListener("wheel", (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!sideways && !event.ctrlKey && !event.metaKey && !event.altKey) return; // the page scrolls
      event.preventDefault();
      if (!sideways) return this.zoom(Math.exp(-event.deltaY / 200), this.at(event.offsetX));
      const by = event.deltaX / this.inner * (this.to - this.from);
      this.show(this.from + by, this.to + by);
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const span = this.to - this.from;
      const keys = {
        "+": () => this.zoom(2, this.middle()), "=": () => this.zoom(2, this.middle()), "-": () => this.zoom(0.5, this.middle()),
        0: () => this.zoom(0), Escape: () => this.leave(),
        PageUp: () => this.show(this.from - span, this.to - span), PageDown: () => this.show(this.from + span, this.to + span),
        ArrowLeft: () => this.step(event.shiftKey ? -10 : -1), ArrowRight: () => this.step(event.shiftKey ? 10 : 1),
        ArrowUp: () => this.rise(-1), ArrowDown: () => this.rise(1),
        Home: () => this.step(-Infinity), End: () => this.step(Infinity),
      };
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    };
    let held = null;
    const slide = (event) => {
      const middle = clamp((event.offsetX - this.left) / this.inner, 0, 1) * this.total, half = (this.to - this.from) / 2;
      this.show(middle - half, middle + half);
    };
    strip.onpointerdown = (event) => { strip.setPointerCapture(event.pointerId); held = true; slide(event); };
    strip.onpointermove = (event) => { if (held) slide(event); };
    strip.onpointerup = strip.onpointercancel = () => { held = null; };
  }

  /** Where keys zoom: at what is looked at. */
  middle() { return this.cursor === null ? (this.from + this.to) / 2 : clamp(this.cursor, this.from, this.to); }

  /** Bring a place into view. */
  follow(value) {
    const span = this.to - this.from;
    if (value < this.from) this.show(value - span * 0.1, value + span * 0.9);
    if (value >= this.to) this.show(value - span * 0.9, value + span * 0.1);
  }

  rise() {}
}

// Puts the page together: the diagram, the frame that is looked at, the cards, the table of everything.

/** The frame that is looked at: its picture, and how sure the model was of what. */
class Inspector {
  constructor(data, pictures, step) {
    this.data = data;
    this.pictures = pictures;
    this.root = document.querySelector(".inspect");
    const find = (name) => this.root.querySelector(name);
    [this.image, this.none, this.when, this.list, this.note] = ["img", ".none", ".when b", "ol", ".note"].map(find);
    for (const button of this.root.querySelectorAll("[data-step]")) button.onclick = () => step(Number(button.dataset.step));
    this.root.hidden = false;
  }

  show(index) {
    const { name, labels, problem, ms, tries, cold, model } = this.data.frames[index], picture = this.pictures[index];
    this.image.hidden = !picture;
    this.none.hidden = Boolean(picture);
    if (picture) [this.image.src, this.image.alt] = [picture.src, picture.alt];
    this.when.textContent = name;
    this.when.title = name;
    this.list.replaceChildren(...labels.slice(0, 5).map(({ label, score }) => {
      const lane = this.data.lanes.indexOf(label), bar = make("meter", { value: score, min: 0, max: 1 });
      bar.ariaLabel = label;
      bar.style.setProperty("--ink-of", `var(--lane-${lane < 0 ? "other" : lane})`);
      const score2 = make("em", { textContent: score.toFixed(score < 0.1 ? 3 : 2) });
      return make("li", {}, make("span", { textContent: label, title: label }), score2, bar);
    }));
    const told = [`answered in ${count(ms)}\u2009ms`];
    if (tries > 1) told.push(`at try ${tries}`);
    if (cold) told.push("by a cold environment");
    if (this.data.models.length > 1 && model !== null) told.push(`${this.data.models[model].name} ${this.data.models[model].version}`);
    this.note.textContent = problem ? `Not classified: ${problem}` : told.join(", ");
    this.note.classList.toggle("bad", Boolean(problem));
  }
}

/** A frame's row of the table. */
function frameRow({ name, seconds, labels, problem, ms, tries }, most) {
  const row = [["name", name], ["seconds", seconds === null ? "" : seconds.toFixed(3)], ["answered in, ms", ms.toFixed(1)], ["tries", String(tries)],
    ["problem", problem]];
  for (let rank = 0; rank < most; rank++) {
    row.push([`label ${rank + 1}`, labels[rank]?.label ?? ""], [`score ${rank + 1}`, labels[rank]?.score.toFixed(6) ?? ""]);
  }
  return row;
}

const text = document.getElementById("data").textContent, data = JSON.parse(text);
const cards = [...document.querySelectorAll(".cards figure")], pictures = cards.map((card) => card.querySelector("img"));
const inspector = new Inspector(data, pictures, (by) => diagram.step(by));
let last = null;
const diagram = new LabelsPlot(data, pictures, (index) => {
  inspector.show(index);
  last?.classList.remove("chosen");
  last = cards[index];
  last.classList.add("chosen");
});
if (data.frames.length) diagram.choose(0);
else document.querySelector(".inspect").hidden = true;
cards.forEach((card, index) => {
  card.onclick = () => {
    diagram.choose(index, true);
    diagram.root.scrollIntoView({ block: "start", behavior: "smooth" });
  };
});

/** Which cards are shown: those of one label, or all; of very many the first, until all are asked for. */
const AT_FIRST = 120, more = make("button", { type: "button", textContent: `show all ${count(cards.length)}` });
let label = "", whole = cards.length <= AT_FIRST * 1.25;
function showCards() {
  cards.forEach((card, index) => {
    card.hidden = label ? data.frames[index].labels[0]?.label !== label : !whole && index >= AT_FIRST;
  });
  more.hidden = whole || Boolean(label);
}
more.onclick = () => {
  whole = true;
  showCards();
};
document.querySelector(".cards").after(make("p", { className: "turn" }, more));
const chips = document.querySelectorAll("[data-label]");
for (const chip of chips) {
  chip.onclick = () => {
    for (const other of chips) other.ariaPressed = String(other === chip);
    label = chip.dataset.label;
    showCards();
  };
}
showCards();
const most = Math.max(1, ...data.frames.map((frame) => frame.labels.length));
const kinds = { frames: { length: data.frames.length, row: (index) => frameRow(data.frames[index], most) } };
new Table("numbers", kinds);
for (const button of document.querySelectorAll("[data-save]")) {
  const kind = button.dataset.save;
  button.onclick = () => (kind === "json" ? save("report.json", "application/json", text) : save(`${kind}.csv`, "text/csv", csv(kinds[kind])));
}
document.documentElement.dataset.ready = "yes";

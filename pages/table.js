// The table of everything, page by page, and the files that it can be saved as.

class Table {
  constructor(id, kinds) {
    this.root = document.getElementById(id);
    this.kinds = kinds;
    this.kind = Object.keys(kinds)[0];
    this.page = 0;
    this.rows = 25;
    const find = (name) => this.root.querySelector(`[data-${name}]`);
    [this.back, this.on, this.place, this.said] = [find("back"), find("on"), find("place"), find("said")];
    this.back.onclick = () => this.go(this.page - 1);
    this.on.onclick = () => this.go(this.page + 1);
    this.place.onchange = () => this.go(Math.floor(Number(this.place.value) / this.rows));
    for (const button of this.root.querySelectorAll("[data-kind]")) {
      button.onclick = () => {
        this.kind = button.dataset.kind;
        for (const other of this.root.querySelectorAll("[data-kind]")) other.ariaPressed = String(other === button);
        this.go(0);
      };
    }
    this.go(0);
  }

  go(page) {
    const { length, row } = this.kinds[this.kind], pages = Math.max(1, Math.ceil(length / this.rows));
    this.page = clamp(Number.isFinite(page) ? page : 0, 0, pages - 1);
    const first = this.page * this.rows, end = Math.min(length, first + this.rows), rows = [];
    for (let i = first; i < end; i++) rows.push(row(i));
    const head = (rows[0] || []).map(([name]) => make("th", { textContent: name, scope: "col" }));
    const body = rows.map((cells) => make("tr", {}, ...cells.map(([name, value]) =>
      make("td", { textContent: value, className: name === "kind" ? { key: "key", boosted: "boost" }[value] || "" : "" }))));
    this.root.querySelector("table").replaceChildren(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
    this.said.textContent = `${this.kind} ${count(first)} to ${count(end - 1)} of ${count(length)}`;
    this.back.disabled = this.page === 0;
    this.on.disabled = this.page === pages - 1;
  }
}

/** Comma-separated values; numbers lose the thin spaces that make them readable. */
function csv({ length, row }) {
  const lines = [row(0).map(([name]) => name)];
  for (let i = 0; i < length; i++) lines.push(row(i).map(([, value]) => value.replaceAll("\u2009", "").replace(/ dB$/, "")));
  return lines.map((cells) => cells.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")).join("\n") + "\n";
}

function save(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

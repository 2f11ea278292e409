// Puts the page of a job together, and while the job runs asks for what is new.

const data = JSON.parse(document.getElementById("data").textContent);
const model = new Model(data.limits);
model.take(data.facts);
const plots = [new LoadPlot(model), new RowsPlot(model)];

const kinds = {
  tasks: {
    get length() { return model.tasks.size; },
    row: (i) => {
      const task = model.inOrder[i], last = task.runs.at(-1);
      return [["task", task.name], ["state", task.done !== null ? "done" : last.ended === null ? "running" : last.how],
        ["runs", String(task.runs.length)], ["began, s", (task.runs[0].began / 1000).toFixed(3)],
        ["done, s", task.done === null ? "\u2013" : (task.done / 1000).toFixed(3)],
        ["waited, s", (spent(last, "wait") / 1000).toFixed(3)], ["by worker", String(last.worker.number)]];
    },
  },
  workers: {
    get length() { return model.workers.size; },
    row: (i) => {
      const worker = [...model.workers.values()][i], seconds = (ms) => (ms === null ? "\u2013" : (ms / 1000).toFixed(3));
      return [["worker", String(worker.number)], ["launched, s", seconds(worker.launched)], ["came, s", seconds(worker.came)],
        ["gone, s", seconds(worker.gone)], ["runs", String(worker.runs.length)], ["why it went", worker.why || "\u2013"]];
    },
  },
};
const spent = (run, stage) => run.spans.reduce((sum, span) => sum + (span.stage === stage ? (span.ended ?? model.end) - span.began : 0), 0);
const table = new Table("numbers", kinds);
for (const button of document.querySelectorAll("[data-save]")) {
  const kind = button.dataset.save;
  button.onclick = () => (kind === "json" ? save("job.json", "application/json", JSON.stringify(data)) : save(`${kind}.csv`, "text/csv", csv(kinds[kind])));
}

/** The stages that came up, with their colours. */
function legend() {
  for (const list of document.querySelectorAll(".legend")) {
    const stages = ["starting", ...model.stages.filter((stage) => stage !== "wait"), ...(model.stages.includes("wait") ? ["wait"] : [])];
    if (list.childElementCount === stages.length) continue;
    list.replaceChildren(...stages.map((stage) => {
      const dot = make("i");
      dot.style.background = ink(stage, model.stages.indexOf(stage));
      if (stage === "starting") dot.style.outline = `1px solid ${colour("faint")}`;
      return make("li", {}, dot, stage);
    }));
  }
}

function tell(tiles) {
  for (const [name, value, unit, note] of tiles) {
    const tile = document.querySelector(`[data-tile="${name}"]`);
    if (!tile) continue;
    const [shown, below] = tile.querySelectorAll("dd");
    shown.replaceChildren(value, make("span", { className: "unit", textContent: unit }));
    below.textContent = note;
  }
}

/** What went through each stage. */
function list(stages) {
  const rows = stages.map((cells) => make("tr", {}, ...cells.map((text) => make("td", { textContent: text }))));
  document.querySelector("#stages tbody")?.replaceChildren(...rows);
  dots();
}

/** A stage's colour before its name. */
function dots() {
  for (const cell of document.querySelectorAll("#stages td:first-child")) {
    const dot = make("i"), name = cell.textContent;
    dot.style.background = ink(name, Math.max(0, model.stages.indexOf(name)));
    cell.replaceChildren(dot, name);
  }
}

async function ask() {
  try {
    const answer = await fetch(`${data.live}?from=${model.taken}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const news = await answer.json();
    data.facts.push(...news.facts);
    model.take(news.facts);
    model.end = Math.max(model.end, news.now);
    tell(news.tiles);
    list(news.stages);
    legend();
    for (const plot of plots) plot.grow();
    table.go(table.page);
    document.documentElement.dataset.taken = String(model.taken);
    if (news.over && news.facts.length === 0) return location.reload();
    document.getElementById("state").textContent = "live";
  } catch (error) {
    document.getElementById("state").textContent = `nothing new: the coordinator does not answer (${error.message})`;
  }
  setTimeout(ask, 1000);
}

legend();
dots();
document.documentElement.dataset.ready = "yes";
if (data.live) ask();

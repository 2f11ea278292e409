// What the facts of a job say: workers, runs, tasks, and how much went on at any time. Facts only ever come to the end.

class Model {
  constructor(limits) {
    this.limits = limits;
    this.workers = new Map();
    this.runs = new Map();
    this.tasks = new Map();
    this.stages = []; // in the order in which they came up
    this.committed = []; // when each task was
    this.lost = [];
    this.taken = 0;
    this.end = 1;
    this.outcome = null;
  }

  take(facts) {
    for (const [kind, at, ...about] of facts) {
      this.end = Math.max(this.end, at);
      this[kind]?.(at, ...about);
    }
    this.taken += facts.length;
  }

  worker(number, at) {
    if (!this.workers.has(number)) this.workers.set(number, { number, launched: at, came: null, gone: null, why: "", spans: [], runs: [] });
    return this.workers.get(number);
  }

  task(name) {
    if (!this.tasks.has(name)) this.ordered = null;
    if (!this.tasks.has(name)) this.tasks.set(name, { name, spans: [], runs: [], done: null });
    return this.tasks.get(name);
  }

  /** The tasks by name, numbers in it by their value: the chunks of a chain lie beside each other. */
  get inOrder() {
    const order = new Intl.Collator("en", { numeric: true }).compare;
    this.ordered ??= [...this.tasks.values()].sort((one, other) => order(one.name, other.name));
    return this.ordered;
  }

  /** A time that a run spent on something; it is shown in the row of its worker and in that of its task. */
  spend(run, stage, began, ended, more = {}) {
    if (!this.stages.includes(stage)) this.stages.push(stage);
    const span = { stage, began, ended, run, ...more };
    run.spans.push(span);
    run.worker.spans.push(span);
    run.task.spans.push(span);
    return span;
  }

  launch(at, number) { this.worker(number, at); }

  come(at, number) {
    const worker = this.worker(number, at);
    if (worker.came === null) {
      worker.came = at;
      worker.spans.unshift({ stage: "starting", began: worker.launched, ended: at, run: null });
    }
  }

  broke(at, number, why) { this.worker(number, at).why = why; }

  gone(at, number, why) { Object.assign(this.worker(number, at), { gone: at, why }); }

  assign(at, number, id, name) {
    const run = { id, worker: this.worker(number, at), task: this.task(name), began: at, ended: null, how: "", why: "", spans: [], waits: null, open: null, sent: [] };
    run.worker.runs.push(run);
    run.task.runs.push(run);
    this.runs.set(id, run);
  }

  /** What a run is at since it told of something else; when that began and ended exactly is told later, by a span. */
  at(at, id, stage) {
    const run = this.runs.get(id);
    if (!run) return;
    const last = run.spans.at(-1);
    this.settle(run, at);
    run.open = this.spend(run, stage, Math.min(at, last ? last.ended ?? at : run.began), null);
  }

  /** What a run was at is over, as far as is known. */
  settle(run, at) {
    if (run.open) run.open.ended ??= at;
  }

  span(at, id, stage, ended) {
    const run = this.runs.get(id);
    if (run?.open?.stage === stage) {
      Object.assign(run.open, { began: at, ended });
      run.open = null;
    } else if (run) {
      this.spend(run, stage, at, ended);
      if (run.open && run.open.began < ended) run.open.began = ended;
    }
    this.end = Math.max(this.end, ended);
  }

  wait(at, id, sender, name) {
    const run = this.runs.get(id);
    if (!run) return;
    this.settle(run, at);
    run.waits = this.spend(run, "wait", at, null, { sender, name });
  }

  go(at, id) {
    const run = this.runs.get(id);
    if (run?.waits) [run.waits.ended, run.waits] = [at, null];
  }

  sent(at, id, receiver, name, bytes) { this.runs.get(id)?.sent.push({ at, receiver, name, bytes }); }

  over(at, id, how, why) {
    const run = this.runs.get(id);
    if (!run) return;
    Object.assign(run, { ended: at, how, why });
    this.settle(run, at);
    if (run.waits) [run.waits.ended, run.waits] = [at, null];
    if (how === "done") {
      run.task.done = at;
      this.committed.push(at);
    } else if (how !== "stopped") {
      this.lost.push(run);
    }
  }

  ended(at, kind, why) { this.outcome = { kind, why, at }; }

  /** When what a span waited for was there. */
  arrived(span) {
    for (const run of this.tasks.get(span.sender)?.runs || []) {
      const sent = run.sent.find((message) => message.name === span.name && message.receiver === span.run.task.name);
      if (sent) return { at: sent.at, bytes: sent.bytes, run };
    }
    return null;
  }

  /** How many workers were at what, in each of so many parts of the time up to `end`. */
  load(parts, end) {
    const length = end / parts, held = new Map();
    const spend = (stage, began, ended) => {
      if (!held.has(stage)) held.set(stage, new Float64Array(parts));
      const row = held.get(stage), last = Math.min(parts - 1, Math.floor(ended / length));
      for (let part = Math.max(0, Math.floor(began / length)); part <= last; part++) {
        row[part] += Math.max(0, Math.min(ended, (part + 1) * length) - Math.max(began, part * length)) / length;
      }
    };
    for (const worker of this.workers.values()) {
      spend("starting", worker.launched, worker.came ?? worker.gone ?? end);
      for (const run of worker.runs) {
        let known = 0;
        for (const span of run.spans) {
          spend(span.stage, span.began, span.ended ?? end);
          known += (span.ended ?? end) - span.began;
        }
        const whole = (run.ended ?? end) - run.began;
        if (whole - known > 1 && run.spans.length === 0) spend("running", run.began, run.ended ?? end);
      }
    }
    return held;
  }
}

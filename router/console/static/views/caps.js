// The named caps: limits that any queues share, with what waits for each, and a form to define, change, hold and delete one.

import { call, path } from "../api.js";
import { CapUsage } from "../cap_usage.js";
import { h, replace } from "../dom.js";
import { DURATION_HINT, readDuration } from "../durations.js";
import { FieldError } from "../field_error.js";
import { amount } from "../format.js";
import { repeat } from "../repeat.js";
import { go, href } from "../routes.js";
import { serverNow } from "../server_clock.js";
import { isTaken } from "../taken.js";
import { moment } from "../times.js";
import { badge } from "../widgets/badge.js";
import { card, factList } from "../widgets/card.js";
import { change, changeButton, forbid, refusal } from "../widgets/change.js";
import { Form } from "../widgets/form.js";
import { heading } from "../widgets/heading.js";
import { sayError } from "../widgets/notices.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {object} Limit
 * @property {number} [interval] ms; answers have it
 * @property {string} rate
 * @property {number} burst
 * @property {"job" | "cost"} unit
 */

/**
 * @typedef {object} Cap
 * @property {string} name
 * @property {Limit[]} limits
 * @property {number | null} max_leased
 * @property {number | null} held_until ms since the epoch
 * @property {number | null} leased
 * @property {number | null} next_slot_in ms
 * @property {number} slots_used since the cap was defined
 * @property {"hold" | "max_leased" | "rate" | null} blocked_by
 * @property {number} [queues]
 * @property {number} [queued]
 */

const REFRESH_MS = 5_000;

/** So many caps are listed at most. */
const MOST_LISTED = 1000;

const LIMITS_HINT = "a line for each, up to three, such as 40/s or 900/min, burst 5, cost; empty: none";

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/**
 * Show all caps until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `name` of a cap to open
 * @param {{signal: AbortSignal}} options
 */
export async function show(root, parameters, { signal }) {
  const place = h("div", null);
  const usage = new CapUsage();
  const list = capTable((cap) => void open(cap.name), usage);
  const define = changeButton("Define a cap", { words: WORDS, type: null, onClick: async () => edit(null) });
  replace(
    root,
    heading({ title: "Caps", actions: define }),
    h(
      "p",
      { class: "soft" },
      "A cap is a limit that any queues share, of any types. Queues name it in their settings or when jobs are enqueued.",
    ),
    card("All caps", { isWide: true }, list.node),
    place,
  );
  await load();
  if (parameters["name"]) void open(parameters["name"]);
  const refresh = repeat(load, { everyMs: REFRESH_MS, signal, onError: sayError });

  async function load() {
    const answer = await call("GET", "/caps/", { query: { limit: MOST_LISTED }, signal });
    usage.note(answer.caps, performance.now());
    const byName = (/** @type {Cap} */ one, /** @type {Cap} */ other) => (one.name < other.name ? -1 : 1);
    list.update([...answer.caps].sort(byName));
  }

  /** @param {string} name */
  async function open(name) {
    try {
      edit(await call("GET", path("cap", name), { signal }));
    } catch (error) {
      if (!signal.aborted) sayError(error);
    }
  }

  function close() {
    replace(place);
    go(href("caps"), { isSilent: true });
    define.focus();
  }

  /** @param {Cap | null} cap null: a new one */
  function edit(cap) {
    go(href("caps", [], { name: cap?.name }), { isSilent: true });
    /** @param {string | null} name the cap to show next */
    const onChange = (name) => {
      refresh.again();
      if (name === null) close();
      else void open(name);
    };
    const panel = card(
      cap?.name ?? "New cap",
      { onClose: close },
      cap && summary(cap),
      capForm(cap, onChange),
    );
    replace(place, panel);
    panel.querySelector("h2")?.focus();
  }
}

/**
 * @param {(cap: Cap) => void} onOpen
 * @param {CapUsage} usage
 */
function capTable(onOpen, usage) {
  return table({
    columns: [
      { name: "name", label: "Cap", cell: (/** @type {Cap} */ cap) => cap.name, isMain: true },
      { name: "state", label: "Now", cell: (cap) => stateOf(cap) },
      { name: "limits", label: "Limits", cell: (cap) => cap.limits.map(limitText).join("; ") || "none" },
      { name: "used", label: "In use", cell: (cap) => usage.text(cap), isNumber: true },
      { name: "leased", label: "Leased", cell: (cap) => leasedText(cap) },
    ],
    key: (cap) => cap.name,
    caption: "Caps",
    empty: "No cap is defined.",
    onOpen,
  });
}

/** @param {Cap} cap */
function stateOf({ blocked_by, held_until }) {
  if (blocked_by === "hold" && held_until !== null) {
    return h("span", null, badge("held", "watch"), " ends ", moment(held_until, { now: serverNow() }));
  }
  if (blocked_by === "max_leased") return badge("leases full", "watch");
  return blocked_by === "rate" ? badge("at its rate", "well") : badge("allows a lease", "well");
}

/** @param {Limit} limit */
function limitText({ rate, burst, unit }) {
  return [rate, burst === 1 ? "" : `burst ${burst}`, unit === "cost" ? "cost" : ""]
    .filter(Boolean)
    .join(", ");
}

/** @param {Cap} cap */
function leasedText({ max_leased, leased }) {
  return max_leased === null ? "" : `${leased} of ${max_leased}`;
}

/**
 * Read a cap again: jobs that named it may have come since it was opened.
 *
 * @param {Cap} cap
 * @returns {Promise<Cap>}
 */
function asItIs(cap) {
  return call("GET", path("cap", cap.name));
}

/** @param {Cap} cap */
function summary(cap) {
  return factList([
    ["Now", stateOf(cap)],
    ["Leased", leasedText(cap) || "any number"],
    ["Queues", amount(cap.queues ?? 0, "queue has it", "queues have it")],
    ["Waiting", amount(cap.queued ?? 0, "queued job")],
  ]);
}

/**
 * @param {Cap | null} cap
 * @param {(name: string | null) => void} onChange
 */
function capForm(cap, onChange) {
  const form = new Form({
    fields: [
      { name: "cap", label: "Name", value: cap?.name ?? "", isFixed: cap !== null },
      {
        name: "limits",
        label: "Limits",
        hint: LIMITS_HINT,
        value: cap?.limits.map(limitText).join("\n") ?? "",
        isCode: true,
      },
      {
        name: "max_leased",
        label: "Most leases at a time",
        hint: "empty: any number",
        value: cap?.max_leased == null ? "" : String(cap.max_leased),
      },
      {
        name: "hold",
        label: "Hold for",
        hint: `${DURATION_HINT}; empty: no further hold; 0 ends it`,
        value: "",
      },
    ],
    action: cap ? "Review changes" : "Define",
    label: cap ? `Change ${cap.name}` : "New cap",
    onSubmit,
  });
  const reason = refusal(WORDS, null);
  if (reason !== null) forbid(form.button, reason);
  if (cap !== null) {
    const drop = async () => dropCap(await asItIs(cap), () => onChange(null));
    form.foot.append(
      changeButton("Delete the cap", { words: WORDS, type: null, isDangerous: true, onClick: drop }),
    );
  }

  /** @param {Record<string, string>} values */
  async function onSubmit(values) {
    const name = values["cap"] ?? "";
    const body = capBody(values);
    if (cap === null && (await isTaken(path("cap", name)))) {
      throw new FieldError("cap", "there is a cap of this name; open it to change it");
    }
    const queues = cap ? ((await asItIs(cap)).queues ?? 0) : 0;
    const answer = await change({
      title: cap ? `Change the cap ${name}?` : `Define the cap ${name}?`,
      text: [
        `Limits: ${body.limits.map(limitText).join("; ") || "none"}.`,
        `Leases at a time: ${body.max_leased ?? "any number"}.`,
        ...(cap ? [`${amount(queues, "queue has it", "queues have it")}, of any types.`] : []),
      ],
      action: cap ? "Change" : "Define",
      perform: () => call("PUT", path("cap", name), { body }),
      done: () => (cap ? `The cap ${name} is changed.` : `The cap ${name} is defined.`),
    });
    if (answer !== null) onChange(name);
  }

  return form.node;
}

/**
 * @param {Record<string, string>} values
 * @returns {{limits: Limit[], max_leased: number | string | null, hold?: number | null}}
 */
function capBody({ limits = "", max_leased = "", hold = "" }) {
  const lines = limits.split("\n").map((line) => line.trim());
  const body = {
    limits: lines.filter((line) => line !== "").map(limitOf),
    max_leased:
      max_leased === "" ? null : Number.isFinite(Number(max_leased)) ? Number(max_leased) : max_leased,
  };
  if (hold === "") return body;
  const ms = hold === "0" ? 0 : readDuration(hold);
  if (ms === null) throw new FieldError("hold", `expected a duration, ${DURATION_HINT}`);
  return { ...body, hold: ms === 0 ? null : ms };
}

/**
 * Return a limit from a line such as `900/min, burst 5, cost`; the commas may be missing.
 *
 * @param {string} line
 * @returns {Limit}
 */
function limitOf(line) {
  const match = /^([^\s,]+)(?:[\s,]+burst\s+([\d.]+))?([\s,]+cost)?$/.exec(line);
  if (match === null) throw new FieldError("limits", `expected ${LIMITS_HINT}`);
  return { rate: match[1] ?? "", burst: Number(match[2] ?? 1), unit: match[3] ? "cost" : "job" };
}

/**
 * @param {Cap} cap
 * @param {() => void} onDrop
 */
async function dropCap({ name, queues = 0 }, onDrop) {
  const answer = await change({
    title: `Delete the cap ${name}?`,
    text:
      queues === 0
        ? "No queue has it."
        : `${amount(queues, "queue has it", "queues have it")} and will give nothing until it exists again.`,
    action: "Delete",
    isDangerous: true,
    perform: () => call("DELETE", path("cap", name)),
    done: () => `The cap ${name} is deleted.`,
  });
  if (answer !== null) onDrop();
}

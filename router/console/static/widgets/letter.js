// A dead letter apart from the job of the same id: its drop, and what is shown while a newer job has its id.

import { call, path } from "../api.js";
import { h } from "../dom.js";
import { href } from "../routes.js";
import { change, changeButton } from "./change.js";

/**
 * Show that a live job has taken the id of a dead letter, whose own record the API does not tell.
 *
 * @param {import("./job.js").JobKey} key
 * @param {{state: string}} job the live job
 * @param {() => void} reload
 */
export function behindLiveJob(key, job, reload) {
  const { queue_type, queue_id, job_id } = key;
  const live = href("queue", [queue_type, queue_id], { state: job.state, job: job_id });
  const drop = changeButton("Drop the dead letter", {
    words: ["operate"],
    type: queue_type,
    isDangerous: true,
    onClick: async () => {
      if ((await dropLetter(key)) !== null) reload();
    },
  });
  return [
    h(
      "p",
      { class: "verdict" },
      `The job of this id that died is a dead letter. A newer job has the same id and is ${job.state}, so the dead letter cannot be retried before that one has ended.`,
    ),
    h("p", null, h("a", { href: live }, "Show the newer job")),
    h("div", { class: "actions" }, drop),
  ];
}

/** Ask for the drop of a dead letter. @param {import("./job.js").JobKey} key */
export function dropLetter({ queue_type, queue_id, job_id }) {
  return change({
    title: `Drop the dead letter ${job_id}?`,
    text: "The job and its payload are gone.",
    action: "Drop",
    isDangerous: true,
    perform: () => call("DELETE", path("dead", queue_type, queue_id, job_id)),
    done: () => `${job_id} is dropped.`,
  });
}

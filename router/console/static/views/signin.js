// Asks for the token. It stays in this tab, and is gone when the tab is closed.

import { h, replace } from "../dom.js";
import { signIn } from "../session.js";
import { textOf } from "../widgets/notices.js";

/**
 * Show the form, and go on once the server knows the token.
 *
 * @param {HTMLElement} root
 * @param {string} reason why the last token was refused, or ""
 * @param {() => Promise<void>} onDone
 */
export function askForToken(root, reason, onDone) {
  document.title = "Sign in · SHARQ";
  const failure = h("p", { id: "signin-failure", class: "failure", role: "alert" }, reason);
  const input = h("input", {
    id: "signin-token",
    type: "password",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "signin-failure signin-hint",
  });
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h(
    "form",
    {
      class: "lone signin",
      onsubmit: async (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        button.disabled = true;
        try {
          await signIn(input.value.trim());
        } catch (error) {
          replace(failure, textOf(error));
          button.disabled = false;
          input.select();
          return;
        }
        await onDone();
      },
    },
    h("h1", null, "Sign in"),
    h("label", { for: "signin-token" }, "Token"),
    input,
    h(
      "p",
      { id: "signin-hint", class: "hint" },
      "It stays in this tab. An operator makes one with sharq token new.",
    ),
    failure,
    button,
  );
  replace(root, form);
  input.focus();
}

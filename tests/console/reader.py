"""A person who uses the console's page, and the API by which the changes made there are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.console.site import Document, Site, Watched, expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

EXPECTED = ("Failed to load", "ApiError")
"""The beginning of a browser's lines about answers of 400 and above, and of the page's own lines."""


class Api:
    """The API of the console's server, by which a change is judged."""

    def __init__(self, site: Site, kind: str) -> None:
        self.call = site.call
        self._kind = kind

    def queue(self, queue_id: str = "acme") -> Document:
        """Return the state of a queue."""
        return self.call("GET", f"/queue/{self._kind}/{queue_id}/")

    def job(self, job_id: str, queue_id: str = "acme") -> Document:
        """Return the state of a job."""
        return self.call("GET", f"/job/{self._kind}/{queue_id}/{job_id}/")

    def enqueue(self, *job_ids: str, queue_id: str = "acme", **fields: object) -> None:
        """Queue jobs without a rate."""
        job = {"queue_type": self._kind, "queue_id": queue_id, "interval": 0, "payload": 1, **fields}
        answer = self.call("POST", "/enqueue/", {"jobs": [{**job, "job_id": job_id} for job_id in job_ids]})
        assert answer["failed"] == 0, answer

    def fail(self, errors: dict[str, str]) -> None:
        """Make dead letters of one failed attempt each: job → error."""
        self.enqueue(*errors, requeue_limit=0)
        for job in self.call("POST", f"/dequeue/{self._kind}/?count={len(errors)}")["jobs"]:
            body = {"lease": job["lease"], "error": errors[job["job_id"]]}
            self.call("POST", f"/release/{self._kind}/acme/{job['job_id']}/", body)
        assert self.queue()["dead"] == len(errors)


class Reader:
    """A tab with the console, as a person uses it."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.page: Page = watched.page

    def open(self, place: str, token: str = "admin") -> Page:
        """Sign in and go to a view, such as `queue/sms/acme`."""
        return self._watched.open(f"#/{place}", token)

    def forgive(self) -> None:
        """Forget what is written to the log for each answer of 400 and above: the flows provoke some."""
        self._watched.faults = [fault for fault in self._watched.faults if not fault.startswith(EXPECTED)]

    def button(self, name: str) -> Locator:
        """Return a button of the page."""
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        """Return an input of the page."""
        return self.page.get_by_label(label, exact=True)

    def confirm(self, action: str) -> str:
        """Agree to the dialog that asks once more, and return what it asked."""
        dialog = self.page.get_by_role("dialog")
        text = dialog.inner_text()
        dialog.get_by_role("button", name=action, exact=True).click()
        expect(dialog).to_have_count(0)
        return text

    def said(self, text: str) -> None:
        """Wait until the page says something."""
        expect(self.page.locator("#notices")).to_contain_text(text)

    def objection(self, label: str) -> Locator:
        """Return what is said beside a field."""
        field = self.field(label)
        expect(field).to_have_attribute("aria-invalid", "true")
        return self.page.locator(f"[id='{(field.get_attribute('aria-describedby') or '').split()[-1]}']")

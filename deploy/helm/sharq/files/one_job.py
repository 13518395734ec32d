"""One job goes all the way through $SERVICE_URL: enqueued, leased and finished.

$SHARQ_TOKEN is shown where it is set; $SSL_CERT_FILE, which Python reads, names who signs the certificates.
"""

import json
import os
import urllib.request
import uuid

KIND = "helm-test"
HEADERS = {"Authorization": f"Bearer {os.environ['SHARQ_TOKEN']}"} if "SHARQ_TOKEN" in os.environ else {}


def ask(path: str, body: object) -> dict[str, str]:
    """Return the JSON answer of a POST; an error status raises."""
    request = urllib.request.Request(os.environ["SERVICE_URL"] + path, json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=20) as answer:
        parsed: dict[str, str] = json.load(answer)
    return parsed


job_id = str(uuid.uuid4())
ask(f"/enqueue/{KIND}/{job_id}/", {"job_id": job_id, "interval": 0, "payload": "hello"})
job = ask(f"/dequeue/{KIND}/?wait=10000", {})
ask(f"/finish/{KIND}/{job['queue_id']}/{job['job_id']}/", {"lease": job["lease"]})
print("enqueued, leased and finished", job["job_id"])

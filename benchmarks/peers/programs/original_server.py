"""The original's core behind Flask, as its own server has it: run by gunicorn in the original's Python.

The published server runs on Python 2 only, so its three hot calls stand here. SHARQ_CORE_CONFIG names the config file.
"""

import os

from flask import Flask, Response, jsonify, request
from sharq import SharQ  # type: ignore[import-not-found]

app = Flask(__name__)
core = SharQ(os.environ["SHARQ_CORE_CONFIG"])


@app.get("/")
def hello() -> Response:
    return jsonify(message="hello")


@app.post("/enqueue/<queue_type>/<queue_id>/")
def enqueue(queue_type: str, queue_id: str) -> tuple[Response, int]:
    job = {**request.get_json(force=True), "queue_type": queue_type, "queue_id": queue_id}
    return jsonify(core.enqueue(**job)), 201


@app.get("/dequeue/<queue_type>/")
def dequeue(queue_type: str) -> tuple[Response, int]:
    answer = core.dequeue(queue_type=queue_type)
    return jsonify(answer), 200 if answer["status"] == "success" else 404


@app.post("/finish/<queue_type>/<queue_id>/<job_id>/")
def finish(queue_type: str, queue_id: str, job_id: str) -> tuple[Response, int]:
    answer = core.finish(queue_type=queue_type, queue_id=queue_id, job_id=job_id)
    return jsonify(answer), 200 if answer["status"] == "success" else 404

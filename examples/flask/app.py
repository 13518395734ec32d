"""The web application: it accepts orders and leaves the notifications to the worker."""

from __future__ import annotations

import uuid

from flask import Flask, Response, jsonify, make_response, request, url_for

from sharq_client import Client, EnqueueJob, InvalidRequest, QueueFull, SharqError


def create_app(sharq: Client | None = None) -> Flask:
    """Return the application. A test hands in the client of its FakeSharq.

    One client serves all threads of a process. It may be made before the server forks its workers: each of them opens
    connections of its own.
    """
    sharq = sharq or Client()
    app = Flask(__name__)

    @app.post("/customers/<customer>/orders")
    def accept_order(customer: str) -> Response:
        order = {"id": str(uuid.uuid4()), **request.get_json()}  # a real shop stores it here
        sharq.enqueue(
            EnqueueJob(
                queue_type="notifications",
                queue_id=customer,  # each customer has a queue, whose rate is its own
                job_id=order["id"],
                payload=order,
                rate="5/s",
                burst=1.1,
                max_queued_length=100,
            )
        )
        state = url_for("show_notification", customer=customer, order_id=order["id"])
        return make_response(jsonify(id=order["id"], notification=state), 202)

    @app.get("/customers/<customer>/orders/<order_id>/notification")
    def show_notification(customer: str, order_id: str) -> Response:
        job = sharq.job("notifications", customer, order_id)
        if job is None:
            return make_response(jsonify(error="no such order, or it was notified long ago"), 404)
        return jsonify(state=job.state, attempts=job.attempt, error=job.error, result=job.result)

    @app.get("/health")
    def show_health() -> Response:
        return make_response("", 200 if sharq.readyz() else 503)

    @app.errorhandler(QueueFull)
    def refuse(error: QueueFull) -> Response:
        seconds = error.queue_length / 5  # about when all that waits has left
        answer = make_response(jsonify(error="this customer has too many notifications waiting"), 429)
        answer.headers["Retry-After"] = str(round(seconds))
        return answer

    @app.errorhandler(SharqError)
    def explain(error: SharqError) -> Response:
        status = 400 if isinstance(error, InvalidRequest) else 503
        return make_response(jsonify(error=error.message), status)

    return app

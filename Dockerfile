# sharq-router, sharq-shard and sharq-server; which of them runs is the container's command.
#
#   docker build -t sharq-cluster .
#   docker run --read-only --cap-drop ALL -p 8080:8080 -v sharq:/var/lib/sharq sharq-cluster
#
# Nothing is written but the embedded store and the file of tokens, in /var/lib/sharq: the root may be read-only. The
# first start makes a token and prints it; see docs/security.md.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY deploy/container deploy/container
COPY sharq_core sharq_core
COPY shard shard
COPY router router
COPY sharq_server sharq_server
RUN deploy/container/install /opt/sharq

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/sharq /opt/sharq
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/sharq
ENV PATH=/opt/sharq/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/sharq
VOLUME /var/lib/sharq
EXPOSE 8080 8090
STOPSIGNAL SIGTERM
CMD ["sharq-server", "--host", "0.0.0.0", "--data-dir", "/var/lib/sharq", "--make-token"]

# sharq-router, sharq-shard and sharq-server; which of them runs is the container's command.
#
#   docker build -t sharq-cluster .
#   docker run --read-only --cap-drop ALL -p 8080:8080 -v sharq:/var/lib/sharq sharq-cluster
#
# Nothing is written but the embedded store and the file of tokens, in /var/lib/sharq: the root may be read-only. The
# first start makes a token and prints it; see docs/security.md.
#
# A tag may be moved to other content, a digest cannot. To build on a digest and name the source's revision:
#
#   docker buildx imagetools inspect python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:... \
#     --build-arg REVISION=$(git rev-parse HEAD) -t sharq-cluster .
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
ARG PYTHON_IMAGE
ARG VERSION=2.0.0b2
ARG REVISION=unknown
LABEL org.opencontainers.image.title="SHARQ cluster" \
      org.opencontainers.image.description="A rate-limited queueing system over HTTP, on Redis or Valkey" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /opt/sharq /opt/sharq
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/sharq
ENV PATH=/opt/sharq/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/sharq
VOLUME /var/lib/sharq
EXPOSE 8080 8090
STOPSIGNAL SIGTERM
# On port 8080 or 8090, whichever of the programs runs; --health-cmd "sharq-healthy PORT" for another port.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["sharq-healthy"]
CMD ["sharq-server", "--host", "0.0.0.0", "--data-dir", "/var/lib/sharq", "--make-token"]

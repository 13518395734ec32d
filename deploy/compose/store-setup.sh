#!/bin/sh
# Make one Redis Cluster of the servers, three primaries and a replica each, unless they are one already.
#
#   store-setup.sh HOST:PORT ...        six of them; CLI=redis-cli for another client than valkey-cli, CLI_OPTIONS=--tls
#                                       and more for what it needs to be let in
set -eu

cli() {  # WORD...
    # shellcheck disable=SC2086  # options are words
    "${CLI:-valkey-cli}" ${CLI_OPTIONS:-} "$@"
}
ask() {  # HOST:PORT WORD...
    host=${1%:*} port=${1##*:}
    shift
    cli -h "$host" -p "$port" "$@"
}

for server in "$@"; do
    tries=0
    until [ "$(ask "$server" PING 2>/dev/null)" = PONG ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || { echo "$server does not answer" >&2; exit 1; }
        sleep 0.5
    done
done

if ask "$1" CLUSTER INFO | grep -q '^cluster_slots_assigned:16384'; then
    echo "the store is a cluster already"
    exit 0
fi
cli --cluster create "$@" --cluster-replicas 1 --cluster-yes

#!/bin/sh
# NATS, a control plane, an edge proxy, and two Python services with a sidecar each. Ctrl-C ends all of it.
#
#   examples/sidecar/run.sh
#
# Needs nats-server and python3 on the PATH. BASE: first of the ports of the services. Default 8000.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
PATH="$PWD/node_modules/.bin:$PATH"
bus=$here/.tocsin/bus
state=$here/.tocsin/state
base=${BASE:-8000}

node deploy/nats/users.ts "$bus" control-plane:control-plane-1 proxy:edge-1 \
  sidecar:users-sidecar:users sidecar:orders-sidecar:orders
mkdir -p "$state"

pids=
stop() {
  trap - INT TERM EXIT
  # Sidecars and the edge first: what deregisters needs the bus.
  for pid in $pids; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
}
trap stop INT TERM EXIT
# Started last, ended first.
start() {
  "$@" &
  pids="$! $pids"
}
# A process of Tocsin: its user's seed, then the command.
tocsin() {
  seed=$1
  shift
  start env TOCSIN_NATS_URL=nats://127.0.0.1:4222 TOCSIN_NATS_CREDENTIALS="$bus/$seed.nk" TOCSIN_LOG_LEVEL=warn "$@"
}

start nats-server --config "$here/nats.conf" --store_dir "$state/nats" --log "$state/nats.log"
tocsin control-plane-control-plane-1 env TOCSIN_CONTROL_PLANE_ID=control-plane-1 TOCSIN_STATE_DIR="$state/control-plane" \
  node cli/bin/tocsin.js control-plane --config "$here/tocsin.yaml"
tocsin proxy-edge-1 env TOCSIN_PROXY_ID=edge-1 TOCSIN_STATE_DIR="$state/edge" TOCSIN_WORKERS=1 \
  TOCSIN_LISTEN=127.0.0.1:$((base + 80)) TOCSIN_PROBE_LISTEN=127.0.0.1:0 node cli/bin/tocsin.js proxy

start python3 "$here/service.py" users $((base + 1)) http://127.0.0.1:15001
tocsin sidecar-users-sidecar env TOCSIN_PROXY_ID=users-sidecar TOCSIN_STATE_DIR="$state/users" \
  TOCSIN_LISTEN=127.0.0.1:$((base + 11)) TOCSIN_OUTBOUND_LISTEN=127.0.0.1:15001 TOCSIN_PROBE_LISTEN=127.0.0.1:0 \
  node cli/bin/tocsin.js proxy --sidecar users=http://127.0.0.1:$((base + 1))

start python3 "$here/service.py" orders $((base + 2))
tocsin sidecar-orders-sidecar env TOCSIN_PROXY_ID=orders-sidecar TOCSIN_STATE_DIR="$state/orders" \
  TOCSIN_LISTEN=127.0.0.1:$((base + 12)) TOCSIN_OUTBOUND_LISTEN=127.0.0.1:15002 TOCSIN_PROBE_LISTEN=127.0.0.1:0 \
  node cli/bin/tocsin.js proxy --sidecar orders=http://127.0.0.1:$((base + 2))

wait

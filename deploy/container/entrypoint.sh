#!/bin/sh
# Starts a node or an edge in a container.
#
# The programs refuse keys that a group may read, and orchestrators mount secrets so that a group may. What is mounted in
# VECTORGATE_SECRETS is therefore copied to /run/vectorgate, which has to be in memory, for this user alone:
#
#   ca.pem                     the authority               -> ca.pem
#   NAME.pem or tls.crt        this process's certificate  -> own.pem
#   NAME.key or tls.key        its key                     -> own.key
#   pepper                     nodes only                  -> pepper
#   keks                       nodes, if it is there       -> keks, which VECTORGATE_SECURITY__KEK_FILE names then
#
# NAME is node-ID for a node and the edge's id for an edge, by VECTORGATE_NODE__ID and VECTORGATE_EDGE__ID. The settings
# name the copies. Anything but `node` and `edge` is run as it is.
set -eu
umask 077

secrets=${VECTORGATE_SECRETS:-/run/secrets/vectorgate}
private=${VECTORGATE_PRIVATE:-/run/vectorgate}

fail() {
    echo "vectorgate-entrypoint: $1" >&2
    exit 64
}

# take TO FROM...: copies the first that is there.
take() {
    to=$private/$1
    shift
    for from in "$@"; do
        if [ -r "$secrets/$from" ]; then
            cat "$secrets/$from" > "$to.new"
            mv -f "$to.new" "$to"
            return
        fi
    done
    fail "$secrets holds none of: $*"
}

case ${1-} in
    node) name=node-${VECTORGATE_NODE__ID:?is the number of this node} ;;
    edge) name=${VECTORGATE_EDGE__ID:?is the name of this edge} ;;
    *) exec "$@" ;;
esac

[ -w "$private" ] || fail "$private cannot be written; mount it in memory, owned by user $(id -u)"
take ca.pem ca.pem
take own.pem "$name.pem" tls.crt
take own.key "$name.key" tls.key
[ "$1" = edge ] || take pepper pepper
if [ "$1" = node ] && [ -r "$secrets/keks" ]; then
    take keks keks
    export VECTORGATE_SECURITY__KEK_FILE="$private/keks"
fi

program=vectorgate-$1
shift
exec "$program" "$@"

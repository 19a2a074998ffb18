#!/bin/sh
# Makes an authority, certificates and the pepper, for trying VectorGate out:
#
#   make-secrets AUTHORITY SECRETS NAME...
#
# A NAME of the form node-N is a node, any other an edge of that id, in the environment that VECTORGATE_ENVIRONMENT
# names (production). The authority's key stays in AUTHORITY, which no other
# container needs. What is there is kept, so it may run at each start; a file is there whole or not at all. In production
# use the authority that you have: docs/installation.md says what has to be in a certificate.
set -eu
umask 077

[ $# -ge 3 ] || { echo "usage: make-secrets AUTHORITY SECRETS NAME..." >&2; exit 64; }
authority=$1
secrets=$2
shift 2
days=825

scratch=$(mktemp -d "$authority/.new.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
exec 9> "$authority/lock"
flock 9

# keep FROM TO: puts a finished file in its place, on a file system that may be another.
keep() {
    cp "$1" "$2.new"
    mv -f "$2.new" "$2"
}

if [ ! -f "$authority/ca.key" ] || [ ! -f "$authority/ca.pem" ]; then
    if [ -f "$secrets/ca.pem" ]; then
        echo "make-secrets: $secrets/ca.pem is there and its key is not in $authority; a second authority would not be trusted" >&2
        exit 65
    fi
    openssl req -x509 -newkey ed25519 -noenc -days "$days" -subj "/CN=VectorGate" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$scratch/ca.key" -out "$scratch/ca.pem"
    keep "$scratch/ca.key" "$authority/ca.key"
    keep "$scratch/ca.pem" "$authority/ca.pem"
fi
keep "$authority/ca.pem" "$secrets/ca.pem"
# The one thing here that is no secret: Prometheus, another user, checks nodes by it.
chmod 0644 "$secrets/ca.pem"

if [ ! -f "$secrets/pepper" ]; then
    openssl rand -hex 32 > "$scratch/pepper"
    keep "$scratch/pepper" "$secrets/pepper"
fi

# kept NAME: whether it has a certificate that nodes take. One of an edge that names no environment is made anew.
kept() {
    [ -f "$secrets/$1.pem" ] && [ -f "$secrets/$1.key" ] || return 1
    case $1 in
        node-*) ;;
        *) openssl x509 -in "$secrets/$1.pem" -noout -ext subjectAltName | grep -q "vg://environment/" ;;
    esac
}

for name in "$@"; do
    case $name in
        *[!A-Za-z0-9._-]*) echo "make-secrets: $name is no name" >&2; exit 64 ;;
        node-*) names="URI:vg://node/${name#node-},DNS:vectorgate-node,DNS:$name,DNS:localhost" ;;
        *) names="URI:vg://edge/$name,URI:vg://environment/${VECTORGATE_ENVIRONMENT:-production}" ;;
    esac
    if kept "$name"; then
        continue
    fi
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=serverAuth,clientAuth"
        echo "authorityKeyIdentifier=keyid"
        echo "subjectAltName=$names"
    } > "$scratch/extensions"
    openssl req -new -newkey ed25519 -noenc -subj "/CN=$name" -keyout "$scratch/key" -out "$scratch/request"
    openssl x509 -req -in "$scratch/request" -CA "$authority/ca.pem" -CAkey "$authority/ca.key" -days "$days" \
        -extfile "$scratch/extensions" -out "$scratch/certificate"
    keep "$scratch/key" "$secrets/$name.key"
    keep "$scratch/certificate" "$secrets/$name.pem"
done

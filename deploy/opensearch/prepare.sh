#!/bin/sh
# Before OpenSearch's first start: certificates of our own, and users with the passwords of the environment. docker-compose.yml runs it.
#
# The image's demo configuration is not used: its certificates, whose keys are public, open the server to everybody who reaches it, and
# all its users but `admin` have well-known passwords. Certificates are made once and kept; users are read by OpenSearch at its first
# start only, and are changed in Dashboards afterwards.
#
# $SECURITY_FOLDER  what OpenSearch reads (its own user's, nobody else's): certificates, keys, users, roles
# $CA_FOLDER        the certificate authority's certificate, for whoever connects
# $SNAPSHOTS_FOLDER where OpenSearch may write snapshots, if set
set -eu
umask 077
security=${SECURITY_FOLDER:-/security}
ca=${CA_FOLDER:-/ca}
given=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
made=$security/certificates

if [ ! -s "$made/admin.pem" ]; then # made last
    mkdir -p "$made"
    cd "$made"
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=hybrid-search CA" -keyout ca-key.pem -out ca.pem 2>/dev/null
    for name in node admin; do
        openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=hybrid-search-$name" -keyout "$name-key.pem" -out "$name.csr" 2>/dev/null
        printf 'subjectAltName=DNS:opensearch,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > "$name.ext"
        openssl x509 -req -sha256 -days 3650 -in "$name.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile "$name.ext" \
            -out "$name.pem" 2>/dev/null
        rm "$name.csr" "$name.ext"
    done
fi

# bcrypt by the C library; password and salt never stand in a command line
hash() {
    PASSWORD=$1 SALT=$(openssl rand -base64 24 | tr '+=' './' | cut -c1-22) perl -e 'print crypt($ENV{PASSWORD}, "\$2y\$12\$$ENV{SALT}")'
}

user() {
    # $1 name, $2 password, $3 a line of roles or nothing
    if [ "${#2}" -lt 12 ]; then
        echo "The password of $1 has fewer than 12 characters: set a longer one." >&2
        exit 2
    fi
    printf '%s:\n  hash: "%s"\n  reserved: false\n%s' "$1" "$(hash "$2")" "${3:-}"
}

cp "$given"/security/*.yml "$security"/
{
    printf '_meta:\n  type: "internalusers"\n  config_version: 2\n'
    user admin "$OPENSEARCH_INITIAL_ADMIN_PASSWORD" '  backend_roles: ["admin"]
'
    user hybrid-search "$OPENSEARCH_PASSWORD"
    user kibanaserver "$DASHBOARDS_PASSWORD"
} > "$security/internal_users.yml"

cp "$made/ca.pem" "$ca/ca.pem"
chmod 755 "$ca"
chmod 644 "$ca/ca.pem"
if [ "$(id -u)" = 0 ]; then
    chown -R "${OPENSEARCH_UID:-1000}:${OPENSEARCH_UID:-1000}" "$security" ${SNAPSHOTS_FOLDER:+"$SNAPSHOTS_FOLDER"}
fi

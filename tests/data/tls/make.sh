#!/bin/sh
# Writes the certificates of tests/test_tls.py anew, by OpenSSL 3: all for one key, which guards
# nothing. They are good until 2126.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
touch "$work/index"
cat > "$work/ca.cnf" <<END
[ca]
default_ca = here
[here]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
END
sign() { # file, subject, extension, first and last day, how: signed by itself or the authority
  openssl req -new -key key.pem -subj "/CN=$2" -addext "$3" -out "$work/csr"
  openssl ca -batch -notext -config "$work/ca.cnf" -keyfile key.pem -in "$work/csr" -out "$1" \
    -startdate "${4}000000Z" -enddate "${5}000000Z" $6
}
openssl ecparam -name prime256v1 -genkey -noout -out key.pem
here=subjectAltName=DNS:localhost,IP:127.0.0.1
sign authority.pem "a test authority" basicConstraints=critical,CA:TRUE 20200101 21260101 -selfsign
sign itself.pem localhost "$here" 20200101 21260101 -selfsign
by="-cert authority.pem"
sign good.pem "a test server" "$here" 20200101 21260101 "$by"
sign other_name.pem "a test server" subjectAltName=DNS:elsewhere.example 20200101 21260101 "$by"
sign expired.pem "a test server" "$here" 20200101 20200201 "$by"
sign early.pem "a test server" "$here" 21250101 21260101 "$by"

#!/bin/sh
# sh search.sh TARGET PKI PROTO FACE: search with a command-line tool for gRPC, `buf`.
#
# TARGET is where the exchange listens, PKI the folder of certificates that
# `biometrics init` makes, PROTO the contract's, and FACE a file of 512 little-endian
# numbers of four bytes, as an extractor gives them: `vector.astype("<f4").tofile(FACE)`.
# `buf` is in the package `buf-bin`. Every call needs a deadline.
set -eu
[ $# -eq 4 ] && [ -r "$4" ] || { sed -n 2,7p "$0" >&2; exit 2; }
target=$1 pki=$2 proto=$3 face=$4

call() {
  buf curl --protocol grpc --schema "$proto" --timeout 10s --servername localhost \
    --cacert "$pki/authority.pem" --cert "$pki/XAA-client.pem" --key "$pki/XAA-client.key" \
    --data @- "https://$target/biometrics.v1.$1"
}

echo '{}' | call SpaceService/ListSpaces

call MatchService/Match <<REQUEST
{
  "requestId": "$(cat /proc/sys/kernel/random/uuid)",
  "purpose": "PURPOSE_ASYLUM_AND_PROTECTION",
  "probe": {
    "templates": [
      {
        "space": "face-synthetic-512",
        "position": "POSITION_FACE",
        "dataType": "DATA_TYPE_FLOAT32",
        "data": "$(base64 "$face" | tr -d '\n')"
      }
    ]
  }
}
REQUEST

#!/usr/bin/env bash
# What humio-operator runs once in a pod (`humio-token-hashing.sh --json [SECRET]`): a secret and the hash that nodes are
# given of it.
set -euo pipefail
exec /usr/bin/backstay token-hash "$@"

#!/usr/bin/env bash
# What humio-operator starts in a pod (`exec bash /app/humio/run.sh`): a node. Everything comes from the environment.
set -euo pipefail
exec /usr/bin/backstay node "$@"

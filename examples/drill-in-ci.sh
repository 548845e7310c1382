#!/usr/bin/env bash
# Plays a disaster and the failover on this machine, and fails when an acknowledged event is lost.
#
#   examples/drill-in-ci.sh REPORT.html [LOGS…]
#
# Needs backstay and jq. The report is for the CI to keep, also when the drill fails.
set -euo pipefail

report=${1:?usage: drill-in-ci.sh REPORT.html [LOGS…]}
shift
flags=(--until failover --report "$report")
if [ $# -gt 0 ]; then flags+=(--logs "$@"); else flags+=(--events 10000); fi

# Standard output has one object, also when the drill fails; the exit code says whether it has.
code=0
result=$(backstay drill --output json "${flags[@]}") || code=$?
if [ "$code" = 0 ]; then
  jq -r '"acknowledged \(.acknowledged), found \(.found), lost \(.lost), duplicated \(.duplicated); back after \(.rto_ms) ms"' <<<"$result"
else
  jq . <<<"$result" >&2
fi
exit "$code"

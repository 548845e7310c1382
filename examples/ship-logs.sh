#!/usr/bin/env bash
# Sends a line in each of the ways that shippers speak, and searches for what has come.
#
#   examples/ship-logs.sh http://localhost:8080 data/admin-token.txt
#
# Needs curl and jq. A success is answered when the event is durable in the bucket: whoever is not
# answered sends again, and with the header Idempotency-Key it is stored once.
set -euo pipefail

url=${1:?usage: ship-logs.sh URL ADMIN-TOKEN-FILE}
admin="Authorization: Bearer $(<"${2:?usage: ship-logs.sh URL ADMIN-TOKEN-FILE}")"
json='Content-Type: application/json'
post() { curl --silent --show-error --fail-with-body --retry 5 "$@"; }

# A repository, and a token that may send to it and nothing else.
graphql='mutation {
  createRepository(name: "shipped") { repository { name } }
  addIngestTokenV3(input: {repositoryName: "shipped", name: "shipper"}) { token }
}'
token=$(jq --null-input --arg query "$graphql" '{query: $query}' |
  post "$url/graphql" -H "$admin" -H "$json" -d @- | jq -er .data.addIngestTokenV3.token)
shipper="Authorization: Bearer $token"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)

# What the client has taken apart already.
post "$url/api/v1/ingest/humio-structured" -H "$shipper" -H "$json" -H "Idempotency-Key: $now $$" \
  -d '[{"tags":{"host":"web-1"},"events":[{"timestamp":"'"$now"'","attributes":{"by":"structured","took":7}}]}]'
# Lines, which a parser takes apart.
post "$url/api/v1/ingest/humio-unstructured" -H "$shipper" -H "$json" \
  -d '[{"type":"kv","messages":["'"$now"' by=unstructured took=8"]}]'
# Splunk's HTTP Event Collector.
post "$url/services/collector/event" -H "Authorization: Splunk $token" -H "$json" \
  -d '{"host":"web-1","event":{"by":"hec","took":9}}'
# Elasticsearch's bulk API.
post "$url/api/v1/ingest/elastic-bulk/_bulk" -H "$shipper" -H 'Content-Type: application/x-ndjson' \
  --data-binary $'{"create":{}}\n{"@timestamp":"'"$now"$'","by":"bulk","took":10}\n'
# OpenTelemetry; its collector's exporter `otlphttp` has the part before /v1/logs as its endpoint.
post "$url/api/v1/ingest/otlp/v1/logs" -H "$shipper" -H "$json" \
  -d '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"'"$(date +%s)"'000000000","body":{"stringValue":"a line"},"attributes":[{"key":"by","value":{"stringValue":"otlp"}}]}]}]}]}'
echo

# What was acknowledged is found by the next search.
post "$url/api/v1/repositories/shipped/query" -H "$admin" -H "$json" -H 'Accept: application/x-ndjson' \
  -d '{"queryString":"by=* | groupBy(by)","start":"24hours"}' |
  jq -rs 'sort_by(.by)[] | "sent by \(.by): \(._count)"'

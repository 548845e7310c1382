#!/usr/bin/env bash
# Writes the file of a pair, from the annotated example, and shows what a standby is told beyond an
# active secondary.
#
#   examples/describe-a-pair.sh GLOBAL-NAME FILE [EXAMPLE]
#
# Needs backstay. There is no secret in the file, only the names of secrets.
set -euo pipefail

host=${1:?usage: describe-a-pair.sh GLOBAL-NAME FILE [EXAMPLE]}
file=${2:?usage: describe-a-pair.sh GLOBAL-NAME FILE [EXAMPLE]}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
example=${3:-$here/../deploy/backstay.example.toml}

if [ -e "$file" ]; then
  echo "$file is there already; name another, or remove it" >&2
  exit 1
fi
sed "s/^global_host = .*/global_host = \"$host\"/" "$example" >"$file"

told() { backstay derive --pair "$file" --region secondary --dr "$1" | sort; }
echo "$file describes a pair behind $host"
comm -13 <(told active) <(told standby) | sed 's/^/only in a standby: /'

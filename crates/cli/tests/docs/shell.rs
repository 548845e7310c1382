//! A shell with a network, processes and folders of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use backstay_testkit::root;

use super::fence::{self, Fence};

/// No story takes longer unless something hangs.
const HANG_SECONDS: u32 = 600;

/// What is printed before each command, with its number.
const MARK: char = '\u{1}';

/// Types the commands of these blocks into one shell. Each must succeed, and print what the document
/// says that it prints.
pub fn type_in(blocks: &[Fence]) {
    if !can_isolate() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let commands: Vec<_> = blocks
        .iter()
        .flat_map(|block| {
            block
                .commands()
                .into_iter()
                .map(|it| (block.document(), it))
        })
        .collect();
    let mut script = String::from("set -eo pipefail\nip link set lo up\n");
    for (number, (_, command)) in commands.iter().enumerate() {
        writeln!(script, "printf '{MARK}%s\\n' {number}\n{}", command.text).unwrap();
    }
    let output = run(folder.path(), &script);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts = printed.split(MARK).skip(1);
    for (number, (document, command)) in commands.iter().enumerate() {
        let place = format!("{document}:{}", command.line);
        let part = parts.next().unwrap_or_else(|| {
            let before = number.checked_sub(1).map(|it| &commands[it]);
            let (document, failed) = before.expect("the shell begins");
            panic!(
                "{document}:{}: `{}` failed:\n{printed}\n{}",
                failed.line,
                failed.text,
                String::from_utf8_lossy(&output.stderr)
            );
        });
        let mut lines = part.lines().skip(1);
        for expected in &command.expected {
            assert!(
                lines.any(|line| fence::is_as_expected(expected, line)),
                "{place}: `{}` did not print `{expected}`, but:\n{part}\n{}",
                command.text,
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    assert!(
        output.status.success(),
        "{}: `{}` failed:\n{printed}\n{}",
        blocks.last().unwrap().document(),
        commands.last().unwrap().1.text,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether this machine has what the documents use.
fn can_isolate() -> bool {
    let programs = ["kubectl", "curl", "jq", "dig", "openssl"];
    backstay_testkit::can_isolate("the documents", &["--net"], &programs)
}

fn run(folder: &Path, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_backstay"));
    let path = std::env::var("PATH").unwrap_or_default();
    std::fs::write(folder.join(".script"), script).unwrap();
    // What a clone has, for whoever copies an example.
    for name in ["deploy", "examples"] {
        std::os::unix::fs::symlink(root().join(name), folder.join(name)).unwrap();
    }
    Command::new("timeout")
        .arg(HANG_SECONDS.to_string())
        .args([
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["bash", ".script"])
        .current_dir(folder)
        .env_clear()
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("NO_COLOR", "1")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

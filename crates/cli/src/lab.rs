//! `backstay lab`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backstay_lab::child::log_tail;
use backstay_lab::control::{self, ControlError};
use backstay_lab::drill::Progress;
use backstay_lab::place::{DEFAULT_BLOCK, Place, default_folder};
use backstay_lab::up::describe::Times;
use backstay_lab::up::disaster::Disaster;
use backstay_lab::up::store::Wanted;
use backstay_lab::up::sweep::{kill_supervisor, sweep};
use backstay_lab::up::{Lab, LabError, LabOptions, LabStatus, Reply, Request, remembered_block};
use backstay_node::memory::default_budget;
use backstay_pair::Side;

use crate::args::{LabCommand, LabFlags, LabUpFlags, Output, SlowFlags};
use crate::{Exit, print_error, print_result, stopped};

/// How often a lab that starts in the background is asked whether it is there.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a lab that is told to end may take to say that it does. What does not answer, because
/// it is stopped or hangs, is killed: nothing in a lab is worth waiting for longer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs one of the lab's commands.
pub async fn run(flags: &LabFlags, output: Output) -> Exit {
    let folder = match folder(flags) {
        Ok(folder) => folder,
        Err(problem) => {
            print_error(&problem.to_string());
            return Exit::Usage;
        }
    };
    if let Err(problem) = fits(&folder, flags.net) {
        print_error(&problem.to_string());
        return Exit::Usage;
    }
    let block = flags.net;
    match &flags.command {
        LabCommand::Up(up) if up.dry_run => dry_run(&folder, block, output),
        LabCommand::Up(up) if up.detach => detach(&folder, up, block, output).await,
        LabCommand::Up(up) => foreground(&folder, up, block, output).await,
        LabCommand::Down { purge, dry_run } => down(&folder, *purge, *dry_run, output).await,
        LabCommand::Status => status(&folder, output).await,
        LabCommand::Kubeconfig => kubeconfig(&folder, output),
        LabCommand::KillRegion(on) => {
            inject(&folder, on.region, Disaster::Kill, on.dry_run, output).await
        }
        LabCommand::Partition(on) => {
            inject(&folder, on.region, Disaster::Partition, on.dry_run, output).await
        }
        LabCommand::Freeze(on) => {
            inject(&folder, on.region, Disaster::Freeze, on.dry_run, output).await
        }
        LabCommand::SlowBucket(SlowFlags { on, millis }) => {
            let slow = Disaster::SlowBucket(*millis);
            inject(&folder, on.region, slow, on.dry_run, output).await
        }
        LabCommand::DenyBucket(on) => {
            inject(&folder, on.region, Disaster::DenyBucket, on.dry_run, output).await
        }
        LabCommand::Restore { region, dry_run } => {
            let what = match region {
                Some(side) => format!("the fault of the {side} region is over"),
                None => "the fault of either region is over".to_owned(),
            };
            change(&folder, &Request::Restore(*region), &what, *dry_run, output).await
        }
        LabCommand::Part(part) => crate::part::run(&folder, part).await,
    }
}

/// Why a lab is not even tried to be started.
#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error("neither XDG_STATE_HOME nor HOME is set; say where the lab is with --dir")]
    NoFolder,
    #[error("--dir {}: {source}", .folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Socket(#[from] ControlError),
    #[error(
        "--net {wanted}: the lab in {} has the addresses 127.{block}.0.0/16; leave --net out, give another \
         folder with --dir, or remove that lab with `backstay lab down --purge`",
        .folder.display()
    )]
    Addresses {
        wanted: u8,
        block: u8,
        folder: PathBuf,
    },
    #[error("cannot find the path of this program: {0}")]
    Program(#[source] std::io::Error),
    #[error("cannot write {}: {source}", .log.display())]
    Log {
        log: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start the lab: {0}")]
    Start(#[source] std::io::Error),
}

fn folder(flags: &LabFlags) -> Result<PathBuf, SetUpError> {
    let vars = |name: &str| std::env::var(name).ok();
    let given = flags.dir.clone().or_else(|| default_folder(&vars));
    let folder = given.ok_or(SetUpError::NoFolder)?;
    std::path::absolute(&folder).map_err(|source| SetUpError::Folder { folder, source })
}

/// Whether a lab can be in this folder, with these addresses.
fn fits(folder: &Path, block: Option<u8>) -> Result<(), SetUpError> {
    control::check_path(&folder.join("lab.sock"))?;
    match (block, remembered_block(folder)) {
        (Some(wanted), Some(block)) if wanted != block => Err(SetUpError::Addresses {
            wanted,
            block,
            folder: folder.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn options(folder: &Path, up: &LabUpFlags, block: Option<u8>) -> Result<LabOptions, SetUpError> {
    let program = std::env::current_exe().map_err(SetUpError::Program)?;
    let store = match (&up.azurite, up.folders) {
        (Some(url), _) => Wanted::Azurite(url.clone()),
        (None, true) => Wanted::Folder,
        (None, false) => Wanted::Any,
    };
    Ok(LabOptions {
        place: Place {
            folder: folder.to_owned(),
            block: block.unwrap_or(DEFAULT_BLOCK),
        },
        program,
        node: None,
        store,
        pools: true,
        memory: default_budget(),
        times: Times::default(),
    })
}

fn dry_run(folder: &Path, block: Option<u8>, output: Output) -> Exit {
    let block = block
        .or_else(|| remembered_block(folder))
        .unwrap_or(DEFAULT_BLOCK);
    let steps = [
        format!("make {} or go on with the lab in it", folder.display()),
        format!("start the traffic manager, and Azurite where it is installed, on 127.{block}.0.1"),
        format!(
            "start the primary region on 127.{block}.1.0/24 and the secondary on 127.{block}.2.0/24"
        ),
        "apply the documents of a new pair to both, and make the traffic manager's profile"
            .to_owned(),
        "wait until both do what they were told".to_owned(),
    ];
    let object = serde_json::json!({ "dry_run": true, "steps": steps });
    print_result(output, &object, || steps.join("\n") + "\n")
}

async fn foreground(folder: &Path, up: &LabUpFlags, block: Option<u8>, output: Output) -> Exit {
    let options = match options(folder, up, block) {
        Ok(options) => options,
        Err(problem) => {
            print_error(&problem.to_string());
            return Exit::Failed;
        }
    };
    let progress = Progress::detect("lab");
    let tell = |what: &str| progress.note(what);
    let started = tokio::select! {
        started = start(&options, &tell) => started,
        () = stopped() => {
            progress.end();
            print_error("interrupted; the lab is stopped");
            sweep(folder);
            return Exit::Failed;
        }
    };
    progress.end();
    let lab = match started {
        Ok(lab) => lab,
        Err(error) => {
            print_error(&error.to_string());
            return Exit::Failed;
        }
    };
    let told = print_status(&lab.status().await, output);
    if told == Exit::Done {
        tokio::select! {
            () = lab.asked_to_end() => {}
            () = stopped() => {}
        }
    }
    lab.stop(false).await;
    told
}

async fn start(options: &LabOptions, tell: &(dyn Fn(&str) + Sync)) -> Result<Lab, LabError> {
    let lab = Lab::start(options, tell).await?;
    lab.ready(tell).await?;
    Ok(lab)
}

/// Starts a lab that goes on when this command and its terminal are gone, and returns when both
/// regions are ready.
async fn detach(folder: &Path, up: &LabUpFlags, block: Option<u8>, output: Output) -> Exit {
    match spawn(folder, up, block) {
        Ok((mut child, log)) => {
            let progress = Progress::detect("lab");
            progress.note("starting both regions");
            let ready = loop {
                let asked = ask(folder, &Request::Ready).await;
                match (asked, child.try_wait()) {
                    (Ok(_), _) => break Ok(()),
                    (Err(ControlError::NotRunning(_)), Ok(None)) => {
                        tokio::time::sleep(POLL_INTERVAL).await;
                    }
                    (_, Ok(Some(status))) => {
                        break Err(format!(
                            "the lab ended ({status}); its log {} ends with:\n{}",
                            log.display(),
                            log_tail(&log, 12)
                        ));
                    }
                    (Err(error), _) => break Err(error.to_string()),
                }
            };
            progress.end();
            match ready {
                Ok(()) => status(folder, output).await,
                Err(problem) => {
                    print_error(&problem);
                    Exit::Failed
                }
            }
        }
        Err(problem) => {
            print_error(&problem.to_string());
            Exit::Failed
        }
    }
}

fn spawn(
    folder: &Path,
    up: &LabUpFlags,
    block: Option<u8>,
) -> Result<(std::process::Child, PathBuf), SetUpError> {
    use std::os::unix::process::CommandExt as _;
    let program = options(folder, up, block)?.program;
    let logs = folder.join("logs");
    let log = logs.join("lab.log");
    let unwritable = |source| SetUpError::Log {
        log: log.clone(),
        source,
    };
    std::fs::create_dir_all(&logs).map_err(unwritable)?;
    let output = std::fs::File::create(&log).map_err(unwritable)?;
    let also = output.try_clone().map_err(unwritable)?;
    let mut command = std::process::Command::new(program);
    command.arg("lab").arg("--dir").arg(folder).arg("up");
    if let Some(block) = block {
        command.arg(format!("--net={block}"));
    }
    if let Some(url) = &up.azurite {
        command.arg(format!("--azurite={url}"));
    }
    if up.folders {
        command.arg("--folders");
    }
    command
        .stdin(std::process::Stdio::null())
        .stdout(output)
        .stderr(also)
        // A Ctrl-C in this terminal is not meant for it.
        .process_group(0);
    let child = command.spawn().map_err(SetUpError::Start)?;
    Ok((child, log))
}

async fn ask(folder: &Path, request: &Request) -> Result<Reply, ControlError> {
    control::ask(&folder.join("lab.sock"), request).await
}

async fn status(folder: &Path, output: Output) -> Exit {
    match ask(folder, &Request::Status).await {
        Ok(Reply::Status(status)) => print_status(&status, output),
        Ok(Reply::Done) => Exit::Done,
        Err(error) => {
            print_error(&error.to_string());
            Exit::Failed
        }
    }
}

fn print_status(status: &LabStatus, output: Output) -> Exit {
    print_result(output, status, || status.table())
}

fn kubeconfig(folder: &Path, output: Output) -> Exit {
    let path = folder.join("kubeconfig");
    if !path.exists() {
        print_error(&ControlError::NotRunning(folder.to_owned()).to_string());
        return Exit::Failed;
    }
    let object = serde_json::json!({ "kubeconfig": path });
    print_result(output, &object, || format!("{}\n", path.display()))
}

async fn inject(
    folder: &Path,
    side: Side,
    disaster: Disaster,
    dry_run: bool,
    output: Output,
) -> Exit {
    let what = format!("the {side} region: {disaster}");
    change(
        folder,
        &Request::Inject(side, disaster),
        &what,
        dry_run,
        output,
    )
    .await
}

async fn change(
    folder: &Path,
    request: &Request,
    what: &str,
    dry_run: bool,
    output: Output,
) -> Exit {
    if !dry_run && let Err(error) = ask(folder, request).await {
        print_error(&error.to_string());
        return Exit::Failed;
    }
    let object = serde_json::json!({ "dry_run": dry_run, "done": what });
    print_result(output, &object, || match dry_run {
        true => format!("would do: {what}\n"),
        false => format!("{what}\n"),
    })
}

/// Ends the lab, if it runs, and whatever a killed one has left.
async fn down(folder: &Path, purge: bool, dry_run: bool, output: Output) -> Exit {
    let gone = if purge {
        " and its folder is removed"
    } else {
        ""
    };
    let what = format!("the lab in {} ends{gone}", folder.display());
    if !dry_run {
        if purge && folder.exists() && !folder.join("lab.json").exists() {
            print_error(&format!(
                "{} is no lab's folder (it has no lab.json); nothing is removed",
                folder.display()
            ));
            return Exit::Failed;
        }
        let progress = Progress::detect("lab");
        progress.note("waiting for it to end");
        match tokio::time::timeout(SHUTDOWN_TIMEOUT, ask(folder, &Request::Down)).await {
            Ok(Ok(_)) => ended(folder).await,
            Ok(Err(ControlError::NotRunning(_))) => {}
            Ok(Err(error)) => print_error(&format!("{error}; its processes are killed")),
            Err(_) => print_error(&format!(
                "the lab has not answered for {} s; its processes are killed",
                SHUTDOWN_TIMEOUT.as_secs()
            )),
        }
        progress.end();
        kill_supervisor(folder);
        let canonical = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        sweep(&canonical);
        if purge
            && folder.exists()
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            print_error(&format!("cannot remove {}: {error}", folder.display()));
            return Exit::Failed;
        }
    }
    let object = serde_json::json!({ "dry_run": dry_run, "done": what });
    print_result(output, &object, || format!("{what}\n"))
}

/// Waits until nobody holds the lab's folder any more.
async fn ended(folder: &Path) {
    let start = std::time::Instant::now();
    while start.elapsed() < SHUTDOWN_TIMEOUT {
        let lock = std::fs::File::open(folder.join("lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

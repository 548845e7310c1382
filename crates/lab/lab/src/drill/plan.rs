//! What a drill would do, in words.

use super::{Act, DEFAULT_EVENTS, Options};

/// What a drill would do, in words.
pub fn plan(options: &Options) -> Vec<String> {
    let source = if options.logs.is_empty() {
        format!("generated log lines (seed {})", options.seed)
    } else {
        let names: Vec<String> = options
            .logs
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("the lines of {}", names.join(", "))
    };
    let events = match (options.events, options.logs.is_empty()) {
        (Some(events), true) => format!("{events}"),
        (Some(events), false) => format!("at most {events}"),
        (None, true) => format!("{DEFAULT_EVENTS}"),
        (None, false) => "all".to_owned(),
    };
    let buckets = match &options.azurite {
        None => "logs in folders".to_owned(),
        Some(url) => format!("logs in two new containers in the Azurite at {url}"),
    };
    let killed = |command: &str| match &options.kill_operator_at {
        Some(target) if target.command == command => format!(
            ", killed with SIGKILL at the step {} and resumed by `backstay runs resume`",
            target.step
        ),
        _ => String::new(),
    };
    let against = options.against.as_ref();
    let mut steps = vec![
        match against {
            None => format!(
                "start a lab of two regions in a temporary folder, {buckets}, and a `backstay watch` beside it"
            ),
            Some(against) => format!(
                "see that `backstay verify` says yes to the pair {}, and start a `backstay watch` beside it; each \
                 step that changes the pair asks first",
                against.pair.name
            ),
        },
        "create a repository and an ingest token in the primary region".to_owned(),
        format!(
            "send {events} events out of {source} to the global name, through all that follows, with {} clients \
             that retry",
            options.senders
        ),
        "wait until a part of them is in segments in the primary's bucket (in a lab)".to_owned(),
        format!("{} while requests are on their way", options.fault.words()),
        "wait until the watch has seen it, waited out the holdoff and failed over by itself".to_owned(),
        "wait for the secondary's first acknowledgement and its first complete search, through the global name"
            .to_owned(),
        "end the fault of the old primary; in a lab, it must refuse every event".to_owned(),
    ];
    if options.until >= Act::Promotion {
        steps.push(format!(
            "grow the secondary to an active region's size: `backstay promote`{}; no request may fail",
            killed("promote")
        ));
    }
    if options.until >= Act::Failback {
        steps.push(format!(
            "give everything back to the primary: `backstay failback`{}",
            killed("failback")
        ));
    }
    steps.push(
        "search for everything through the global name: each acknowledged event once, and nothing that was not sent"
            .to_owned(),
    );
    if options.until >= Act::Cleaning {
        steps.push(format!(
            "make the secondary a standby again: `backstay clean-secondary`{}, and `backstay verify`",
            killed("clean-secondary")
        ));
    }
    if against.is_some() {
        return steps;
    }
    steps.push(
        if options.keep {
            "stop the lab and leave its folder"
        } else {
            "stop the lab and remove what was made (kept if the drill fails)"
        }
        .to_owned(),
    );
    steps
}

//! Syslog lines, as RFC 5424 and RFC 3164 have them, and as daemons and devices write them.

mod stamp;

use super::{Parsed, kv};
use crate::times::time;

pub(super) fn parse(line: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    let rest = match priority(line) {
        Some((priority, rest)) => {
            parsed.set("priority", &priority.to_string());
            parsed.set("facility", &(priority / 8).to_string());
            parsed.set("severity", &(priority % 8).to_string());
            rest
        }
        None => line,
    };
    match rest.strip_prefix("1 ") {
        Some(rest) => rfc5424(rest, parsed),
        None => rfc3164(rest, parsed),
    }
}

/// `<PRI>`: facility × 8 + severity, 0 to 191.
fn priority(line: &str) -> Option<(u8, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    let priority: u8 = digits.parse().ok()?;
    (priority < 192 && digits.len() <= 3).then_some((priority, rest))
}

/// `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG` (RFC 5424, section 6).
fn rfc5424(rest: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    let mut parts = rest.splitn(6, ' ');
    let stamp = parts.next().unwrap_or_default();
    if stamp != "-" {
        let ms = time(stamp, None).ok_or("the time is none of RFC 5424")?;
        parsed.time = Some((Some(ms), stamp.to_owned()));
    }
    for name in ["host", "app", "pid", "msgid"] {
        let value = parts.next().ok_or("the header ends too early")?;
        if value != "-" {
            parsed.set(name, value);
        }
    }
    let rest = parts
        .next()
        .ok_or("there is no structured data, nor a `-`")?;
    let message = match rest.strip_prefix('-') {
        Some(rest) => rest,
        None => structured_data(rest, parsed)?,
    };
    let message = message.trim_start_matches(' ');
    // A byte-order mark says that the message is UTF-8, and is no part of it.
    parsed.set(
        "message",
        message.strip_prefix('\u{feff}').unwrap_or(message),
    );
    Ok(())
}

/// `[id name="value" …]…`; returns what is behind it.
fn structured_data<'a>(text: &'a str, parsed: &mut Parsed) -> Result<&'a str, &'static str> {
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element_end(element).ok_or("the structured data has no end")?;
        let (id, pairs) = element[..end]
            .split_once(' ')
            .unwrap_or((&element[..end], ""));
        for (name, value) in kv::pairs(pairs) {
            parsed.set(&format!("{id}.{name}"), &value);
        }
        rest = &element[end + 1..];
    }
    Ok(rest)
}

/// Where the `]` is that is not within quotes.
fn element_end(element: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    element.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
        None
    })
}

/// `Mmm dd hh:mm:ss HOSTNAME TAG[PID]: MSG` (RFC 3164, section 4), with the times that daemons and
/// devices really write, and with or without a host.
fn rfc3164(rest: &str, parsed: &mut Parsed) -> Result<(), &'static str> {
    let not = "the line begins with no time of RFC 3164 or RFC 5424";
    let rest = rest.trim_start();
    // Cisco's devices put a number, and at times their name, before the time.
    let (before, stamp, rest) = match stamp::read(rest, parsed.now_ms) {
        Some((stamp, rest)) => ("", stamp, rest),
        None => stamp::behind_prefix(rest, parsed.now_ms).ok_or(not)?,
    };
    parsed.time = Some((Some(stamp.ms), stamp.text.to_owned()));
    let rest = rest.trim_start();
    let (host, rest) = match before {
        "" => host(rest).ok_or("there is no host")?,
        host => (host, rest),
    };
    if !host.is_empty() {
        parsed.set("host", host);
    }
    // Between host and tag, some of Cisco's devices put a colon.
    let rest = rest.strip_prefix(": ").unwrap_or(rest);
    let tag_end = rest.find([':', ' ']).unwrap_or(rest.len());
    if rest[tag_end..].starts_with(':') {
        match rest[..tag_end].split_once('[') {
            Some((app, pid)) => {
                parsed.set("app", app);
                parsed.set("pid", pid.trim_end_matches(']'));
            }
            None => parsed.set("app", &rest[..tag_end]),
        }
        parsed.set("message", rest[tag_end + 1..].trim_start());
    } else {
        parsed.set("message", rest);
    }
    Ok(())
}

/// The host, and what is behind it; empty where the tag follows the time at once, as programs write
/// it to `/dev/log`.
fn host(rest: &str) -> Option<(&str, &str)> {
    let (first, behind) = rest.split_once(' ')?;
    // An address may end in a colon that is no part of it; a tag has its process in brackets, or
    // nothing of an address.
    let bare = first.strip_suffix(':');
    match bare {
        Some(bare) if bare.parse::<std::net::IpAddr>().is_ok() => Some((bare, behind)),
        Some(_) => Some(("", rest)),
        None => Some((first, behind)),
    }
}

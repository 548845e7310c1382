//! The timeline of a drill as text: the rate of acknowledged events, the phases below it on the
//! same axis, and the disaster and the recovery marked.

use std::fmt::Write;

use super::report::Report;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const NAME_COLUMNS: usize = 26;
const DURATION_COLUMNS: usize = 11;

/// Least and most columns of the axis.
const AXIS: (usize, usize) = (20, 90);

/// Columns where there is no terminal.
const DEFAULT_COLUMNS: usize = 100;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether colours may be used.
    pub colour: bool,
}

#[derive(Clone, Copy)]
enum Ink {
    Red,
    Green,
    Cyan,
    Dim,
    Bold,
}

impl Look {
    /// As wide as standard output if it is a terminal, else as wide as a report may be.
    pub fn of_stdout(colour: bool) -> Self {
        let size = console::Term::stdout().size_checked();
        Self {
            width: size.map_or(DEFAULT_COLUMNS, |(_, columns)| usize::from(columns)),
            colour,
        }
    }

    fn ink(self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Cyan => "36",
            Ink::Dim => "2",
            Ink::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn axis(self) -> usize {
        self.width
            .saturating_sub(NAME_COLUMNS + DURATION_COLUMNS + 2)
            .clamp(AXIS.0, AXIS.1)
    }
}

/// The whole summary: verdict, checks and timeline.
pub fn render(report: &Report, look: Look) -> String {
    let mut out = String::new();
    headline(&mut out, report, look);
    out.push('\n');
    picture(&mut out, report, look);
    out.push('\n');
    for check in &report.checks {
        let mark = if check.ok {
            look.ink(Ink::Green, "✔")
        } else {
            look.ink(Ink::Red, "✘")
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{mark} {:<42} {}",
            check.name,
            look.ink(Ink::Dim, &check.detail)
        );
    }
    for example in &report.examples {
        let _ = writeln!(out, "  {}", look.ink(Ink::Red, example));
    }
    out
}

fn headline(out: &mut String, report: &Report, look: Look) {
    let (mark, ink) = if report.ok {
        ("✔ nothing lost", Ink::Green)
    } else {
        ("✘ FAILED", Ink::Red)
    };
    let _ = writeln!(
        out,
        "{}  {} events acknowledged, {} found: {} lost, {} duplicated, {} phantom",
        look.ink(ink, mark),
        look.ink(Ink::Bold, &grouped(report.acknowledged)),
        look.ink(Ink::Bold, &grouped(report.found)),
        report.lost,
        report.duplicated,
        report.phantom,
    );
    let _ = writeln!(
        out,
        "RTO {} (ingest {}, complete search {}) · RPO {} · {} of {} requests failed and were sent again",
        look.ink(Ink::Bold, &duration(report.rto_ms)),
        duration(report.rto_ingest_ms),
        duration(report.rto_search_ms),
        look.ink(Ink::Bold, &duration(report.rpo_ms)),
        grouped(report.failed_requests),
        grouped(report.requests),
    );
    if let (Some(seen), Some(waited), Some(rest)) = (
        report.detection_ms,
        report.holdoff_ms,
        report.rto_after_decision_ms,
    ) {
        let _ = writeln!(
            out,
            "of the RTO: detection {}, holdoff {}, all else {}",
            duration(seen),
            duration(waited),
            look.ink(Ink::Bold, &duration(rest)),
        );
    }
    if let Some(failed) = report.promotion_failed_requests {
        let _ = writeln!(out, "promotion: {failed} requests failed");
    }
    if let Some(gap) = report.no_writes_ms {
        let _ = writeln!(
            out,
            "failback: no region took writes for {}",
            look.ink(Ink::Bold, &duration(gap)),
        );
    }
}

fn picture(out: &mut String, report: &Report, look: Look) {
    let axis = look.axis();
    let total = report.duration_ms.max(1);
    let column = |ms: u64| ((ms as f64 / total as f64 * axis as f64) as usize).min(axis - 1);
    let peak = columns(report, axis).into_iter().fold(0.0_f64, f64::max);
    let line: String = columns(report, axis)
        .into_iter()
        .map(|rate| spark(rate, peak))
        .collect();
    let label = format!("acknowledged/s, peak {}", short(peak));
    let _ = writeln!(out, "{label:<NAME_COLUMNS$} {}", look.ink(Ink::Cyan, &line));
    for phase in &report.phases {
        let from = column(phase.start_ms);
        let to = column(phase.start_ms + phase.duration_ms).max(from);
        let outage = phase.start_ms >= report.kill_ms && phase.start_ms < report.recovered_ms;
        let ink = if outage { Ink::Red } else { Ink::Green };
        let bar = "━".repeat(to - from + 1);
        let _ = writeln!(
            out,
            "{:<NAME_COLUMNS$} {}{}{} {:>DURATION_COLUMNS$}",
            phase.name,
            look.ink(Ink::Dim, &"·".repeat(from)),
            look.ink(ink, &bar),
            look.ink(Ink::Dim, &"·".repeat(axis - 1 - to)),
            duration(phase.duration_ms),
        );
    }
    for (at, symbol, what, ink) in [
        (report.kill_ms, '✖', report.fault.mark(), Ink::Red),
        (report.recovered_ms, '✔', "recovered", Ink::Green),
    ] {
        let text = mark(
            column(at),
            axis,
            symbol,
            &format!("{what} {}", duration(at)),
        );
        let _ = writeln!(out, "{:<NAME_COLUMNS$} {}", "", look.ink(ink, &text));
    }
}

/// A symbol exactly in its column, with its label on the side where there is room.
fn mark(column: usize, axis: usize, symbol: char, label: &str) -> String {
    let long = label.chars().count() + 1;
    if column + long < axis || column < long {
        return format!("{}{symbol} {label}", " ".repeat(column));
    }
    format!("{}{label} {symbol}", " ".repeat(column - long))
}

/// The rate in each column, in events per second.
fn columns(report: &Report, axis: usize) -> Vec<f64> {
    resample(
        &report.rate.acknowledged,
        report.rate.interval_ms,
        report.duration_ms,
        axis,
    )
}

/// Counts per interval as events per second in each of `columns` equal parts of the whole. Counts
/// are spread evenly over their interval, so that none are lost between two columns.
pub(crate) fn resample(
    counts: &[u64],
    interval_ms: u64,
    total_ms: u64,
    columns: usize,
) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    if columns == 0 || total_ms == 0 || interval_ms == 0 {
        return sums;
    }
    let width = total_ms as f64 / columns as f64;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let from = (at as u64 * interval_ms) as f64;
        // The last interval may reach beyond the end.
        let to = (from + interval_ms as f64).min(total_ms as f64);
        if to <= from {
            sums[columns - 1] += *count as f64;
            continue;
        }
        let (first, last) = ((from / width) as usize, (to / width).ceil() as usize);
        for (column, sum) in sums.iter_mut().enumerate().take(last).skip(first) {
            let left = (column as f64 * width).max(from);
            let right = ((column + 1) as f64 * width).min(to);
            *sum += *count as f64 * ((right - left).max(0.0) / (to - from));
        }
    }
    sums.into_iter().map(|sum| sum / width * 1000.0).collect()
}

fn spark(rate: f64, peak: f64) -> char {
    if rate <= 0.0 || peak <= 0.0 {
        return ' ';
    }
    let level = (rate / peak * LEVELS.len() as f64).ceil() as usize;
    LEVELS[level.clamp(1, LEVELS.len()) - 1]
}

/// Milliseconds, for people.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.2} s", ms as f64 / 1000.0),
        _ => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
    }
}

/// A number with thin gaps between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A rate in three digits or so.
pub(crate) fn short(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.1}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests;

//! The report as one HTML file that needs nothing else: its styles, its plot (SVG) and its few
//! words are all in it, and it follows the reader's choice of light or dark.

use std::fmt::Write;

use super::report::Report;
use super::timeline::{duration, grouped, resample, short};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 984.0;
const TOP: f64 = 34.0;
const PLOT: f64 = 230.0;
const ROW: f64 = 26.0;
const COLUMNS: usize = 240;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c2024;--soft:#667077;--line:#e3e6e8;--area:#2f7fd6;--good:#1a8a4f;--bad:#cf3434;--outage:rgba(207,52,52,.10)}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;--ink:#e8eaec;--soft:#98a2aa;--line:#30363c;--area:#5aa5f2;--good:#46c483;--bad:#f26d6d;--outage:rgba(242,109,109,.13)}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 56px}h1{font-size:26px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 10px}
p{margin:0;color:var(--soft)}.ok{color:var(--good)}.no{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:24px 0}
.cards div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.cards b{display:block;font-size:23px;font-variant-numeric:tabular-nums;line-height:1.25}.cards span{color:var(--soft);font-size:13px}
.plot{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px;overflow-x:auto}
svg{display:block;width:100%;min-width:640px;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
svg .grid{stroke:var(--line)}svg .area{fill:var(--area);fill-opacity:.22}svg .rate{fill:none;stroke:var(--area);stroke-width:1.8;stroke-linejoin:round}
svg .outage{fill:var(--outage)}svg .kill{stroke:var(--bad);stroke-width:1.6}svg .back{stroke:var(--good);stroke-width:1.6}
svg text.kill{fill:var(--bad);stroke:none;font-weight:600}svg text.back{fill:var(--good);stroke:none;font-weight:600}
svg .bar{fill:var(--area);fill-opacity:.75}svg .bar.out{fill:var(--bad)}
table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:10px}
td{padding:8px 12px;border-top:1px solid var(--line);vertical-align:top}tr:first-child td{border-top:0}td:last-child{color:var(--soft)}
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;overflow-x:auto}
";

/// Text as it may stand in HTML, in an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The page. Writing to a string does not fail, so the results of `write!` are dropped.
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    let (class, verdict) = if report.ok {
        ("ok", "Nothing was lost")
    } else {
        ("no", "The drill failed")
    };
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Backstay drill: {verdict}</title><style>{STYLE}</style><main>\
         <h1 class=\"{class}\">{verdict}</h1><p>{} events of {} into {}; the primary {} \
         in mid-ingest{}. Seed {}.</p>",
        grouped(report.sent),
        escape(&report.source),
        escape(store(&report.store)),
        report.fault.happened(),
        story(report),
        report.seed,
    );
    cards(&mut page, report);
    page.push_str("<h2>Acknowledged events per second</h2><div class=\"plot\">");
    plot(&mut page, report);
    page.push_str("</div><h2>Checks</h2><table>");
    for check in &report.checks {
        let (class, mark) = if check.ok {
            ("ok", "✔")
        } else {
            ("no", "✘")
        };
        let _ = write!(
            page,
            "<tr><td class=\"{class}\">{mark}</td><td>{}</td><td>{}</td></tr>",
            escape(check.name),
            escape(&check.detail)
        );
    }
    page.push_str("</table>");
    if !report.examples.is_empty() {
        let _ = write!(
            page,
            "<h2>Events at fault</h2><pre>{}</pre>",
            escape(&report.examples.join("\n"))
        );
    }
    runbook(&mut page, report);
    page.push_str("</main></html>\n");
    page
}

fn cards(page: &mut String, report: &Report) {
    let faults = report.lost + report.duplicated + report.phantom;
    let cards = [
        (grouped(report.acknowledged), "events acknowledged", ""),
        (grouped(report.found), "found", ""),
        (
            format!(
                "{} / {} / {}",
                report.lost, report.duplicated, report.phantom
            ),
            "lost / duplicated / phantom",
            if faults == 0 { "ok" } else { "no" },
        ),
        (
            duration(report.rto_ms),
            "RTO: disaster to ingest and search",
            "",
        ),
        (
            or_dash(report.rto_after_decision_ms.map(duration)),
            "of it without detection and holdoff",
            "",
        ),
        (
            duration(report.rpo_ms),
            "RPO",
            if report.rpo_ms == 0 { "ok" } else { "no" },
        ),
        (
            grouped(report.failed_requests),
            "requests failed and sent again",
            "",
        ),
        (
            or_dash(report.promotion_failed_requests.map(grouped)),
            "requests failed in the promotion",
            match report.promotion_failed_requests {
                None => "",
                Some(0) => "ok",
                Some(_) => "no",
            },
        ),
        (
            or_dash(report.no_writes_ms.map(duration)),
            "without writes in the failback",
            "",
        ),
    ];
    page.push_str("<div class=\"cards\">");
    for (value, label, class) in cards {
        let _ = write!(
            page,
            "<div><b class=\"{class}\">{value}</b><span>{label}</span></div>"
        );
    }
    page.push_str("</div>");
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

fn store(store: &str) -> &str {
    match store {
        "azurite" => "buckets in Azurite",
        "folder" => "buckets in folders",
        other => other,
    }
}

/// What happened then, as far as it was played.
fn story(report: &Report) -> String {
    let mut all = vec!["; the watch failed over to a standby that started from its bucket alone"];
    for run in &report.runbook {
        all.push(match run.command.as_str() {
            "promote" => ", which was promoted",
            "failback" => "; the primary took everything back",
            _ => ", and the secondary stands by again",
        });
    }
    all.concat()
}

/// The runs of the runbook, step by step.
fn runbook(page: &mut String, report: &Report) {
    for run in &report.runbook {
        let killed = match &run.killed_at {
            Some(step) => format!(", killed at {step} and resumed"),
            None => String::new(),
        };
        let _ = write!(
            page,
            "<h2>backstay {}{}</h2><table>",
            escape(&run.command),
            escape(&killed)
        );
        for step in &run.steps {
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                step.phase,
                escape(&step.id),
                or_dash(step.duration_ms.map(duration)),
                escape(&step.name)
            );
        }
        page.push_str("</table>");
    }
}

fn plot(page: &mut String, report: &Report) {
    let total = report.duration_ms.max(1);
    let x = |ms: u64| LEFT + (RIGHT - LEFT) * (ms.min(total) as f64 / total as f64);
    let bottom = TOP + PLOT;
    let height = bottom + 30.0 + ROW * report.phases.len() as f64 + 6.0;
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Acknowledged events per second over the drill, with its phases\">"
    );
    let (kill, back) = (x(report.kill_ms), x(report.recovered_ms));
    let _ = write!(
        page,
        "<rect class=\"outage\" x=\"{kill:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.0}\"/>",
        (back - kill).max(1.0),
        height - TOP
    );
    rate(page, report, bottom);
    time_axis(page, total, x, bottom);
    phases(page, report, x, bottom + 30.0);
    marker(
        page,
        "kill",
        kill,
        height,
        &format!("{} {}", report.fault.mark(), duration(report.kill_ms)),
        true,
    );
    marker(
        page,
        "back",
        back,
        height,
        &format!("recovered {}", duration(report.recovered_ms)),
        false,
    );
    page.push_str("</svg>");
}

/// The curve and its horizontal grid.
fn rate(page: &mut String, report: &Report, bottom: f64) {
    let rates = resample(
        &report.rate.acknowledged,
        report.rate.interval_ms,
        report.duration_ms,
        COLUMNS,
    );
    let top = nice(rates.iter().copied().fold(0.0, f64::max));
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let y = bottom - PLOT * share;
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            short(top * share)
        );
    }
    let mut points = String::new();
    for (at, rate) in rates.iter().enumerate() {
        let x = LEFT + (RIGHT - LEFT) * ((at as f64 + 0.5) / COLUMNS as f64);
        let _ = write!(points, "{x:.1},{:.1} ", bottom - PLOT * (rate / top));
    }
    let _ = write!(
        page,
        "<polygon class=\"area\" points=\"{LEFT},{bottom} {points}{RIGHT},{bottom}\"/><polyline class=\"rate\" points=\"{points}\"/>"
    );
}

fn time_axis(page: &mut String, total: u64, x: impl Fn(u64) -> f64, bottom: f64) {
    let step = nice(total as f64 / 8.0).max(1.0) as u64;
    for at in (0..=total).step_by(step as usize) {
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(at),
            bottom + 17.0,
            seconds(at)
        );
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{:.1} s", ms as f64 / 1000.0)
    }
}

fn phases(page: &mut String, report: &Report, x: impl Fn(u64) -> f64, top: f64) {
    for (row, phase) in report.phases.iter().enumerate() {
        let (from, to) = (x(phase.start_ms), x(phase.start_ms + phase.duration_ms));
        let y = top + ROW * row as f64;
        let outage = phase.start_ms >= report.kill_ms && phase.start_ms < report.recovered_ms;
        let class = if outage { "bar out" } else { "bar" };
        let label = format!("{} · {}", escape(phase.name), duration(phase.duration_ms));
        // The label stands where there is more room.
        let (at, anchor) = if to < (LEFT + RIGHT) * 0.62 {
            (to + 8.0, "start")
        } else {
            (from - 8.0, "end")
        };
        let _ = write!(
            page,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"14\" rx=\"3\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
            (to - from).max(2.0),
            y + 11.5
        );
    }
}

fn marker(page: &mut String, class: &str, x: f64, height: f64, label: &str, before: bool) {
    let (at, anchor) = if before {
        (x - 6.0, "end")
    } else {
        (x + 6.0, "start")
    };
    let _ = write!(
        page,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{height:.0}\"/>\
         <text class=\"{class}\" x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>",
        TOP - 12.0,
        TOP - 14.0,
        escape(label)
    );
}

/// The next of 1, 2, 4, 5 or 8 times a power of ten; they all divide by four, near enough.
fn nice(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10.0_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 4.0, 5.0, 8.0]
        .into_iter()
        .find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests;

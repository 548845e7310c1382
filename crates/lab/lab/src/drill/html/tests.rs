#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::super::Fault;
use super::super::report::judge;
use super::super::report::tests::{measured, report, verdict};
use super::{escape, nice, render};
use crate::workload::verdict::Verdict;

#[test]
fn markup_in_data_is_text() {
    assert_eq!(
        escape(r#"<a href="x" & 'y'>"#),
        "&lt;a href=&quot;x&quot; &amp; &#39;y&#39;&gt;"
    );
    let mut spoiled = measured();
    spoiled.source = "<script>alert(1)</script>".to_owned();
    spoiled.old_primary.as_mut().unwrap().last_answer = "<img src=x>".to_owned();
    let bad = Verdict {
        lost: 1,
        examples: vec!["</pre><script>".to_owned()],
        ..verdict()
    };
    let page = render(&judge(spoiled, bad));
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = render(&report());
    for foreign in [
        "http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn the_plot_marks_the_kill_and_the_recovery_and_every_phase() {
    let report = report();
    let page = render(&report);
    assert!(
        page.contains("SIGKILL 4.00 s") && page.contains("recovered 4.70 s"),
        "{page}"
    );
    assert_eq!(page.matches("class=\"bar").count(), report.phases.len());
    assert_eq!(page.matches("class=\"bar out\"").count(), 4);
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn what_hit_it_and_what_the_runbook_did_are_told() {
    let mut report = report();
    report.fault = Fault::Freeze;
    let page = render(&report);
    assert!(
        page.contains("the primary was frozen in mid-ingest"),
        "{page}"
    );
    assert!(page.contains("frozen 4.00 s") && !page.contains("SIGKILL"));
    assert!(page.contains("the primary took everything back"), "{page}");
    assert!(page.contains("backstay failback, killed at secondary-stopped and resumed"));
    assert!(
        page.contains("<td>secondary-stopped</td><td>310 ms</td>"),
        "{page}"
    );
}

#[test]
fn a_bad_drill_looks_bad() {
    let bad = Verdict {
        duplicated: 2,
        ..verdict()
    };
    let page = render(&judge(measured(), bad));
    assert!(page.contains("The drill failed") && page.contains("✘"));
    assert!(render(&report()).contains("Nothing was lost"));
}

proptest! {
    #[test]
    fn escaped_text_has_no_markup(text: String) {
        let safe = escape(&text);
        prop_assert!(!safe.contains(['<', '>', '"', '\'']));
    }

    #[test]
    fn a_nice_number_is_the_next_or_equal(value in 1e-3..1e12_f64) {
        let nice = nice(value);
        prop_assert!(nice >= value * 0.999_999 && nice <= value * 2.001, "{value} {nice}");
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::rule;
use crate::evaluate::{CLEAR_EVALUATIONS, Evaluator, Phase, Reading, Subject, Turn, Turned, step};
use crate::rule::{Aggregation, MetricAlert, Operator};
use crate::series::Series;

#[test]
fn one_evaluation_is_as_in_this_table() {
    use Phase::{Clear, Fired};
    let (fire, resolve) = (Some(Turn::Fire), Some(Turn::Resolve));
    let last = CLEAR_EVALUATIONS - 1;
    // phase, condition, autoMitigate → phase, turn
    let table = [
        (Clear, None, true, Clear, None),
        (Clear, Some(false), true, Clear, None),
        (Clear, Some(true), true, Clear, fire),
        (Clear, Some(true), false, Clear, fire),
        (Fired(0), None, true, Fired(0), None),
        (Fired(0), Some(true), true, Fired(0), None),
        (Fired(last), Some(true), true, Fired(0), None),
        (Fired(0), Some(false), true, Fired(1), None),
        (Fired(1), None, true, Fired(1), None),
        (
            Fired(last),
            Some(false),
            true,
            Fired(CLEAR_EVALUATIONS),
            resolve,
        ),
        // What could not be written down is proposed again.
        (
            Fired(CLEAR_EVALUATIONS),
            Some(false),
            true,
            Fired(CLEAR_EVALUATIONS + 1),
            resolve,
        ),
        (Fired(9), Some(false), false, Fired(10), None),
        (Fired(0), Some(true), false, Fired(0), fire),
    ];
    for (phase, met, auto, stands, turn) in table {
        assert_eq!(
            step(phase, met, auto),
            (stands, turn),
            "{phase:?} {met:?} {auto}"
        );
    }
}

#[test]
fn operators_compare() {
    use Operator::{Equals, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, NotEquals};
    let table = [
        (Equals, [false, true, false]),
        (NotEquals, [true, false, true]),
        (GreaterThan, [false, false, true]),
        (GreaterThanOrEqual, [false, true, true]),
        (LessThan, [true, false, false]),
        (LessThanOrEqual, [true, true, false]),
    ];
    for (operator, expected) in table {
        let held = [0.0, 0.5, 1.0].map(|it| operator.holds(it, 0.5));
        assert_eq!(held, expected, "{operator:?}");
    }
    assert!(Equals.holds(0.1 + 0.2, 0.3));
}

#[test]
fn a_window_holds_what_came_in_it() {
    let second = Duration::from_secs;
    let mut series = Series::new(second(10));
    assert_eq!(series.value(second(0), Aggregation::Average), None);
    for (at, value) in [(0, 1.0), (2, 0.0), (4, 0.0), (9, 1.0)] {
        series.record(second(at), value);
    }
    let mut all = |at| {
        use Aggregation::{Average, Count, Maximum, Minimum, Total};
        [Average, Count, Minimum, Maximum, Total].map(|it| series.value(second(at), it))
    };
    assert_eq!(all(9), [0.5, 4.0, 0.0, 1.0, 2.0].map(Some));
    assert_eq!(all(10), [1.0 / 3.0, 3.0, 0.0, 1.0, 1.0].map(Some));
    assert_eq!(all(14), [1.0, 1.0, 1.0, 1.0, 1.0].map(Some));
    assert_eq!(all(19), [None; 5]);
    // The clock has gone back: what was is not taken for what is.
    series.record(second(100), 1.0);
    series.record(second(50), 0.0);
    assert_eq!(series.value(second(50), Aggregation::Maximum), Some(0.0));
}

/// A rule on one second's ticks, and what its endpoints are.
pub(super) struct Bench {
    pub(super) evaluator: Evaluator,
    pub(super) now: u64,
    pub(super) up: BTreeMap<&'static str, Option<bool>>,
}

impl Bench {
    pub(super) fn new(rule: MetricAlert) -> Self {
        Self {
            evaluator: Evaluator::new(Arc::new(rule), BTreeSet::new(), Duration::ZERO),
            now: 0,
            up: [("primary", Some(true)), ("secondary", Some(true))].into(),
        }
    }

    pub(super) fn tick(&mut self) -> Vec<Turned> {
        let up = &self.up;
        let read = |_: &str| -> Option<Reading> {
            Some(
                up.iter()
                    .map(|(name, up)| ((*name).to_owned(), *up))
                    .collect(),
            )
        };
        let turned = self.evaluator.tick(Duration::from_secs(self.now), read);
        self.now += 1;
        turned
    }

    /// So many seconds, every turn durable: what turned, with its second.
    fn run(&mut self, seconds: u64) -> Vec<(u64, Turn, Option<String>)> {
        let mut all = Vec::new();
        for _ in 0..seconds {
            let at = self.now;
            for turned in self.tick() {
                self.evaluator.happened(&turned);
                all.push((at, turned.turn, turned.subject.endpoint));
            }
        }
        all
    }
}

pub(super) fn quick(window: u32) -> MetricAlert {
    rule(|it| {
        it["evaluationFrequency"] = json!("PT1S");
        it["windowSize"] = json!(format!("PT{window}S"));
    })
}

#[test]
fn it_fires_once_an_outage_and_resolves_once() {
    let mut bench = Bench::new(quick(5));
    assert_eq!(bench.run(20), []);
    let primary = || Some("primary".to_owned());
    for _ in 0..3 {
        bench.up.insert("primary", Some(false));
        let down = bench.now;
        // The last second in which it was up leaves the window of five.
        assert_eq!(bench.run(60), [(down + 4, Turn::Fire, primary())]);
        bench.up.insert("primary", Some(true));
        let up = bench.now;
        assert_eq!(bench.run(60), [(up + 2, Turn::Resolve, primary())]);
    }
    // The other endpoint is none of its business.
    bench.up.insert("secondary", Some(false));
    assert_eq!(bench.run(30), []);
}

#[test]
fn an_endpoint_that_flaps_within_the_window_does_not_fire() {
    let mut bench = Bench::new(quick(5));
    for turn in 0..40 {
        bench.up.insert("primary", Some(turn % 4 == 0));
        assert_eq!(bench.run(1), [], "{turn}");
    }
    // And once it has fired, one that flaps does not resolve before it stays.
    let mut bench = Bench::new(quick(1));
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(5).len(), 1);
    for turn in 0..40 {
        bench.up.insert("primary", Some(turn % 3 != 0));
        assert_eq!(bench.run(1), [], "{turn}");
    }
}

#[test]
fn what_is_not_known_changes_nothing() {
    let mut bench = Bench::new(quick(2));
    bench.up.insert("primary", None);
    assert_eq!(bench.run(20), []);
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(5).len(), 1);
    // Switched off, as a failover does it: the alert stays, and nothing fires again.
    bench.up.insert("primary", None);
    assert_eq!(bench.run(100), []);
    bench.up.remove("primary");
    assert_eq!(bench.run(100), []);
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(10), []);
    bench.up.insert("primary", Some(true));
    assert_eq!(bench.run(10).len(), 1);
}

#[test]
fn a_rule_that_is_switched_off_evaluates_nothing_and_closes_nothing() {
    let mut off = quick(1);
    off.enabled = false;
    let fired: BTreeSet<Subject> = [Subject {
        target: super::TARGET.to_ascii_lowercase(),
        endpoint: Some("primary".to_owned()),
    }]
    .into();
    for up in [true, false] {
        let mut bench = Bench::new(off.clone());
        bench.evaluator = Evaluator::new(Arc::new(off.clone()), fired.clone(), Duration::ZERO);
        bench.up.insert("primary", Some(up));
        assert_eq!(bench.run(50), []);
    }
    // Switched on again while it is down, and its scope in other words: it has fired already. Once
    // up, it resolves.
    let mut on = quick(1);
    on.scopes = vec![super::TARGET.to_ascii_uppercase()];
    let mut bench = Bench::new(on.clone());
    bench.evaluator = Evaluator::new(Arc::new(on), fired, Duration::ZERO);
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(50), []);
    bench.up.insert("primary", Some(true));
    assert_eq!(bench.run(50).len(), 1);
}

#[test]
fn without_auto_mitigate_it_fires_at_every_evaluation() {
    let mut stateless = quick(2);
    stateless.auto_mitigate = false;
    let mut bench = Bench::new(stateless);
    bench.up.insert("primary", Some(false));
    bench.run(1);
    let fired = bench.run(10);
    assert_eq!(fired.len(), 10);
    assert!(fired.iter().all(|(_, turn, _)| *turn == Turn::Fire));
    bench.up.insert("primary", Some(true));
    assert_eq!(bench.run(10), []);
}

#[test]
fn each_endpoint_is_split_off_or_all_are_one() {
    let each = |values| {
        let mut each = rule(|it| {
            it["evaluationFrequency"] = json!("PT1S");
            it["windowSize"] = json!("PT1S");
            it["criteria"]["allOf"][0]["dimensions"][0]["values"] = values;
        });
        each.window = each.frequency;
        each
    };
    let mut bench = Bench::new(each(json!(["*"])));
    bench.up = [("primary", Some(false)), ("secondary", Some(false))].into();
    let turned = bench.run(5);
    let who: Vec<_> = turned
        .iter()
        .map(|(_, _, it)| it.clone().unwrap())
        .collect();
    assert_eq!(who, ["primary", "secondary"]);

    // Not split: the average over all endpoints.
    let all = |threshold: f64| {
        let mut all = each(json!(["*"]));
        all.criteria[0].dimensions.clear();
        all.criteria[0].aggregation = Aggregation::Average;
        all.criteria[0].threshold = threshold;
        all
    };
    for (threshold, fires) in [(0.75, true), (0.5, false)] {
        let mut bench = Bench::new(all(threshold));
        bench.up.insert("primary", Some(false));
        let turned = bench.run(5);
        assert_eq!(!turned.is_empty(), fires, "{threshold}");
        assert!(turned.iter().all(|(.., endpoint)| endpoint.is_none()));
    }

    // Two criteria: both must hold.
    let mut both = each(json!(["primary"]));
    let mut second = both.criteria[0].clone();
    second.name = "second".to_owned();
    second.dimensions[0].values = vec!["secondary".to_owned()];
    both.criteria.push(second);
    let mut bench = Bench::new(both);
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(5), []);
    bench.up.insert("secondary", None);
    assert_eq!(
        bench.run(5),
        [],
        "one of which nothing is known decides nothing"
    );
    bench.up.insert("secondary", Some(false));
    let turned = bench.run(5);
    assert_eq!(turned.len(), 1);
    assert_eq!(turned[0].2, None);
}

#[test]
fn a_clock_that_jumps_fires_nothing_and_silences_nothing() {
    let mut bench = Bench::new(quick(5));
    bench.run(10);
    // A suspended machine: an hour passes at once. What is up stays up.
    bench.now += 3_600;
    assert_eq!(bench.run(10), []);
    bench.up.insert("primary", Some(false));
    assert_eq!(bench.run(10).len(), 1);
    bench.now += 3_600;
    assert_eq!(bench.run(10), []);
    // It goes back an hour: the rule is not silent for that hour.
    bench.now -= 3_600;
    assert_eq!(bench.run(10), []);
    bench.up.insert("primary", Some(true));
    assert_eq!(bench.run(10).len(), 1);
}

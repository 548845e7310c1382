#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Answer(u16, Option<Duration>);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.0)
    }
}

impl Classify for Answer {
    fn verdict(&self) -> Verdict {
        after_status(self.0, self.1)
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Pauses without chance.
const PLAIN: Policy = Policy {
    jitter: 0.0,
    ..Policy::STANDARD
};

async fn run(
    deadline: u64,
    answers: &[Result<u8, Answer>],
) -> (Result<u8, Failed<Answer>>, Duration, usize) {
    let started = tokio::time::Instant::now();
    let mut asked = 0;
    let done = retry(
        &PLAIN,
        Deadline::after(SECOND * u32::try_from(deadline).unwrap()),
        || {
            let answer = answers.get(asked).or(answers.last()).unwrap().clone();
            asked += 1;
            async move { answer }
        },
    )
    .await;
    (done, started.elapsed(), asked)
}

fn fails(code: u16) -> Result<u8, Answer> {
    Err(Answer(code, None))
}

#[test]
fn status_codes() {
    for code in 100..1000 {
        let again = matches!(after_status(code, None), Verdict::Again { .. });
        assert_eq!(again, [429, 500, 502, 503, 504].contains(&code), "{code}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    let read = |text| retry_after(text, now);
    assert_eq!(read("7"), Some(7 * SECOND));
    assert_eq!(read(" 0 "), Some(Duration::ZERO));
    assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60 * SECOND));
    assert_eq!(read("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO));
    for wrong in ["", "soon", "-1", "1.5", "99999999999999999999999", "\u{0}"] {
        assert_eq!(read(wrong), None, "{wrong:?}");
    }
}

#[test]
fn pauses_double_to_the_longest() {
    let pauses: Vec<u64> = (1..=8)
        .map(|it| PLAIN.pause(it, 0.5, None).as_secs())
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(
        Policy::STANDARD.pause(1, 0.0, None),
        Duration::from_millis(750)
    );
    assert_eq!(
        Policy::STANDARD.pause(1, 1.0, None),
        Duration::from_millis(1250)
    );
}

proptest! {
    #[test]
    fn a_pause_is_within_its_bounds_and_never_below_the_wish(
        failed in any::<u32>(), random in any::<f64>(), wish in proptest::option::of(any::<u64>()),
        jitter in any::<f64>(),
    ) {
        let policy = Policy { jitter, ..Policy::STANDARD };
        let wish = wish.map(Duration::from_secs);
        let pause = policy.pause(failed, random, wish);
        prop_assert!(wish.is_none_or(|wish| pause >= wish || wish.as_secs() > 1 << 52));
        if wish.is_none() {
            prop_assert!(pause <= policy.longest * 2);
        }
        let standard = Policy::STANDARD.pause(failed.max(1), random, None);
        prop_assert!(standard >= Duration::from_millis(750));
        prop_assert!(standard <= Duration::from_millis(37_500));
    }

    #[test]
    fn no_header_makes_it_panic(text in ".*") {
        let _ = retry_after(&text, SystemTime::UNIX_EPOCH);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let (done, took, asked) = run(60, &[fails(500), fails(429), fails(503), Ok(7)]).await;
    assert_eq!((done.unwrap(), asked), (7, 4));
    assert_eq!(took, 7 * SECOND);
    for code in [400, 401, 403, 404, 409, 412, 422, 501, 505] {
        let (done, took, asked) = run(60, &[fails(code), Ok(7)]).await;
        let failed = done.unwrap_err();
        assert_eq!(
            (failed.ended, asked, took),
            (Ended::Final, 1, Duration::ZERO),
            "{code}"
        );
        assert_eq!(failed.to_string(), format!("status {code}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_s_wish_counts_and_the_deadline_counts_more() {
    let wish = Err(Answer(429, Some(20 * SECOND)));
    let (done, took, _) = run(60, &[wish.clone(), Ok(7)]).await;
    assert_eq!((done.unwrap(), took), (7, 20 * SECOND));
    // No use in waiting for what cannot be.
    let (done, took, asked) = run(15, &[wish, Ok(7)]).await;
    let failed = done.unwrap_err();
    assert_eq!(
        (failed.ended, asked, took),
        (Ended::Wish(20 * SECOND), 1, Duration::ZERO)
    );
    assert!(failed.to_string().contains("pause of 20 s"), "{failed}");
    let (done, took, asked) = run(10, &[fails(503)]).await;
    let failed = done.unwrap_err();
    assert_eq!(
        (failed.ended, asked, failed.last),
        (Ended::Deadline, 4, Some(Answer(503, None)))
    );
    assert!(took <= 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up() {
    let mut asked = 0;
    let done = retry(&PLAIN, Deadline::after(60 * SECOND), || {
        asked += 1;
        let hangs = asked < 3;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, Answer>(7)
        }
    })
    .await;
    assert_eq!((done.unwrap(), asked), (7, 3));
    // The deadline holds also within an attempt.
    let started = tokio::time::Instant::now();
    let hanging = || std::future::pending::<Result<u8, Answer>>();
    let failed = retry(&PLAIN, Deadline::after(3 * SECOND), hanging)
        .await
        .unwrap_err();
    assert_eq!((failed.attempts, failed.last.is_none()), (1, true));
    assert_eq!(started.elapsed(), 3 * SECOND);
    assert!(failed.to_string().starts_with("no answer"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_no_clock_can_express_is_far_away() {
    let far = Deadline::after(Duration::MAX);
    assert!(!far.passed());
    assert!(far.within(SECOND) < far);
    assert!(Deadline::after(Duration::ZERO).passed());
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn repository() -> RepositoryName {
    RepositoryName::new("humio")
}

fn job() -> NewJob {
    NewJob {
        repository: repository(),
        query: Query::parse("error").unwrap(),
        range: TimeRange::ALL,
        now_ms: 5,
        held: None,
    }
}

fn memory() -> MemoryBudget {
    MemoryBudget::new(1 << 30)
}

fn jobs() -> Jobs {
    Jobs::new(&memory())
}

/// An answer of so many rows.
pub(in crate::http::query) fn written_for_tests(rows: usize) -> Answer {
    answer(rows, 50)
}

fn answer(rows: usize, length: usize) -> Answer {
    written(rows, length, &memory()).unwrap()
}

fn written(rows: usize, length: usize, memory: &MemoryBudget) -> Result<Answer, SearchError> {
    let row = |n: usize| {
        let raw = "x".repeat(length);
        let row = serde_json::json!({ "@id": n.to_string(), "@rawstring": raw });
        row.as_object().unwrap().clone()
    };
    let result = QueryResult {
        events: (0..rows).map(row).collect(),
        ..QueryResult::default()
    };
    Answer::new(result, memory.nothing(MemoryUse::Searches))
}

#[test]
fn the_memory_of_an_answer_is_taken_until_nobody_has_it() {
    let memory = MemoryBudget::new(crate::memory::MIN_BUDGET_BYTES);
    let jobs = Jobs::new(&memory);
    let now = Instant::now();
    let begun = jobs.begin(&job(), now).unwrap();
    let found = written(100, 1000, &memory);
    assert!(memory.used(MemoryUse::Searches) > 100_000);
    jobs.finish(&begun.id, found, now);
    let polled = jobs.poll(&repository(), &begun.id, now);
    assert!(jobs.remove(&repository(), &begun.id));
    assert!(
        memory.used(MemoryUse::Searches) > 100_000,
        "somebody still reads it"
    );
    drop(polled);
    assert_eq!(memory.used(MemoryUse::Searches), 0);
    // What does not fit is an error, and nothing of it stays.
    let refused = written(10, memory.share(MemoryUse::Searches) / 9, &memory);
    assert!(
        matches!(
            refused,
            Err(SearchError::Execution(ExecutionError::NoMemory { .. }))
        ),
        "it has more than there is"
    );
    assert_eq!(memory.used(MemoryUse::Searches), 0);
}

#[test]
fn a_job_tells_how_far_it_is_and_then_its_rows() {
    let jobs = jobs();
    let now = Instant::now();
    let begun = jobs.begin(&job(), now).unwrap();
    let progress = Progress {
        done: 3,
        total: 7,
        ..Progress::default()
    };
    begun.progress.send(progress).unwrap();
    let later = now + Duration::from_secs(2);
    let polled = jobs.poll(&repository(), &begun.id, later).unwrap();
    assert!(matches!(polled.state, State::Running));
    assert_eq!(polled.progress, progress);
    assert_eq!(polled.took, Duration::from_secs(2));
    assert_eq!(polled.end_ms, 5);

    jobs.finish(&begun.id, Ok(answer(2, 1)), later);
    let polled = jobs
        .poll(&repository(), &begun.id, later + JOB_IDLE_TIMEOUT / 2)
        .unwrap();
    let State::Done(answer) = polled.state else {
        panic!("it is done");
    };
    assert_eq!(answer.rows.len(), 2);
    assert_eq!(answer.fields, ["@id", "@rawstring"]);
    assert_eq!(polled.took, Duration::from_secs(2));
}

#[test]
fn a_job_that_nobody_polls_ends_and_its_search_with_it() {
    let jobs = jobs();
    let begun_at = Instant::now();
    let begun = jobs.begin(&job(), begun_at).unwrap();
    let almost = begun_at + JOB_IDLE_TIMEOUT - Duration::from_millis(1);
    assert_eq!(jobs.sweep(almost), 1);
    assert!(jobs.poll(&repository(), &begun.id, almost).is_some());
    // The poll has kept it alive.
    assert_eq!(jobs.sweep(begun_at + JOB_IDLE_TIMEOUT), 1);
    assert!(!begun.stop.is_cancelled());
    assert_eq!(jobs.sweep(almost + JOB_IDLE_TIMEOUT), 0);
    assert!(begun.stop.is_cancelled());
    assert!(
        jobs.poll(&repository(), &begun.id, almost + JOB_IDLE_TIMEOUT)
            .is_none()
    );
    // What comes too late is thrown away.
    jobs.finish(&begun.id, Ok(answer(1, 1)), almost + JOB_IDLE_TIMEOUT);
    assert_eq!(jobs.table.lock().kept_bytes, 0);
}

#[test]
fn an_expired_job_is_gone_even_before_the_sweep() {
    let jobs = jobs();
    let now = Instant::now();
    let begun = jobs.begin(&job(), now).unwrap();
    assert!(
        jobs.poll(&repository(), &begun.id, now + JOB_IDLE_TIMEOUT)
            .is_none()
    );
}

#[test]
fn only_one_sweeper_at_a_time() {
    let jobs = jobs();
    let now = Instant::now();
    assert!(jobs.begin(&job(), now).unwrap().must_sweep);
    assert!(!jobs.begin(&job(), now).unwrap().must_sweep);
    assert_eq!(jobs.sweep(now + JOB_IDLE_TIMEOUT), 0);
    assert!(
        jobs.begin(&job(), now + JOB_IDLE_TIMEOUT)
            .unwrap()
            .must_sweep
    );
}

#[test]
fn a_removed_job_stops() {
    let jobs = jobs();
    let now = Instant::now();
    let begun = jobs.begin(&job(), now).unwrap();
    assert!(!jobs.remove(&RepositoryName::new("other"), &begun.id));
    assert!(!begun.stop.is_cancelled());
    assert!(jobs.remove(&repository(), &begun.id));
    assert!(begun.stop.is_cancelled());
    assert!(!jobs.remove(&repository(), &begun.id));
    assert!(jobs.poll(&repository(), &begun.id, now).is_none());
}

#[test]
fn jobs_and_their_answers_are_bounded() {
    let jobs = Jobs {
        room: 10_000,
        ..jobs()
    };
    let now = Instant::now();
    let begun: Vec<_> = (0..MAX_JOBS)
        .map(|_| jobs.begin(&job(), now).unwrap())
        .collect();
    assert!(jobs.begin(&job(), now).is_none());

    let half = jobs.room / 2 + 1;
    jobs.finish(&begun[0].id, Ok(answer(1, half)), now);
    jobs.finish(&begun[1].id, Ok(answer(1, half)), now);
    let state = |n: usize| jobs.poll(&repository(), &begun[n].id, now).unwrap().state;
    assert!(matches!(state(0), State::Done(_)));
    assert!(matches!(state(1), State::TooLarge { bytes } if bytes > half));
    // There is room again once an answer is gone.
    assert!(jobs.remove(&repository(), &begun[0].id));
    assert_eq!(jobs.table.lock().kept_bytes, 0);
    assert!(jobs.begin(&job(), now).is_some());
}

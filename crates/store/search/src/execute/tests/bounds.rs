//! What searches may use: memory, time, threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::*;
use crate::{MemoryPermit, MemoryPool, Resources, Unbounded};

/// Only to end a test that hangs.
const HANG_TIMEOUT: Duration = Duration::from_secs(120);

/// So many bytes.
struct Bounded {
    bytes: usize,
    left: Arc<Semaphore>,
}

impl Bounded {
    fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            left: Arc::new(Semaphore::new(bytes)),
        })
    }

    fn used(&self) -> usize {
        self.bytes - self.left.available_permits()
    }
}

struct Taken {
    of: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

#[async_trait::async_trait]
impl MemoryPool for Bounded {
    fn nothing(&self) -> Box<dyn MemoryPermit> {
        Box::new(Taken {
            of: self.left.clone(),
            permit: None,
        })
    }

    async fn take(&self, bytes: usize) -> Box<dyn MemoryPermit> {
        let many = u32::try_from(bytes.min(self.bytes)).unwrap();
        let permit = self.left.clone().acquire_many_owned(many).await.unwrap();
        Box::new(Taken {
            of: self.left.clone(),
            permit: Some(permit),
        })
    }
}

impl MemoryPermit for Taken {
    fn grow(&mut self, more: usize) -> bool {
        let more = u32::try_from(more).unwrap();
        let Ok(more) = self.of.clone().try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        true
    }

    fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            let surplus = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(surplus));
        }
    }
}

struct Pools {
    rows: Arc<Bounded>,
    columns: Arc<Bounded>,
    exports: Arc<Bounded>,
}

impl Pools {
    fn new(rows: usize, columns: usize, exports: usize) -> Self {
        Self {
            rows: Bounded::new(rows),
            columns: Bounded::new(columns),
            exports: Bounded::new(exports),
        }
    }

    fn resources(&self) -> Resources {
        Resources {
            rows: self.rows.clone(),
            columns: self.columns.clone(),
            exports: self.exports.clone(),
            threads: Arc::new(Semaphore::new(2)),
        }
    }

    /// Waits for tasks that have been told to end.
    async fn all_is_back(&self) {
        let used = || self.rows.used() + self.columns.used() + self.exports.used();
        let back = async {
            while used() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(HANG_TIMEOUT, back).await.unwrap();
    }
}

fn of_lines(count: i64, text: &str, limits: Limits) -> Execution {
    let mut events = lines(count);
    for (number, (_, place)) in events.iter_mut().enumerate() {
        *place = number % 5;
    }
    execution(
        &Query::parse(text).unwrap(),
        TimeRange::ALL,
        &events,
        limits,
    )
}

fn many_rows() -> Limits {
    Limits {
        rows: 100_000,
        ..Limits::default()
    }
}

fn unwatched() -> watch::Sender<Progress> {
    watch::Sender::new(Progress::default())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

#[test]
fn a_query_that_is_another_in_each_repository_takes_memory_for_each() {
    let search = |text: &str, rows: usize| {
        let in_each =
            |n: i64| crate::live_of(format!("r{n}").into(), Arc::new(vec![plain(n, "x")]));
        let query = Query::parse(text).unwrap();
        let live = (0..1000).map(in_each).collect();
        Execution::new(query, TimeRange::ALL, vec![], live, Limits::default())
            .with(Pools::new(rows, 1 << 20, 1 << 20).resources())
    };
    let text: Vec<String> = (0..500)
        .map(|n| format!("(#repo!=r{n} or @id={n})"))
        .collect();
    let text = text.join(" ");
    runtime().block_on(async {
        let refused = search(&text, 1 << 20).run(unwatched()).await;
        assert!(
            matches!(
                refused,
                Err(SearchError::NoMemory {
                    what: "the query",
                    ..
                })
            ),
            "{refused:?}"
        );
        let streamed: Result<Vec<Row>, _> = search(&text, 1 << 20).stream().try_collect().await;
        assert!(streamed.is_err(), "{streamed:?}");
        // What is left of it is the same in all of them.
        let same = search(&text.replace(" or ", " and "), 1 << 20)
            .run(unwatched())
            .await;
        assert_eq!(same.unwrap().events.len(), 0);
        let same = search("#repo=r* number=7", 1 << 20).run(unwatched()).await;
        assert_eq!(same.unwrap().events.len(), 1);
        let enough = search(&text, 1 << 30).run(unwatched()).await;
        assert_eq!(enough.unwrap().events.len(), 200);
    });
}

#[test]
fn searches_side_by_side_answer_whole_or_with_an_error_and_give_everything_back() {
    const COUNT: i64 = 400;
    runtime().block_on(async {
        let alone = Pools::new(64 << 20, 1 << 20, 1 << 20);
        let search = || of_lines(COUNT, "groupBy(@id)", many_rows());
        let whole = search().with(alone.resources()).run(unwatched()).await;
        let whole = whole.unwrap();
        assert_eq!(whole.events.len(), COUNT as usize);
        let one = alone.rows.used();
        assert!(one > COUNT as usize * 500, "{one}: rows are counted");
        drop(whole.clone());
        assert_eq!(alone.rows.used(), one, "as long as one has the answer");

        // Room for some of them.
        let pools = Pools::new(3 * one, 1 << 20, 1 << 20);
        let shared = pools.resources();
        let all = (0..24).map(|_| tokio::spawn(search().with(shared.clone()).run(unwatched())));
        let all = futures::future::join_all(all).await;
        let mut answers = 0;
        for answer in all {
            match answer.unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.events, whole.events);
                    answers += 1;
                }
                Err(SearchError::NoMemory { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert!(answers > 0);
        pools.all_is_back().await;
        // What was refused is answered when the others are gone.
        let again = search().with(shared).run(unwatched()).await.unwrap();
        assert_eq!(again.events, whole.events);
    });
}

#[test]
fn a_row_group_larger_than_all_memory_for_it_is_read_alone() {
    runtime().block_on(async {
        let pools = Pools::new(1 << 20, 100, 100);
        for text in [
            "line | sort(number, limit=50)",
            "line",
            "line | select([number, @rawstring])",
        ] {
            let search = || of_lines(200, text, many_rows()).with(pools.resources());
            let found = search().run(unwatched()).await.unwrap();
            let streamed: Vec<Row> = search().stream().try_collect().await.unwrap();
            let expected = if text.contains("sort") { 50 } else { 200 };
            assert_eq!(
                (found.events.len(), streamed.len()),
                (expected, expected),
                "{text}"
            );
        }
        pools.all_is_back().await;
    });
}

#[test]
fn who_reads_a_stream_slowly_keeps_nobody_waiting() {
    runtime().block_on(async {
        let pools = Pools::new(1 << 20, 100, 100);
        let search = |text: &str| of_lines(200, text, many_rows()).with(pools.resources());
        let mut slow = search("line").stream();
        slow.next().await.unwrap().unwrap();
        assert!(pools.exports.used() > 0);
        for _ in 0..3 {
            let found = search("line").run(unwatched()).await.unwrap();
            assert_eq!(found.events.len(), 200);
        }
        let rest: Vec<Row> = slow.try_collect().await.unwrap();
        assert_eq!(rest.len(), 199);
        let mut dropped = search("line").stream();
        dropped.next().await.unwrap().unwrap();
        drop(dropped);
        pools.all_is_back().await;
    });
}

#[test]
fn a_search_that_takes_too_long_is_ended_by_name() {
    let limits = Limits {
        time: Duration::from_millis(1),
        ..Limits::default()
    };
    runtime().block_on(async {
        let pools = Pools::new(1 << 20, 1 << 20, 1 << 20);
        let search = || {
            let broken = Broken {
                hangs: true,
                reads: Arc::default(),
            };
            let sources: Vec<Arc<dyn SegmentSource>> = vec![Arc::new(broken)];
            let query = Query::parse("a").unwrap();
            Execution::new(query, TimeRange::ALL, sources, vec![], limits).with(pools.resources())
        };
        let ended = search().run(unwatched()).await;
        assert!(
            matches!(ended, Err(SearchError::TimeLimit { .. })),
            "{ended:?}"
        );
        let mut rows = search().stream();
        let ended = rows.next().await.unwrap();
        assert!(
            matches!(ended, Err(SearchError::TimeLimit { .. })),
            "{ended:?}"
        );
        assert!(rows.next().await.is_none());
        pools.all_is_back().await;
    });
}

/// Events without an end.
#[derive(Default)]
struct Endless {
    begun: AtomicBool,
    looking: AtomicUsize,
}

impl Endless {
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let comes = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let comes = tokio::time::timeout(HANG_TIMEOUT, comes).await;
        comes.unwrap_or_else(|_| panic!("never: {what}"));
    }

    async fn ends(&self) {
        let rests = |it: &Self| it.looking.load(Ordering::SeqCst) == 0;
        self.until("nothing computes", rests).await;
    }
}

impl LiveEvents for Endless {
    fn pieces(&self) -> usize {
        1
    }

    fn extent(&self, _: usize) -> Option<(i64, i64)> {
        Some((0, 0))
    }

    fn memory(&self, _: usize) -> usize {
        1
    }

    fn look(
        &self,
        _: usize,
        see: &mut dyn FnMut(&Event) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        self.looking.fetch_add(1, Ordering::SeqCst);
        self.begun.store(true, Ordering::SeqCst);
        let event = plain(0, "line");
        loop {
            if let Err(error) = see(&event) {
                self.looking.fetch_sub(1, Ordering::SeqCst);
                return Err(error);
            }
        }
    }
}

#[test]
fn what_computes_for_a_search_ends_with_it() {
    for text in ["groupBy(@id)", "/li.e/"] {
        let endless = Arc::new(Endless::default());
        let live: Vec<Arc<dyn LiveEvents>> = vec![endless.clone()];
        let query = Query::parse(&format!("nowhere | {text}")).unwrap();
        let search =
            |limits| Execution::new(query.clone(), TimeRange::ALL, vec![], live.clone(), limits);
        runtime().block_on(async {
            // A client that goes.
            let running = tokio::spawn(search(Limits::default()).run(unwatched()));
            let begun = |it: &Endless| it.begun.load(Ordering::SeqCst);
            endless.until("it has begun", begun).await;
            running.abort();
            endless.ends().await;
            // Time that is over.
            let limits = Limits {
                time: Duration::from_millis(20),
                ..Limits::default()
            };
            let over = search(limits).run(unwatched()).await;
            assert!(
                matches!(over, Err(SearchError::TimeLimit { .. })),
                "{over:?}"
            );
            let over = search(limits).stream().next().await.unwrap();
            assert!(
                matches!(over, Err(SearchError::TimeLimit { .. })),
                "{over:?}"
            );
            endless.ends().await;
        });
    }
}

#[test]
fn searches_compute_on_no_more_threads_than_they_may() {
    let resources = Resources {
        threads: Arc::new(Semaphore::new(1)),
        ..Resources::default()
    };
    runtime().block_on(async {
        let turn = resources.threads.clone().acquire_owned().await.unwrap();
        let search = of_lines(100, "groupBy(@id)", many_rows()).with(resources.clone());
        let mut waiting = Box::pin(search.run(unwatched()));
        for _ in 0..50 {
            assert!(futures::poll!(&mut waiting).is_pending());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(turn);
        assert_eq!(waiting.await.unwrap().events.len(), 100);
    });
}

#[test]
fn unbounded_is_unbounded() {
    assert!(Unbounded.grow(usize::MAX));
}

#[test]
fn a_chart_says_which_events_are_far_away() {
    const YEAR_2100: i64 = 4_102_444_800_000;
    let mut events = lines(10);
    let run = |events: &[(Event, usize)], text: &str, end_ms| {
        let range = TimeRange {
            start_ms: 0,
            end_ms,
        };
        let query = Query::parse(text).unwrap();
        super::run(execution(&query, range, events, Limits::default()))
    };
    // An end far away alone makes no buckets.
    let chart = run(&events, "timeChart(span=1s)", YEAR_2100 + 1).unwrap();
    assert!(chart.events.len() <= 10, "{chart:?}");
    // An event there does, unless it is left out or the chart chooses its span.
    events.push((plain(YEAR_2100, "far"), 3));
    let refused = run(&events, "timeChart(span=1s)", YEAR_2100 + 1).unwrap_err();
    assert!(
        refused.to_string().contains(&format!("to {YEAR_2100} (ms")),
        "{refused}"
    );
    assert_eq!(
        run(&events, "timeChart(span=1s)", YEAR_2100).unwrap(),
        chart
    );
    assert!(run(&events, "timeChart()", YEAR_2100 + 1).is_ok());
}

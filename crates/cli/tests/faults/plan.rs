//! Which points there are, and one run that kills at one of them.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use backstay_lab::supervisor::NodeProcess;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clients::Clients;
use crate::setting;
use crate::world::{Ended, PATIENCE, TICK, World, begin, ready, set_up, with};

/// Which pass of a point kills, if the point is passed so often: no two runs are timed alike, so a
/// point may be passed less often than it was. Then the node is killed when all is sent, and the
/// run counts as one that did not reach its point.
const PASSES: [u32; 6] = [1, 1, 2, 3, 7, 19];

/// After the last acknowledgement: the last segments, a snapshot and a trim.
const LINGER: Duration = Duration::from_secs(5);

const SIGKILL: i32 = 9;

/// What a node goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A primary from its cluster's creation on.
    Young,
    /// A standby that recovers from a primary which died in mid-ingest.
    Recovery,
    /// A primary of a cluster that has been at work for long.
    Old,
    /// A primary that is told to end when all is sent.
    Drain,
}

const LIVES: [Life; 4] = [Life::Young, Life::Recovery, Life::Old, Life::Drain];

/// A point, how often it is passed, and in which life.
pub type Point = (String, u32, Life);

/// Goes through every life once, and notes what points are passed.
pub async fn discover(old: &World) -> Ended<Vec<Point>> {
    let mut points: BTreeMap<String, (u32, Life)> = BTreeMap::new();
    for life in LIVES {
        let work = tempfile::tempdir()?;
        let log = work.path().join("points");
        let run = Run {
            life,
            seed: 1,
            variable: ("BACKSTAY_FAILPOINT_LOG", log.display().to_string()),
            same: false,
        };
        run.play(work.path(), old)
            .await
            .map_err(|error| format!("{life:?}, without any kill: {error}"))?;
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let mut passes: BTreeMap<&str, u32> = BTreeMap::new();
        for name in text.lines() {
            *passes.entry(name).or_default() += 1;
        }
        for (name, passes) in passes {
            points.entry(name.to_owned()).or_insert((passes, life));
        }
    }
    let points = points.into_iter();
    Ok(points
        .map(|(name, (passes, life))| (name, passes, life))
        .collect())
}

/// What one run does.
#[derive(Clone, Debug)]
pub struct Plan {
    number: usize,
    point: String,
    pass: u32,
    run: Run,
}

impl Plan {
    /// The runs of a row, in an order that only the seed decides.
    pub fn row(points: &[Point], runs: Option<usize>, seed: u64) -> Vec<Self> {
        let only = setting("BACKSTAY_FAULT_POINT");
        let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
        let all: Vec<&Point> = points.iter().filter(|point| wanted(&point.0)).collect();
        assert!(!all.is_empty(), "no point {only:?} among {points:?}");
        let mut random = StdRng::seed_from_u64(seed);
        // A row of few runs would otherwise always try the same first points.
        let offset = random.random_range(0..all.len());
        (0..runs.unwrap_or(all.len()))
            .map(|number| {
                let (point, passes, life) = all[(offset + number) % all.len()];
                let possible = PASSES.into_iter().filter(|pass| pass <= passes);
                let possible: Vec<u32> = possible.collect();
                let pass = possible[random.random_range(0..possible.len())];
                Self {
                    number,
                    point: point.clone(),
                    pass,
                    run: Run {
                        life: *life,
                        seed: random.random(),
                        variable: ("BACKSTAY_KILL_AT", format!("{point}:{pass}")),
                        same: random.random(),
                    },
                }
            })
            .collect()
    }

    /// Plays it; returns whether its point was reached.
    pub async fn play(&self, work: &Path, old: &World) -> Ended<bool> {
        self.run.play(work, old).await
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let then = match (self.run.life, self.run.same) {
            (Life::Recovery, _) => "recover again",
            (_, true) => "the same node",
            (_, false) => "a standby",
        };
        write!(
            f,
            "{:>4} {}:{}, then {then}",
            self.number, self.point, self.pass
        )
    }
}

#[derive(Clone, Debug)]
struct Run {
    life: Life,
    seed: u64,
    /// What the node that may die is told.
    variable: (&'static str, String),
    /// Whether the dead primary goes on, or a standby.
    same: bool,
}

impl Run {
    async fn play(&self, work: &Path, old: &World) -> Ended<bool> {
        let world = match self.life {
            Life::Old => old.copy(work),
            _ => World::new(work),
        };
        if self.life == Life::Recovery {
            return self.end_standby(&world).await;
        }
        let (name, value) = &self.variable;
        let dying = with(&world.primary, name, value);
        let (mut node, token, died_early) = begin(&world.primary, &dying).await?;
        let mut clients = Clients::start(self.seed, node.client(), token);
        let reached = self.until_dead(&mut node, &mut clients).await? || died_early;
        let next = if self.same {
            &world.primary
        } else {
            &world.standby
        };
        let mut next = ready(next).await?;
        clients.point_to(&next);
        clients.finish(&mut next).await?;
        Ok(reached)
    }

    async fn end_standby(&self, world: &World) -> Ended<bool> {
        let mut node = ready(&world.primary).await?;
        let token = set_up(&node).await?;
        let mut clients = Clients::start(self.seed, node.client(), token);
        while !clients.half() {
            clients.more();
            clients.finished()?;
            node.must_run()?;
            tokio::time::sleep(TICK).await;
        }
        node.kill().await?;
        let (name, value) = &self.variable;
        let dying = with(&world.standby, name, value);
        let mut standby = NodeProcess::start(&dying)?;
        let mut reached = true;
        if standby.ready(PATIENCE).await.is_ok() {
            clients.point_to(&standby);
            reached = self.until_dead(&mut standby, &mut clients).await?;
        } else if standby.exited()?.is_none() {
            return Err(format!(
                "the standby neither died nor recovered:\n{}",
                standby.log_tail(15)
            )
            .into());
        }
        let mut standby = ready(&world.standby).await?;
        clients.point_to(&standby);
        clients.finish(&mut standby).await?;
        Ok(reached)
    }

    /// Waits until the node is dead, by its point or, when all is sent, by us. Returns whether the
    /// point did it.
    async fn until_dead(&self, node: &mut NodeProcess, clients: &mut Clients) -> Ended<bool> {
        let since = Instant::now();
        let mut sent_at = None;
        loop {
            if let Some(status) = node.exited()? {
                return Ok(status.signal() == Some(SIGKILL));
            }
            clients.more();
            if sent_at.is_none() && clients.finished()? {
                sent_at = Some(Instant::now());
                if self.life == Life::Drain {
                    node.terminate()?;
                }
            }
            if self.life != Life::Drain && sent_at.is_some_and(|at| at.elapsed() > LINGER) {
                node.kill().await?;
                return Ok(false);
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("neither dead nor done:\n{}", node.log_tail(15)).into());
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

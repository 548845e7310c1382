//! Where in a log a follower is, so that one that breaks off goes on without a gap and without
//! repeating itself.
//!
//! Each line comes with its moment. After a break the log is asked for from the second of the last
//! line on; what had come already is passed over: everything before that moment, and as many lines
//! of the moment itself as had come.

use k8s_openapi::jiff::Timestamp;

#[derive(Debug, Default)]
pub(crate) struct Resume {
    last: Option<Timestamp>,
    /// How many lines of exactly that moment have come.
    at_last: usize,
    /// After a break: how many of them are still to be passed over.
    passing: Option<usize>,
}

impl Resume {
    /// From where to ask again; from the beginning if nothing has come yet. Whole seconds, because
    /// Kubernetes takes no others.
    pub(crate) fn begin(&mut self) -> Option<Timestamp> {
        self.passing = self.last.map(|_| self.at_last);
        let seconds = self.last?.as_second();
        Timestamp::from_second(seconds).ok()
    }

    /// Takes a line with its moment before it; the line itself if it has not come yet.
    pub(crate) fn take<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let stamped = line.split_once(' ').and_then(|(moment, rest)| {
            let moment: Timestamp = moment.parse().ok()?;
            Some((moment, rest))
        });
        // An empty line has nothing after its moment.
        let stamped = stamped.or_else(|| Some((line.parse().ok()?, "")));
        let Some((moment, text)) = stamped else {
            return Some(line);
        };
        if let (Some(left), Some(last)) = (self.passing, self.last) {
            if moment < last {
                return None;
            }
            if moment == last && left > 0 {
                self.passing = Some(left - 1);
                return None;
            }
            self.passing = None;
        }
        match self.last {
            Some(last) if last == moment => self.at_last += 1,
            // Two streams of one container can be a little out of order.
            Some(last) if moment < last => {}
            _ => (self.last, self.at_last) = (Some(moment), 1),
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;

//! The acknowledgement: the moment after which what was given to a writer is never lost.
//!
//! A slot is acknowledged when it is durable in the bucket as ours, and every slot below it too.

use tokio::time::Instant;

use super::Committer;
use crate::fence::{Fence, Occupied};
use crate::writer::{Position, answer_fenced};

impl Committer {
    /// Takes in what a put has found in its slot.
    pub(super) fn settle(&mut self, seq: u64, outcome: Occupied) {
        match outcome {
            Occupied::Own => {
                if let Some(slot) = self.slots.get_mut(&seq) {
                    slot.settled = true;
                }
                self.acknowledge();
            }
            Occupied::Dead => {
                let fenced = self.shared.queue.lock().fenced.clone();
                if let Some(fence) = fenced {
                    // The slot was ours, was read and trimmed, and a straggler wrote into the void.
                    // What lies above the fence is void too: nothing may be put there.
                    self.fence(seq, fence);
                } else if let Some(slot) = self.slots.remove(&seq) {
                    // Near the seal only, where this was the one slot on its way: order is kept.
                    self.put(slot.records);
                }
            }
            Occupied::Rival => {
                let by = "another writer of our own term".to_owned();
                let term = self.term;
                self.fence(seq, Fence { by, term });
            }
            Occupied::Fenced(fence) => self.fence(seq, fence),
        }
    }

    /// Nothing from `seq` on will ever be acknowledged; what is below may still be settled.
    fn fence(&mut self, seq: u64, fence: Fence) {
        tracing::warn!(stream = %self.stream, seq, %fence, "fenced");
        let mut bytes = 0;
        for slot in self.slots.split_off(&seq).into_values() {
            bytes += slot.bytes;
            answer_fenced(slot.records, &fence);
        }
        self.shared.queue.lock().backlog_bytes -= bytes;
        self.shared.fence(&fence);
        self.note_lowest();
    }

    /// Answers for all slots up to the first that is not settled.
    fn acknowledge(&mut self) {
        while let Some(first) = self.slots.first_entry() {
            if !first.get().settled {
                break;
            }
            backstay_failpoint::hit("journal.commit.before_ack");
            let (seq, slot) = first.remove_entry();
            // Before the answer: who has it may ask for `settled_below` at once.
            self.note_lowest();
            let mut queue = self.shared.queue.lock();
            queue.backlog_bytes -= slot.bytes;
            queue.last_ack = Instant::now();
            drop(queue);
            for (index, pending) in slot.records.into_iter().enumerate() {
                let index = index as u32;
                let _ = pending.done.send(Ok(Position { seq, index }));
            }
            backstay_failpoint::hit("journal.commit.after_ack");
        }
    }

    /// Keeps what others ask of the queue: the lowest slot that is not acknowledged.
    pub(super) fn note_lowest(&self) {
        let first = self.slots.first_key_value();
        let oldest = first.and_then(|(_, slot)| slot.records.first());
        let mut queue = self.shared.queue.lock();
        queue.oldest_in_slot = oldest.map(|pending| pending.since);
        queue.settled_below = first.map_or(self.next, |(seq, _)| *seq);
    }
}

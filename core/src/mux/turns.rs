//! [`Turns`]: whose frame is next.

use crate::priority::Priority;
use alloc::collections::VecDeque;

/// Channels that have something to send, by priority.
///
/// Between priorities by virtual time and their weights, as plain connections do. Between the channels of one
/// priority by *deficit round robin* (Shreedhar and Varghese 1995): each in its turn sends up to a quantum of bytes. A
/// channel that had nothing to send goes before those that are at it all the time (as in RFC 8290), but with what a
/// quantum allows only: so a short message waits for none of a thousand long ones.
///
/// ```text
///            begins                   quantum is used up            nothing left
///   (idle) ─────────▶ newcomers ──────────────────────▶ regulars ─────────────────▶ (idle)
///                          └── nothing left, or used up ──▶ │ ▲ its turn is over │
///                                                           └─┴──────────────────┘
/// ```
#[derive(Debug, Default)]
pub struct Turns {
    lanes: [Lane; Priority::ALL.len()],
    /// The clock of the lane that was served last.
    clock: u64,
}

#[derive(Debug, Default)]
struct Lane {
    newcomers: VecDeque<u32>,
    regulars: VecDeque<u32>,
    clock: u64,
}

/// What a channel knows of its turns.
#[derive(Copy, Clone, Debug, Default)]
pub struct Turn {
    /// It is in a list.
    listed: bool,
    /// Bytes that it may still send in this turn; a long frame may take them below zero.
    deficit: i32,
}

/// What a frame costs beside its bytes.
const FRAME_COST: i32 = 64;

/// What a regular may send in one turn.
pub const QUANTUM: i32 = 64 * 1024;

/// What a newcomer may send before the others.
const FIRST_QUANTUM: i32 = 16 * 1024;

impl Turns {
    /// A channel has something to send.
    pub fn add(&mut self, priority: Priority, slot: u32, turn: &mut Turn) {
        if turn.listed {
            return;
        }
        turn.listed = true;
        let clock = self.clock;
        let lane = &mut self.lanes[priority as usize];
        if lane.is_empty() {
            lane.clock = lane.clock.max(clock);
        }
        if turn.deficit >= 0 {
            turn.deficit = FIRST_QUANTUM;
            lane.newcomers.push_back(slot);
        } else {
            lane.regulars.push_back(slot);
        }
    }

    /// Nobody has anything to send.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// Whether at most one channel has something to send.
    pub fn is_alone(&self) -> bool {
        self.lanes.iter().map(|lane| lane.newcomers.len() + lane.regulars.len()).sum::<usize>() <= 1
    }

    /// Whose turn it is: `serve` sends a frame of the channel with what it is told, and returns its bytes; `None`
    /// if it has nothing to send now, by which it leaves the list. `turn_of` finds what a channel knows.
    ///
    /// `None` when nobody has anything to send.
    pub fn serve<C, T>(
        &mut self,
        channels: &mut C,
        turn_of: impl Fn(&mut C, u32) -> Option<&mut Turn>,
        mut serve: impl FnMut(&mut C, u32) -> Option<(T, usize)>,
    ) -> Option<T> {
        loop {
            let next =
                Priority::ALL.into_iter().filter(|priority| !self.lanes[*priority as usize].is_empty());
            // Of equal ones the more urgent.
            let priority = next.min_by_key(|priority| self.lanes[*priority as usize].clock)?;
            let lane = &mut self.lanes[priority as usize];
            let is_new = !lane.newcomers.is_empty();
            let list = if is_new { &mut lane.newcomers } else { &mut lane.regulars };
            let &slot = list.front()?;
            let Some(turn) = turn_of(channels, slot) else {
                list.pop_front();
                continue;
            };
            if turn.deficit <= 0 {
                turn.deficit += QUANTUM;
                list.pop_front();
                lane.regulars.push_back(slot);
                continue;
            }
            match serve(channels, slot) {
                Some((frame, bytes)) => {
                    if let Some(turn) = turn_of(channels, slot) {
                        turn.deficit -= bytes as i32 + FRAME_COST;
                    }
                    self.clock = lane.clock;
                    lane.clock += (bytes as u64 + FRAME_COST as u64) * 64 / priority.weight();
                    return Some(frame);
                }
                None => {
                    list.pop_front();
                    let Some(turn) = turn_of(channels, slot) else { continue };
                    // Who comes back at once has not become a newcomer by that.
                    turn.listed = false;
                    if !is_new {
                        turn.deficit = 0;
                    } else if turn.deficit < FIRST_QUANTUM / 2 {
                        turn.deficit -= FIRST_QUANTUM;
                    }
                }
            }
        }
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.newcomers.is_empty() && self.regulars.is_empty()
    }
}

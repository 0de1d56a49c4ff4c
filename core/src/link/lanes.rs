//! [`Lanes`]: what waits to be sent, in four priorities, and which of it is next.

use super::parcel::Priority;
use alloc::collections::VecDeque;

/// Four queues, each with its share: whoever has more to send than the connection takes gets 64, 16, 4
/// or 1 of 85 bytes, and whoever has not goes first when he comes.
///
/// Fair queueing by virtual time: each lane's clock advances by what it sent over its weight, and the lane
/// whose clock is behind is next. A lane that was empty starts at the clock of the one that was served
/// last, so nobody saves up for later, and nobody waits for ever.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: [Lane<T>; Priority::ALL.len()],
    /// The clock of the lane that was served last.
    clock: u64,
}

#[derive(Debug)]
struct Lane<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    clock: u64,
}

/// What an item costs beside its bytes.
const ITEM_COST: u64 = 64;

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            lanes: core::array::from_fn(|_| Lane { items: VecDeque::new(), bytes: 0, clock: 0 }),
            clock: 0,
        }
    }
}

impl<T> Lanes<T> {
    /// Adds an item of so many bytes.
    pub fn push(&mut self, priority: Priority, item: T, bytes: usize) {
        let lane = &mut self.lanes[priority as usize];
        if lane.items.is_empty() {
            lane.clock = lane.clock.max(self.clock);
        }
        lane.items.push_back((item, bytes));
        lane.bytes += bytes;
    }

    /// Whether an item of so many bytes may wait, where so many and so many bytes may. A single one may
    /// always.
    pub fn has_room(&self, priority: Priority, bytes: usize, max_items: usize, max_bytes: usize) -> bool {
        let lane = &self.lanes[priority as usize];
        lane.items.is_empty()
            || (lane.items.len() < max_items && lane.bytes.saturating_add(bytes) <= max_bytes)
    }

    /// The next item that may go, to look at or to change, and its priority. A lane whose oldest may not go
    /// is passed over.
    pub fn front(&mut self, may_go: impl Fn(&T) -> bool) -> Option<(Priority, &mut T)> {
        let oldest = |priority: &Priority| self.lanes[*priority as usize].items.front();
        let ready = Priority::ALL
            .into_iter()
            .filter(|priority| oldest(priority).is_some_and(|(item, _)| may_go(item)));
        // Of equal ones the more urgent.
        let priority = ready.min_by_key(|priority| self.lanes[*priority as usize].clock)?;
        self.lanes[priority as usize].items.front_mut().map(|(item, _)| (priority, item))
    }

    /// So many bytes of the front of a lane were sent.
    pub fn served(&mut self, priority: Priority, bytes: usize) {
        let lane = &mut self.lanes[priority as usize];
        self.clock = lane.clock;
        // Fine enough that a weight of 64 does not round a small message down to nothing.
        lane.clock += (bytes as u64 + ITEM_COST) * 64 / priority.weight();
    }

    /// Takes the front of a lane away.
    pub fn pop(&mut self, priority: Priority) -> Option<T> {
        let lane = &mut self.lanes[priority as usize];
        let (item, bytes) = lane.items.pop_front()?;
        lane.bytes -= bytes;
        Some(item)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.items.is_empty())
    }

    /// Items and bytes that wait.
    pub fn waiting(&self) -> (usize, usize) {
        self.lanes.iter().fold((0, 0), |(items, bytes), lane| (items + lane.items.len(), bytes + lane.bytes))
    }

    /// Everything, in no order that matters.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.lanes.iter_mut().flat_map(|lane| {
            lane.bytes = 0;
            lane.items.drain(..).map(|(item, _)| item)
        })
    }

    /// Takes out whatever `is_gone` says.
    pub fn remove(&mut self, mut is_gone: impl FnMut(&T) -> bool) {
        for lane in &mut self.lanes {
            let mut freed = 0;
            lane.items.retain(|(item, bytes)| {
                let gone = is_gone(item);
                freed += if gone { *bytes } else { 0 };
                !gone
            });
            lane.bytes -= freed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Sends the next item.
    fn serve(lanes: &mut Lanes<usize>) -> Option<(Priority, usize)> {
        let (priority, size) = lanes.front(|_| true).map(|(priority, size)| (priority, *size))?;
        lanes.served(priority, size);
        lanes.pop(priority);
        Some((priority, size))
    }

    #[test]
    fn busy_lanes_share_the_connection_by_their_weights() {
        let mut lanes = Lanes::default();
        for priority in Priority::ALL {
            (0..10_000).for_each(|_| lanes.push(priority, 1_000, 1_000));
        }
        let mut served = [0; 4];
        for _ in 0..8_500 {
            served[serve(&mut lanes).unwrap().0 as usize] += 1;
        }
        for (served, weight) in served.into_iter().zip(Priority::ALL.map(Priority::weight)) {
            assert!((served as i64 - 100 * weight as i64).abs() <= 2, "{served} of {weight}");
        }
    }

    #[test]
    fn an_urgent_item_that_comes_goes_first() {
        let mut lanes = Lanes::default();
        (0..100).for_each(|_| lanes.push(Priority::Low, 60_000, 60_000));
        (0..50).for_each(|_| assert!(serve(&mut lanes).is_some()));
        lanes.push(Priority::Urgent, 1, 1);
        assert_eq!(serve(&mut lanes), Some((Priority::Urgent, 1)));
    }

    #[test]
    fn who_was_silent_has_not_saved_up() {
        let mut lanes = Lanes::default();
        for _ in 0..1_000 {
            lanes.push(Priority::Urgent, 1_000, 1_000);
            serve(&mut lanes);
        }
        (0..1_000).for_each(|_| lanes.push(Priority::Low, 1_000, 1_000));
        (0..1_000).for_each(|_| lanes.push(Priority::Urgent, 1_000, 1_000));
        let low = (0..650).filter(|_| serve(&mut lanes).unwrap().0 == Priority::Low).count();
        assert!((10..=12).contains(&low), "{low} of 650");
    }

    #[test]
    fn a_lane_has_its_own_bound_and_one_item_always_fits() {
        let mut lanes = Lanes::default();
        assert!(lanes.has_room(Priority::Low, 1_000, 2, 10));
        lanes.push(Priority::Low, 0, 1_000);
        assert!(!lanes.has_room(Priority::Low, 0, 2, 10));
        assert!(lanes.has_room(Priority::High, 10, 2, 10));
        lanes.push(Priority::High, 0, 5);
        assert!(lanes.has_room(Priority::High, 5, 2, 10) && !lanes.has_room(Priority::High, 6, 2, 10));
        assert!(!lanes.has_room(Priority::High, 0, 1, 10));
        assert_eq!(lanes.waiting(), (2, 1_005));
        lanes.remove(|_| true);
        assert_eq!(lanes.waiting(), (0, 0));
    }

    proptest! {
        /// Whatever comes, each lane keeps its order, and everybody is served within a bounded time.
        #[test]
        fn nobody_starves(
            arrivals in prop::collection::vec((0_usize..4, 1_usize..5_000), 1..200),
        ) {
            let mut lanes = Lanes::default();
            let mut expected: [VecDeque<usize>; 4] = Default::default();
            lanes.push(Priority::Low, 7, 7);
            let mut waited = 0;
            let mut low_is_served = false;
            for (lane, size) in arrivals.iter().cycle().take(5_000) {
                let priority = Priority::ALL[*lane];
                if priority != Priority::Low {
                    lanes.push(priority, *size, *size);
                    expected[*lane].push_back(*size);
                    let (served, size) = serve(&mut lanes).unwrap();
                    match served {
                        Priority::Low => low_is_served = true,
                        _ => prop_assert_eq!(expected[served as usize].pop_front(), Some(size)),
                    }
                    waited += usize::from(!low_is_served);
                }
            }
            // One that costs 71 waits while the others send 85 times as much, and an item of each.
            prop_assert!(waited <= 100, "{} others went first", waited);
            let rest: Vec<_> = core::iter::from_fn(|| serve(&mut lanes)).collect();
            prop_assert!(lanes.is_empty() && lanes.waiting() == (0, 0));
            for (served, size) in rest {
                if served != Priority::Low {
                    prop_assert_eq!(expected[served as usize].pop_front(), Some(size));
                }
            }
        }
    }
}

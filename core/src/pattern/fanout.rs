//! [`fan_out`]: one message to many pipes.

use super::pipes::PipeTable;
use super::{Effects, PipeId};
use crate::message::Message;

/// Sends `message` to every pipe for which `admit` says yes, having used its credit.
///
/// One walk over the table, and one copy less than there are pipes: the last one gets the
/// original.
pub(crate) fn fan_out<T, E: Effects>(
    peers: &mut PipeTable<T>,
    message: &mut Message,
    fx: &mut E,
    mut admit: impl FnMut(PipeId, &mut T, &Message, &mut E) -> bool,
) {
    let mut last = None;
    for (pipe, peer) in peers.iter_mut() {
        if admit(pipe, peer, message, fx) {
            if let Some(earlier) = last.replace(pipe) {
                fx.transmit_copy(earlier, message);
            }
        }
    }
    if let Some(pipe) = last {
        fx.transmit(pipe, message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    #[test]
    fn everybody_admitted_gets_one_copy_in_the_order_of_slots() {
        let mut fx = Script::default();
        let mut peers = PipeTable::new();
        for n in 1..=4 {
            peers.insert(pipe(n), n);
        }
        fan_out(&mut peers, &mut "x".into(), &mut fx, |_, n, _, _| *n != 2);
        assert_eq!(fx.sent.iter().map(|(p, _)| p.get()).collect::<alloc::vec::Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn nobody_admitted_means_nothing_sent() {
        let mut fx = Script::default();
        let mut peers = PipeTable::new();
        peers.insert(pipe(1), ());
        fan_out(&mut peers, &mut "x".into(), &mut fx, |_, (), _, _| false);
        assert!(fx.sent.is_empty());
    }
}

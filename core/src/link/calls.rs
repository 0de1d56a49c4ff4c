//! Requests and their answers: [`Calls`] are ours, [`Asked`] the peer's.

use super::parcel::Parcel;
use crate::framing::link::Fault;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use bytes::Bytes;

/// Our requests that wait for their answers.
#[derive(Debug, Default)]
pub struct Calls {
    last: u64,
    waiting: BTreeMap<u64, Option<Answer>>,
}

/// What became of a request.
pub type Answer = Result<Bytes, Failure>;

/// Why a request has no answer, as the peer told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub code: Fault,
    /// In words; empty if none were given.
    pub text: String,
}

impl Calls {
    /// A new request; `None` when so many wait already.
    pub fn open(&mut self, max: usize) -> Option<u64> {
        if self.waiting.len() >= max {
            return None;
        }
        self.last += 1;
        self.waiting.insert(self.last, None);
        Some(self.last)
    }

    /// An answer came. `false`: nobody waits for it, or it is there already.
    pub fn answer(&mut self, id: u64, answer: Answer) -> bool {
        match self.waiting.get_mut(&id) {
            Some(place @ None) => {
                *place = Some(answer);
                true
            }
            _ => false,
        }
    }

    /// The answer, once it is here.
    pub fn take(&mut self, id: u64) -> Option<Answer> {
        self.waiting.get(&id)?.as_ref()?;
        self.waiting.remove(&id)?
    }

    /// Nobody waits any more. Whether the peer is to be told, and the answer if it was here.
    pub fn forget(&mut self, id: u64) -> (bool, Option<Answer>) {
        match self.waiting.remove(&id) {
            Some(None) => (true, None),
            Some(answer) => (false, answer),
            None => (false, None),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Requests of the peer: those that nobody has taken, and those in the hands of handlers.
#[derive(Debug, Default)]
pub struct Asked {
    queue: VecDeque<(u64, Parcel)>,
    open: BTreeSet<u64>,
}

/// What becomes of a request that comes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It waits for a handler.
    Waits,
    /// There are as many as may be.
    Busy,
    /// One of the same number is open: the peer breaks the rules.
    Twice,
}

impl Asked {
    /// A request came.
    pub fn push(&mut self, id: u64, parcel: Parcel, max: usize) -> Arrival {
        if self.open.contains(&id) {
            return Arrival::Twice;
        }
        if self.open.len() >= max {
            return Arrival::Busy;
        }
        self.open.insert(id);
        self.queue.push_back((id, parcel));
        Arrival::Waits
    }

    /// A handler takes the oldest.
    pub fn take(&mut self) -> Option<(u64, Parcel)> {
        self.queue.pop_front()
    }

    /// It is answered. `false`: it was cancelled, or never asked.
    pub fn close(&mut self, id: u64) -> bool {
        self.open.remove(&id)
    }

    /// The peer does not wait any more. The request, if no handler has taken it.
    pub fn cancel(&mut self, id: u64) -> Option<Parcel> {
        self.open.remove(&id);
        let at = self.queue.iter().position(|(other, _)| *other == id)?;
        self.queue.remove(at).map(|(_, parcel)| parcel)
    }

    /// How many wait for a handler.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many are not answered.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_once_by_who_asked() {
        let mut calls = Calls::default();
        let (a, b) = (calls.open(2).unwrap(), calls.open(2).unwrap());
        assert_eq!(calls.open(2), None);
        assert!(calls.answer(b, Ok("b".into())));
        assert!(!calls.answer(b, Ok("again".into())));
        assert!(!calls.answer(77, Ok("whose?".into())));
        assert_eq!((calls.take(a), calls.take(b), calls.take(b)), (None, Some(Ok("b".into())), None));
        assert_eq!(calls.forget(a), (true, None));
        assert!(!calls.answer(a, Ok("late".into())));
        assert!(calls.is_empty());
    }

    #[test]
    fn no_more_are_open_than_may() {
        let mut asked = Asked::default();
        assert_eq!(asked.push(1, "a".into(), 2), Arrival::Waits);
        assert_eq!(asked.push(1, "a".into(), 2), Arrival::Twice);
        assert_eq!(asked.push(2, "b".into(), 2), Arrival::Waits);
        assert_eq!(asked.take(), Some((1, "a".into())));
        assert_eq!(asked.push(3, "c".into(), 2), Arrival::Busy, "one is in a handler's hands");
        assert_eq!(asked.cancel(2), Some("b".into()));
        assert_eq!(asked.cancel(1), None);
        assert!(!asked.close(1), "nobody waits for this answer");
        assert_eq!((asked.waiting(), asked.open()), (0, 0));
    }
}

//! [`Contexts`]: the conversations of one socket.

use super::CtxId;
use alloc::vec::Vec;

/// One value per open context. The default one is always there; numbers are used again.
#[derive(Debug)]
pub(crate) struct Contexts<T> {
    slots: Vec<Option<T>>,
    free: Vec<CtxId>,
}

impl<T: Default> Contexts<T> {
    pub(crate) fn new() -> Self {
        Self { slots: alloc::vec![Some(T::default())], free: Vec::new() }
    }

    pub(crate) fn open(&mut self) -> CtxId {
        let ctx = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Four thousand million contexts do not fit into memory.
            CtxId(self.slots.len() as u32 - 1)
        });
        self.slots[ctx.index()] = Some(T::default());
        ctx
    }

    /// Closes a context; the default one starts afresh instead.
    pub(crate) fn close(&mut self, ctx: CtxId) {
        let Some(slot @ Some(_)) = self.slots.get_mut(ctx.index()) else { return };
        if ctx == CtxId::DEFAULT {
            *slot = Some(T::default());
        } else {
            *slot = None;
            self.free.push(ctx);
        }
    }

    pub(crate) fn get(&self, ctx: CtxId) -> Option<&T> {
        self.slots.get(ctx.index())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, ctx: CtxId) -> Option<&mut T> {
        self.slots.get_mut(ctx.index())?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CtxId, &T)> {
        (0..).map(CtxId).zip(&self.slots).filter_map(|(ctx, slot)| Some((ctx, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_number_is_used_again_and_the_default_stays() {
        let mut contexts = Contexts::<u8>::new();
        let (a, b) = (contexts.open(), contexts.open());
        assert_eq!((a, b), (CtxId(1), CtxId(2)));
        *contexts.get_mut(a).unwrap() = 7;
        contexts.close(a);
        contexts.close(a);
        assert_eq!(contexts.get(a), None);
        assert_eq!((contexts.open(), contexts.get(a)), (a, Some(&0)));
        assert_eq!(contexts.open(), CtxId(3), "closing twice gave the number out once");
        *contexts.get_mut(CtxId::DEFAULT).unwrap() = 9;
        contexts.close(CtxId::DEFAULT);
        assert_eq!(contexts.get(CtxId::DEFAULT), Some(&0));
        assert_eq!(contexts.iter().count(), 4);
    }
}

//! An allocator that counts how often it is asked for memory, and for how much. Whoever includes this file
//! has it.
//!
//! The trait is unsafe, so this is too; each call is handed on to the system's allocator as it came.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this process has asked for memory; growing what one has is asking too.
pub(crate) static EVERYWHERE: AtomicU64 = AtomicU64::new(0);
/// How many bytes it has asked for and not given back.
pub(crate) static IN_USE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread has asked. Needs neither memory nor a destructor, so it is there for every call.
    pub(crate) static HERE: Cell<u64> = const { Cell::new(0) };
}

/// `taken` bytes for `given` ones.
fn note(taken: usize, given: usize) {
    IN_USE.fetch_add(taken.wrapping_sub(given), Ordering::Relaxed);
    EVERYWHERE.fetch_add(1, Ordering::Relaxed);
    HERE.set(HERE.get() + 1);
}

// SAFETY: memory comes from and goes to the system's allocator only, with the arguments that were given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(bytes, layout.size());
        unsafe { System.realloc(memory, layout, bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

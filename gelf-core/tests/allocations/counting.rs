//! A global allocator that counts the allocations and the memory of each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The memory that a thread has allocated.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) allocations: u64,
    /// The bytes that are in use.
    pub(crate) live: usize,
    /// The maximum of `live`.
    pub(crate) peak: usize,
    /// The value that `peak` would have if no block were resized in place: during a reallocation, the old and the
    /// new block both count.
    pub(crate) peak_with_copies: usize,
}

thread_local! {
    static ACCOUNT: Cell<Account> = const { Cell::new(Account { allocations: 0, live: 0, peak: 0, peak_with_copies: 0 }) };
}

struct Counting;

/// Counts an allocation of `more` bytes, and then a deallocation of `less` bytes.
fn change(more: usize, less: usize) {
    let mut account = ACCOUNT.get();
    account.peak_with_copies = account.peak_with_copies.max(account.live + more);
    account.live = (account.live + more).saturating_sub(less);
    account.peak = account.peak.max(account.live);
    account.allocations += u64::from(more > 0);
    ACCOUNT.set(account);
}

// SAFETY: each call is passed on to the system's allocator unchanged. Counting does not allocate, since the
// account of a thread needs no initialization.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        change(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the account of this thread.
pub(crate) fn account() -> Account {
    ACCOUNT.get()
}

/// Sets the peaks to the memory that is in use.
pub(crate) fn reset_peak() {
    let account = ACCOUNT.get();
    ACCOUNT.set(Account { peak: account.live, peak_with_copies: account.live, ..account });
}

/// Counts the allocations of `work`.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    let before = ACCOUNT.get().allocations;
    work();
    ACCOUNT.get().allocations - before
}

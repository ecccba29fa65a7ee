//! `decode_with` allocates nothing for what can be borrowed.
//!
//! In a process of its own, for it counts all allocations.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gelf_core::{Decoder, FieldName, Value, Visitor};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: each call is handed on to the system's allocator unchanged; counting does not allocate, since the counter of
// a thread needs no initialisation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[derive(Default)]
struct Count(usize);

impl<'a> Visitor<'a> for Count {
    fn field(&mut self, _: FieldName<'a>, _: Value<'a>) {
        self.0 += 1;
    }
}

#[test]
fn decode_with_allocates_nothing_and_decode_the_list_of_fields() {
    let few = r#","full_message":"f","timestamp":1.123456789,"level":6,"_a":"x","_b":1,"_c":1.5,"_d":true,"_e":{"f":[1]}"#;
    let many: String = (0..500).map(|at| format!(r#","_field_{at}":"value {at}","_n{at}":{at}.5"#)).collect();
    for (members, count) in [(few, 5), (&many, 1000)] {
        let payload = format!(r#"{{"version":"1.1","host":"h","short_message":"m"{members}}}"#);
        let mut decoder = Decoder::lenient();
        // The first time it may grow what it keeps.
        decoder.decode_with(payload.as_bytes(), &mut Count::default()).unwrap();
        let mut visitor = Count::default();
        assert_eq!(allocations(|| decoder.decode_with(payload.as_bytes(), &mut visitor).unwrap()), 0);
        assert_eq!(visitor.0, count);
        // The list of fields grows to a thousand in nine steps; that of the deviations is one of two.
        let lists = allocations(|| drop(decoder.decode(payload.as_bytes()).unwrap()));
        assert!((1..=10).contains(&lists), "{lists}");
    }
}

//! Chance: whatever asks the operating system for random bytes in this program gets
//! them from the seed. Ids and spreads come from there, and so does what tokio leaves
//! to chance: the order of a `select!`'s arms and of those whom a `watch` wakes. A
//! value handed to the controller would not reach tokio's.
//!
//! tokio also counts the seeds that it made in its process, so a run needs a process
//! of its own.

#![expect(
    unsafe_code,
    reason = "a function of the C library can be replaced in no other way"
)]

use std::cell::Cell;

use crate::dice::Dice;

thread_local! {
    static CHANCE: Cell<Dice> = const { Cell::new(Dice::of(0)) };
}

/// From now on this thread's chance is of this seed.
pub fn seed(seed: u64) {
    CHANCE.set(Dice::of(seed));
}

/// Stands in the place of the C library's.
///
/// # Safety
///
/// As the C library asks for: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    let mut dice = CHANCE.get();
    for place in 0..length {
        // SAFETY: the caller has that much room.
        unsafe { buffer.add(place).write(dice.byte()) };
    }
    CHANCE.set(dice);
    isize::try_from(length).unwrap_or(isize::MAX)
}

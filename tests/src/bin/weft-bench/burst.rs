//! How many of many things happen at once.

use std::time::Duration;

/// The most that fall in any stretch of this length.
pub fn most_within(sorted: &[Duration], length: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in sorted.iter().enumerate() {
        while *at - sorted[first] > length {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

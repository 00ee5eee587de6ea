//! Which doors of an agent are open from afar, through a controller, and to whom.
//!
//! Whatever is not named here is for the host's own tools alone.

use crate::trust::Role;

/// `*` is any one segment of a path.
const DOORS: [(&str, &str, Role); 21] = [
    ("GET", "/healthz", Role::Reader),
    ("GET", "/readyz", Role::Reader),
    ("GET", "/status", Role::Reader),
    ("GET", "/metrics", Role::Reader),
    ("GET", "/probes", Role::Reader),
    ("GET", "/events", Role::Reader),
    ("GET", "/kernel", Role::Reader),
    ("GET", "/options", Role::Reader),
    ("GET", "/traffic", Role::Reader),
    ("GET", "/endpoints", Role::Reader),
    ("GET", "/ipam", Role::Reader),
    ("POST", "/ipam/check", Role::Reader),
    ("GET", "/networks", Role::Reader),
    // They send a few packets, and change nothing.
    ("POST", "/trace", Role::Reader),
    ("POST", "/doctor", Role::Reader),
    ("POST", "/trials", Role::Admin),
    ("DELETE", "/trials/*", Role::Admin),
    ("POST", "/trials/*/reach", Role::Admin),
    ("POST", "/trials/*/measure", Role::Admin),
    ("PUT", "/networks/*", Role::Admin),
    ("DELETE", "/networks/*", Role::Admin),
];

/// The most that a question may have in its body, and an answer: the peers of ten
/// thousand nodes are a third of this.
pub const LONGEST_QUESTION: usize = 128 << 10;
pub const LONGEST_ANSWER: usize = 4 << 20;

/// The least role of an operator who may ask this; none: it cannot be asked from afar.
pub fn needs(method: &str, path: &str) -> Option<Role> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let door = DOORS
        .iter()
        .find(|(of, pattern, _)| *of == method && leads(pattern, path));
    door.map(|(_, _, role)| *role)
}

fn leads(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if is_plain(segment) => {}
            (Some(wanted), Some(given)) if wanted == given && wanted != "*" => {}
            _ => return false,
        }
    }
}

/// A segment that no reader of paths takes for anything else.
fn is_plain(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    segment.bytes().all(plain) && !matches!(segment, "" | "." | "..")
}

#[cfg(test)]
mod tests;

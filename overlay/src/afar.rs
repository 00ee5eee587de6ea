//! Which doors of an agent are open from afar, through a controller, and to whom.
//!
//! Whatever is not named here is for the host's own tools alone.

use crate::trust::Role;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Whoever may look: nothing is changed.
    Read,
    /// Whoever may change things.
    Admin,
}

impl Need {
    /// The least role of an operator who may.
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Reader,
            Self::Admin => Role::Admin,
        }
    }
}

/// `*` is any one segment of a path.
const DOORS: [(&str, &str, Need); 12] = [
    ("GET", "/healthz", Need::Read),
    ("GET", "/readyz", Need::Read),
    ("GET", "/status", Need::Read),
    ("GET", "/metrics", Need::Read),
    ("GET", "/probes", Need::Read),
    ("GET", "/endpoints", Need::Read),
    ("GET", "/ipam", Need::Read),
    ("POST", "/ipam/check", Need::Read),
    ("GET", "/networks", Need::Read),
    // It sends a few packets, and changes nothing.
    ("POST", "/trace", Need::Read),
    ("PUT", "/networks/*", Need::Admin),
    ("DELETE", "/networks/*", Need::Admin),
];

/// The most that a question may have in its body, and an answer: the peers of ten
/// thousand nodes are a third of this.
pub const LONGEST_QUESTION: usize = 128 << 10;
pub const LONGEST_ANSWER: usize = 4 << 20;

/// What asking this takes; none: it cannot be asked from afar.
pub fn needs(method: &str, path: &str) -> Option<Need> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let door = DOORS
        .iter()
        .find(|(of, pattern, _)| *of == method && leads(pattern, path));
    door.map(|(_, _, need)| *need)
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

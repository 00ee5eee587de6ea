//! Network namespaces of containers, found by their paths.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
};

use overlay::endpoint::Sandbox;
use rustix::fs::{FsWord, fstatfs};
use socket::words::{Reason, Refusal};

/// `NSFS_MAGIC`
const NAMESPACES: FsWord = 0x6e73_6673;
/// `IFNAMSIZ`, with the zero at its end.
const LONGEST: usize = 15;

/// A namespace, open: it stays for as long as this is there.
#[derive(Debug)]
pub struct Found {
    pub file: File,
    pub inode: u64,
    pub born: u64,
}

/// Opens the namespace of a container, which is another than the host's.
pub fn open(path: &str) -> Result<Found, Refusal> {
    let missing = |why: &dyn std::fmt::Display| {
        let text = format!("there is no network namespace at {path}: {why}");
        Refusal::new(Reason::NoSandbox, text)
    };
    if !path.starts_with('/') {
        let text = format!("{path:?} is no path of a network namespace: it begins with /");
        return Err(Refusal::new(Reason::Bad, text));
    }
    let file = File::open(path).map_err(|error| missing(&error))?;
    let kind = fstatfs(&file).map_err(|error| missing(&io::Error::from(error)))?;
    if kind.f_type != NAMESPACES {
        return Err(missing(&"that is an ordinary file"));
    }
    let (inode, born) = identity(path, &file.metadata().map_err(|error| missing(&error))?);
    let own = fs::metadata("/proc/thread-self/ns/net").map_err(|error| missing(&error))?;
    if own.ino() == inode {
        let text = format!("{path} is the host's own network namespace, and no container's");
        return Err(Refusal::new(Reason::Bad, text));
    }
    Ok(Found { file, inode, born })
}

/// Is it still where it was, and the same?
pub fn is_there(sandbox: &Sandbox) -> bool {
    match fs::metadata(&sandbox.path) {
        Ok(found) => identity(&sandbox.path, &found) == (sandbox.inode, sandbox.born),
        // Of what may not be seen nothing is known.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Opens it again, if it is the same.
pub fn again(sandbox: &Sandbox) -> Option<Found> {
    let found = open(&sandbox.path).ok()?;
    let same = (found.inode, found.born) == (sandbox.inode, sandbox.born);
    same.then_some(found)
}

/// What tells a namespace from those before and after it. What a process shows in /proc
/// is made anew whenever nobody has it open.
fn identity(path: &str, found: &Metadata) -> (u64, u64) {
    if path.starts_with("/proc/") {
        return (found.ino(), 0);
    }
    let seconds = u64::try_from(found.ctime()).unwrap_or_default();
    let nanoseconds = u64::try_from(found.ctime_nsec()).unwrap_or_default();
    (found.ino(), seconds * 1_000_000_000 + nanoseconds)
}

/// A name that a kernel gives a device.
pub fn check_interface(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_graphic() && c != '/' && c != ':' && c != '%';
    let good = !name.is_empty()
        && name.len() <= LONGEST
        && ![".", "..", "lo", "all", "default"].contains(&name)
        && name.chars().all(allowed);
    if good {
        return Ok(());
    }
    let text = format!("{name:?} is no name for a container's interface, such as eth0");
    Err(Refusal::new(Reason::Bad, text))
}

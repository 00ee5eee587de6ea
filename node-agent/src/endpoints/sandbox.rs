//! Network namespaces of containers, found by their paths.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
};

use overlay::endpoint::Sandbox;
use rustix::fs::fstatfs;
use socket::words::{Reason, Refusal};

/// `NSFS_MAGIC`
const NAMESPACES: i64 = 0x6e73_6673;
/// `IFNAMSIZ`, with the zero at its end.
const LONGEST: usize = 15;

/// A namespace, open: it stays for as long as this is there.
#[derive(Debug)]
pub struct Found {
    pub file: File,
    pub inode: u64,
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
    #[allow(clippy::unnecessary_cast)] // its width differs between machines
    if kind.f_type as i64 != NAMESPACES {
        return Err(missing(&"that is an ordinary file"));
    }
    let inode = file.metadata().map_err(|error| missing(&error))?.ino();
    let own = fs::metadata("/proc/thread-self/ns/net").map_err(|error| missing(&error))?;
    if own.ino() == inode {
        let text = format!("{path} is the host's own network namespace, and no container's");
        return Err(Refusal::new(Reason::Bad, text));
    }
    Ok(Found { file, inode })
}

/// Is it still where it was, and the same?
pub fn is_there(sandbox: &Sandbox) -> bool {
    fs::metadata(&sandbox.path).is_ok_and(|found| found.ino() == sandbox.inode)
}

/// Opens it again, if it is the same.
pub fn again(sandbox: &Sandbox) -> Option<Found> {
    let found = open(&sandbox.path).ok()?;
    (found.inode == sandbox.inode).then_some(found)
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

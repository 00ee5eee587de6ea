//! Settings of the kernel, which are files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use overlay::datapath::step::Sysctl;
use thiserror::Error;

#[derive(Debug, Error)]
#[error("cannot {what} {}", path.display())]
pub struct SysctlError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What a setting is; none where there is no such setting.
pub fn read(sysctl: &Sysctl) -> Result<Option<String>, SysctlError> {
    let path = path(sysctl);
    match fs::read_to_string(&path) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SysctlError {
            what: "read",
            path,
            source,
        }),
    }
}

pub fn write(sysctl: &Sysctl) -> Result<(), SysctlError> {
    let path = path(sysctl);
    fs::write(&path, sysctl.value).map_err(|source| SysctlError {
        what: "write",
        path,
        source,
    })
}

fn path(sysctl: &Sysctl) -> PathBuf {
    let mut path = Path::new("/proc/sys").to_owned();
    path.extend(&sysctl.path);
    path
}

//! Whether the checksums that hardware makes inside VXLAN are right.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Yes,
    /// For this reason.
    No(&'static str),
}

/// `drivers` are those of the uplink and of the devices below it; `release` is the
/// kernel's.
pub fn trusted<'a>(drivers: impl IntoIterator<Item = &'a str>, release: &str) -> Trust {
    // Masqueraded packets left with a wrong checksum, and the hardware made it worse.
    if version(release).is_some_and(|version| version < (5, 7)) {
        return Trust::No("kernels before 5.7 spoil the checksums of VXLAN packets");
    }
    if drivers.into_iter().any(|driver| driver == "vmxnet3") {
        return Trust::No("vmxnet3 spoils the checksums of what is inside VXLAN");
    }
    Trust::Yes
}

/// The same, for this kernel and a device of this name.
pub fn trusted_here(uplink: &str) -> Trust {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let drivers = drivers(Path::new("/sys/class/net"), uplink);
    trusted(drivers.iter().map(String::as_str), &release)
}

/// The drivers of a device and of those that it is made of: a bond has none itself.
/// What cannot be read is none.
fn drivers(devices: &Path, name: &str) -> Vec<String> {
    let mut drivers = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut next = vec![devices.join(name)];
    while let Some(device) = next.pop() {
        if seen.contains(&device) {
            continue;
        }
        let driver = fs::read_link(device.join("device/driver"));
        let driver = driver.ok().and_then(|driver| {
            let name = driver.file_name()?.to_str()?;
            Some(name.to_owned())
        });
        drivers.extend(driver);
        next.extend(below(&device).unwrap_or_default());
        seen.push(device);
    }
    drivers
}

fn below(device: &Path) -> io::Result<Vec<PathBuf>> {
    let mut below = Vec::new();
    for entry in fs::read_dir(device)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("lower_") {
            below.push(entry.path().canonicalize()?);
        }
    }
    Ok(below)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;

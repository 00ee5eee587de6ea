//! Machines, on which other tests run container engines: what they are to themselves,
//! and that nothing of them stays.

use std::fs;

use anyhow::{Context, Result, ensure};
use tests::lab::{Lab, ping};

#[test]
fn a_machine_is_booted_again_with_its_disk_and_nothing_else() -> Result<()> {
    let mut lab = Lab::of_machines(2)?;
    let host = lab.host(1);
    assert_eq!(ping(host, lab.host(2).v4(), 3)?.lost(), 0);
    assert_eq!(host.done(&["hostname"])?, "h1\n");
    let processes = host.done(&["sh", "-c", "echo /proc/[0-9]*"])?;
    ensure!(processes.split_whitespace().count() < 6, "{processes}");
    let sleeper = host.spawn(&["sleep", "1000"])?;
    for place in ["/etc", "/var/lib", "/opt", "/var/lib/docker", "/run"] {
        host.write(&format!("{place}/weft-test/file"), "of the machine")?;
        let here = fs::metadata(format!("{place}/weft-test"));
        ensure!(here.is_err(), "{place} is this machine's own");
    }
    host.ip(&["link add br7 type bridge"])?;
    lab.reboot(1)?;
    let host = lab.host(1);
    for (place, stays) in [("/etc", true), ("/var/lib/docker", true), ("/run", false)] {
        let file = host.path(&format!("{place}/weft-test/file"));
        ensure!(file.exists() == stays, "{place} after a reboot");
    }
    let gone = host.json(&["ip", "-j", "link", "show", "br7"]);
    ensure!(gone.is_err(), "a bridge was there after a reboot");
    assert_eq!(ping(host, lab.host(2).v4(), 3)?.lost(), 0);
    drop(sleeper);
    let group = host.group()?.to_owned();
    let disk = std::env::temp_dir().join(&group);
    fs::metadata(&disk).with_context(|| disk.display().to_string())?;
    drop(lab);
    ensure!(fs::metadata(&disk).is_err(), "{} is left", disk.display());
    Ok(())
}

use std::{env, os::unix::fs::PermissionsExt, process::Command};

use super::*;

/// A directory of this test's own, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = env::temp_dir().join(format!("weft-archive-{}-{name}", process::id()));
        fs::create_dir(&place).unwrap();
        Self(place)
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let name = |file: io::Result<fs::DirEntry>| file.unwrap().file_name().into_string();
        files.map(|file| name(file).unwrap()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn archive(target: &Path, force: bool) -> Result<Archive, ArchiveError> {
    Archive::create(target, force, "top".into(), 1_700_000_000)
}

#[test]
fn tar_unpacks_what_was_put_in() {
    let place = Place::new("tar");
    let target = place.0.join("a.tar");
    let mut made = archive(&target, false).unwrap();
    let long = format!("nodes/{}/kernel.txt", "n".repeat(120));
    let contents: [(&str, Vec<u8>); 4] = [
        ("empty", vec![]),
        ("block", vec![b'x'; BLOCK]),
        ("more", (0..=255).cycle().take(100_000).collect()),
        (&long, b"kernel".to_vec()),
    ];
    for (name, content) in &contents {
        made.add(name, content).unwrap();
    }
    let size = made.finish().unwrap();
    assert_eq!(size, fs::metadata(&target).unwrap().len());
    let mode = fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(place.files(), ["a.tar"]);

    let tar = Command::new("tar")
        .arg("-xf")
        .arg(&target)
        .arg("-C")
        .arg(&place.0)
        .output();
    let said = tar.unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    for (name, content) in contents {
        assert_eq!(
            fs::read(place.0.join("top").join(name)).unwrap(),
            content,
            "{name}"
        );
    }
}

#[test]
fn what_is_there_stays_and_what_is_not_whole_goes() {
    let place = Place::new("whole");
    let target = place.0.join("a.tar");
    let mut half = archive(&target, false).unwrap();
    half.add("x", b"y").unwrap();
    drop(half);
    assert_eq!(place.files(), [""; 0]);

    let late = archive(&target, false).unwrap();
    fs::write(&target, "precious").unwrap();
    assert!(matches!(late.finish(), Err(ArchiveError::There(_))));
    assert!(matches!(
        archive(&target, false),
        Err(ArchiveError::There(_))
    ));
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    archive(&target, true).unwrap().finish().unwrap();
    assert_eq!(fs::read(&target).unwrap(), [0; 2 * BLOCK]);
    assert_eq!(place.files(), ["a.tar"]);
    let too_long = "n".repeat(300);
    let mut other = archive(&place.0.join("b.tar"), false).unwrap();
    assert!(matches!(
        other.add(&too_long, b""),
        Err(ArchiveError::Name(_))
    ));
}

use super::*;

const MAGIC: &[u8] = b"test 1\n";

fn open(directory: &Path) -> (Frames, Vec<Vec<u8>>) {
    let (frames, found) = Frames::open(directory.join("log"), MAGIC).unwrap();
    (frames, found.frames)
}

#[test]
fn a_full_disk_is_an_error_and_then_everything_is_due() {
    let directory = tempfile::tempdir().unwrap();
    let (mut frames, _) = open(directory.path());
    frames.write_anew([b"one".to_vec()].into_iter()).unwrap();
    frames.file = Some(File::options().write(true).open("/dev/full").unwrap());
    let error = frames.add([b"two".to_vec()], true).unwrap_err();
    assert!(
        options::sentence(&error).contains("No space left"),
        "{error}"
    );
    assert!(frames.is_due());
    assert_eq!(open(directory.path()).1, [b"one".to_vec()]);
}

#[test]
fn what_was_added_together_is_read_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut frames, before) = open(directory.path());
    assert!(before.is_empty());
    frames.write_anew(std::iter::empty()).unwrap();
    frames
        .add([b"one".to_vec(), Vec::new(), b"three".to_vec()], true)
        .unwrap();
    let found = open(directory.path()).1;
    assert_eq!(found, [b"one".to_vec(), Vec::new(), b"three".to_vec()]);
}

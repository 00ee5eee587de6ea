use std::fs;

use super::*;

/// What is before every word.
const HEADER: usize = 12;
/// How much may be added to a small file.
const GROWTH: usize = 1 << 20;

fn word(network: &str, revision: u64) -> Message {
    Message::Bookmark(v1::Bookmark {
        network: network.into(),
        revision,
    })
}

fn words() -> Vec<Message> {
    vec![word("blue", 1), word("green", 2), word("blue", 3)]
}

/// A directory with a state file that holds these words, and what keeps it.
fn keeping(words: Vec<Message>) -> (tempfile::TempDir, Kept) {
    let directory = tempfile::tempdir().unwrap();
    let (mut kept, before) = Kept::open(directory.path()).unwrap();
    assert_eq!(before, []);
    kept.write_anew(words.into_iter()).unwrap();
    (directory, kept)
}

fn read_again(directory: &Path) -> Vec<Message> {
    Kept::open(directory).unwrap().1
}

#[test]
fn what_was_written_and_added_is_read() {
    let (directory, mut kept) = keeping(words());
    assert_eq!(read_again(directory.path()), words());
    kept.add(word("red", 4)).unwrap();
    kept.add(word("red", 5)).unwrap();
    let mut all = words();
    all.extend([word("red", 4), word("red", 5)]);
    assert_eq!(read_again(directory.path()), all);
    kept.write_anew([word("red", 5)].into_iter()).unwrap();
    assert_eq!(read_again(directory.path()), [word("red", 5)]);
    assert!(!directory.path().join("state.new").exists());
}

#[test]
fn a_torn_end_is_left_out() {
    let (directory, mut kept) = keeping(words());
    let path = directory.path().join(FILE);
    let whole = fs::metadata(&path).unwrap().len() as usize;
    kept.add(word("red", 4)).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > whole + HEADER);
    for length in whole..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let (kept, read) = Kept::open(directory.path()).unwrap();
        assert_eq!(read, words(), "{length} of {} bytes", bytes.len());
        assert!(kept.is_due(), "something would be added to a torn end");
    }
}

#[test]
fn a_flipped_byte_ends_what_is_read() {
    let (directory, _) = keeping(words());
    let path = directory.path().join(FILE);
    let bytes = fs::read(&path).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            let read = read_again(directory.path());
            assert!(words().starts_with(&read), "byte {place}: {read:?}");
            assert!(read.len() < 3, "byte {place}, bit {bit} is not noticed");
        }
    }
}

#[test]
fn a_length_beyond_the_end_is_a_torn_end() {
    let (directory, _) = keeping(words());
    let path = directory.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0xff; HEADER]);
    fs::write(&path, bytes).unwrap();
    assert_eq!(read_again(directory.path()), words());
}

#[test]
fn a_file_of_somebody_else_holds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    for foreign in [
        "",
        "weft-agent state 1",
        "weft-agent state 2\n",
        "{\"v\":1}",
    ] {
        fs::write(&path, foreign).unwrap();
        assert_eq!(read_again(directory.path()), [], "{foreign:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(FILE)).unwrap();
    let error = options::sentence(&Kept::open(directory.path()).unwrap_err());
    assert!(error.starts_with("cannot read "), "{error}");
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let (directory, mut kept) = keeping(words());
    // Nothing can be written where a directory is.
    let beside = directory.path().join("state.new");
    fs::create_dir(&beside).unwrap();
    let error = kept.write_anew([word("red", 9)].into_iter()).unwrap_err();
    assert!(
        options::sentence(&error).starts_with("cannot write "),
        "{error}"
    );
    assert!(kept.is_due());
    assert_eq!(read_again(directory.path()), words());

    fs::remove_dir(&beside).unwrap();
    kept.write_anew([word("red", 9)].into_iter()).unwrap();
    assert!(!kept.is_due());
    assert_eq!(read_again(directory.path()), [word("red", 9)]);
}

#[test]
fn without_a_directory_nothing_is_kept() {
    let (directory, mut kept) = keeping(words());
    directory.close().unwrap();
    let error = kept.write_anew(words().into_iter()).unwrap_err();
    assert!(
        options::sentence(&error).contains("No such file"),
        "{error}"
    );
}

#[test]
fn what_grew_is_due() {
    let long = |revision| word(&"n".repeat(GROWTH / 4), revision);
    let (_directory, mut kept) = keeping(vec![word("blue", 1)]);
    assert!(!kept.is_due());
    for revision in 0..3 {
        kept.add(long(revision)).unwrap();
        assert!(!kept.is_due(), "after {revision}");
    }
    kept.add(long(3)).unwrap();
    assert!(kept.is_due());
    // What is large may grow by as much again.
    kept.write_anew((0..8).map(long)).unwrap();
    for revision in 0..7 {
        kept.add(long(revision)).unwrap();
        assert!(!kept.is_due(), "after {revision}");
    }
    kept.add(long(7)).unwrap();
    kept.add(word("blue", 1)).unwrap();
    assert!(kept.is_due());
}

use proptest::prelude::*;

use super::*;

fn whole(records: &[(&[u8], &[u8], Revision)]) -> Whole {
    let record = |(key, value, revision): &(&[u8], &[u8], Revision)| Record {
        key: key.to_vec(),
        value: value.to_vec(),
        revision: *revision,
    };
    Whole::new("c1".into(), 9, records.iter().map(record).collect())
}

#[test]
fn a_person_reads_it() {
    let whole = whole(&[
        (b"nets", b"{\"v\":1,\"fleet\":\"f\"}", 2),
        (b"odd\xff", b"null", 7),
        (b"sealed", b"\x00\x9f", 3),
        (b"token", b"plain\ntext", 4),
    ]);
    let text = write("embedded /x", "2026-11-21T00:00:00Z", &whole);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            r#"{"weft":"backup","v":1,"store":"embedded /x","made":"2026-11-21T00:00:00Z","cluster":"c1","revision":9,"records":4}"#,
            r#"{"revision":2,"key":"nets","json":{"v":1,"fleet":"f"}}"#,
            r#"{"revision":3,"key":"sealed","hex":"009f"}"#,
            r#"{"revision":4,"key":"token","text":"plain\ntext"}"#,
            r#"{"revision":7,"key_hex":"6f6464ff","text":"null"}"#,
        ]
    );
    assert!(lines[5].starts_with(r#"{"sha256":""#), "{}", lines[5]);
    assert_eq!(read(text.as_bytes()).expect("a backup").whole, whole);
}

#[test]
fn another_versions_says_so() {
    let text = write("x", "y", &whole(&[])).replace("\"v\":1", "\"v\":2");
    let error = read(text.as_bytes()).expect_err("another version");
    assert!(
        matches!(error, FormatError::Version { found: 2 }),
        "{error}"
    );
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        records in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..6),
            (prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                "[ \\[\\]{}\",:0-9a-z\n\r]{0,12}".prop_map(String::into_bytes),
            ], 0..5_u64),
            0..8,
        ),
    ) {
        let records = records.into_iter().map(|(key, (value, revision))| Record { key, value, revision });
        let whole = Whole::new("c".into(), 5, records.collect());
        let text = write("s", "m", &whole);
        prop_assert_eq!(read(text.as_bytes()).expect("a backup").whole, whole);
    }

    #[test]
    fn a_changed_byte_is_found(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let text = write("s", "m", &whole(&[(b"a", b"1", 2), (b"b", b"{}", 3)]));
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    }
}

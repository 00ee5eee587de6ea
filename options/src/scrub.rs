//! Takes out of a text what must not leave a host: tokens, private keys, passwords in URLs.

const REMOVED: &str = "[removed]";
const TOKEN: &str = "weft1-";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// The same text without them.
pub fn scrub(text: &str) -> String {
    without_passwords(&without_tokens(&without_keys(text)))
}

fn without_tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
        clean.push_str(TOKEN);
        clean.push_str(REMOVED);
        clean.push_str(rest);
    }
    clean
}

/// Of PEM; a key without an end ends with the text.
fn without_keys(text: &str) -> String {
    let mut parts = text.split(BEGIN);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let kind = part.split("-----").next().unwrap_or_default();
        clean.push_str(BEGIN);
        if !kind.ends_with("PRIVATE KEY") {
            clean.push_str(part);
            continue;
        }
        clean.push_str(&format!("{kind}-----{REMOVED}"));
        if let Some(end) = part.find(END) {
            clean.push_str(&part[end..]);
        }
    }
    clean
}

/// `scheme://user:password@host`
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("://");
        let stops = |c: char| c.is_whitespace() || "/?#\"',<>".contains(c);
        let authority = part.split(stops).next().unwrap_or_default();
        match authority.rfind('@') {
            Some(at) => {
                clean.push_str(REMOVED);
                clean.push_str(&part[at..]);
            }
            None => clean.push_str(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_all_else_stays() {
        let pem = |kind: &str| format!("-----BEGIN {kind}-----\nMIIabc\n-----END {kind}-----\n");
        for (text, clean) in [
            ("token weft1-ab12-cd34, and", "token weft1-[removed], and"),
            (
                r#"{"t":"weft1-ab","u":1}"#,
                r#"{"t":"weft1-[removed]","u":1}"#,
            ),
            (
                "etcd https://u:p@h:2379/x?y@z",
                "etcd https://[removed]@h:2379/x?y@z",
            ),
            (
                r#"["http://a:1","http://u:p@b:1"]"#,
                r#"["http://a:1","http://[removed]@b:1"]"#,
            ),
            ("weft://node/h1 a@b", "weft://node/h1 a@b"),
            (
                "-----BEGIN PRIVATE KEY-----\nMII",
                "-----BEGIN PRIVATE KEY-----[removed]",
            ),
            ("", ""),
        ] {
            assert_eq!(scrub(text), clean);
        }
        let both = pem("CERTIFICATE") + &pem("EC PRIVATE KEY") + &pem("CERTIFICATE");
        let clean = scrub(&both);
        assert_eq!(clean.matches("MIIabc").count(), 2, "{clean}");
        assert_eq!(clean.matches("-----END").count(), 3, "{clean}");
        assert_eq!(scrub(&clean), clean);
    }
}

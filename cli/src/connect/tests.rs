use super::*;

#[test]
fn addresses() {
    for (text, url) in [
        ("http://10.0.0.1:7440", Ok("http://10.0.0.1:7440")),
        ("http://10.0.0.1:7440/", Ok("http://10.0.0.1:7440")),
        ("10.0.0.1:7000", Ok("http://10.0.0.1:7000")),
        ("controller-1", Ok("http://controller-1:7440")),
        ("[fd00::1]:7440", Ok("http://[fd00::1]:7440")),
        ("http://[fd00::1]", Ok("http://[fd00::1]:7440")),
        ("https://a:7440", Ok("https://a:7440")),
        ("https://a", Ok("https://a:7440")),
        ("ftp://a:7440", Err(AddressError::Scheme("ftp".into()))),
        ("", Err(AddressError::Syntax)),
        ("http://", Err(AddressError::Syntax)),
        ("a:b", Err(AddressError::Syntax)),
        ("a:", Err(AddressError::Syntax)),
        ("a:70000", Err(AddressError::Syntax)),
        ("a b", Err(AddressError::Syntax)),
        ("a/b", Err(AddressError::Syntax)),
    ] {
        let parsed = text.parse::<Address>().map(|address| address.url);
        assert_eq!(parsed, url.map(String::from), "{text:?}");
    }
}

#[tokio::test]
async fn every_address_that_was_tried_is_named() {
    // Nothing ever listens on port 0.
    let reach = Reach {
        addresses: ["127.0.0.1:0", "[::1]:0"]
            .map(|text| text.parse().unwrap())
            .into(),
        credentials: PathBuf::new(),
        timeout: Duration::from_secs(5),
    };
    let failure = Connection::open(&reach).await.unwrap_err();
    assert_eq!(failure.exit(), options::Exit::NotReady);
    let text = failure.to_string();
    assert!(text.contains("http://127.0.0.1:0: "), "{text}");
    assert!(text.contains("http://[::1]:0: "), "{text}");
    assert!(text.contains("weft-controller"), "{text}");
}

use super::*;

#[test]
fn addresses() {
    for (text, told) in [
        ("127.0.0.1:7440", "127.0.0.1:7440"),
        ("[fd00::1]:1", "[fd00::1]:1"),
        (
            "10.0.0.7",
            "it has no port; write it with one, such as 10.0.0.7:7440",
        ),
        (
            "::1",
            "it has no port; write it with one, such as [::1]:7440",
        ),
        (
            "localhost:7440",
            "write an IP address and a port, such as 127.0.0.1:7440 or [::1]:7440",
        ),
    ] {
        let parsed = parse_address(text);
        let said = parsed.map_or_else(|error| error.to_string(), |address| address.to_string());
        assert_eq!(said, told, "{text}");
    }
}

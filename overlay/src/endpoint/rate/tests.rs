use super::*;

#[test]
fn rates_are_read_and_printed_alike() {
    for text in ["100M/50M", "1G/-", "-/64k", "12345/12345"] {
        let bandwidth: Bandwidth = text.parse().expect("a rate");
        assert_eq!(bandwidth.to_string(), text);
    }
    let both: Bandwidth = "10M".parse().expect("a rate");
    assert_eq!(both.to_string(), "10M/10M");
}

#[test]
fn what_is_no_rate_is_refused() {
    for text in [
        "",
        "M",
        "7999",
        "1T",
        "-5",
        "99999999999999999999G",
        "1M/2M/3M",
    ] {
        assert!(text.parse::<Bandwidth>().is_err(), "{text}");
    }
}

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_id_is_shown_on_one_line() {
    for text in [
        "",
        "host-1",
        "\n",
        "6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5",
        "\u{1b}[31m",
    ] {
        let error = text.parse::<NodeId>().unwrap_err().to_string();
        let expected = format!(
            "{text:?} is not an id; one is written as 6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5f"
        );
        assert_eq!(error, expected);
        assert!(!error.contains(char::is_control));
    }
}

proptest! {
    #[test]
    fn ids_come_back(number in any::<u128>()) {
        let hex = format!("{number:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        let text = parts.join("-");
        let id: SessionId = text.parse().unwrap();
        prop_assert_eq!(id.to_string(), &*text);
        prop_assert_eq!(id.0.as_u128(), number);
        prop_assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
    }
}

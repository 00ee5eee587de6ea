use super::*;
use crate::output::{Row, table_of};

#[test]
fn counts_line_up_under_their_heads() {
    let told = serde_json::json!({
        "network": "default",
        "subnet": "10.32.1.0/24",
        "used": 3,
        "held": 1,
        "cooling": 2,
        "free": 247,
    });
    let told: Use = serde_json::from_value(told).unwrap();
    let table = table_of(&[UseRow::from(told)], 0, None);
    assert_eq!(
        table,
        "NETWORK   SUBNET         USED   HELD   COOLING   FREE\n\
         default   10.32.1.0/24   3      1      2         247\n"
    );
}

#[test]
fn what_a_person_has_to_decide_has_no_remedy() {
    let finding = Finding {
        problem: "two have 10.32.1.2".into(),
        remedy: None,
    };
    assert_eq!(
        FindingRow::from(finding).cells(0),
        ["two have 10.32.1.2", "-"]
    );
}

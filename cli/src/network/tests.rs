use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    create: Create,
}

#[test]
fn a_length_needs_a_pool_of_its_family() {
    for (line, refused) in [
        ("w blue --pool 10.0.0.0/16 --subnet-len 25", None),
        ("w blue --pool fd00::/48 --subnet-len6 64", None),
        (
            "w blue --pool 10.0.0.0/16 --subnet-len6 64",
            Some("--subnet-len6 needs"),
        ),
        (
            "w blue --pool fd00::/48 --subnet-len 25",
            Some("--subnet-len needs"),
        ),
    ] {
        let create = Line::parse_from(line.split_whitespace()).create;
        match (create.request(), refused) {
            (Ok(_), None) => {}
            (Err(failure), Some(begin)) => {
                assert!(failure.to_string().starts_with(begin), "{failure}");
                assert_eq!(failure.exit(), options::Exit::BadUsage);
            }
            (other, _) => panic!("{line}: {other:?}"),
        }
    }
}

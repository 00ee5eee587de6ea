use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    table::need,
    token::{Secret, TokenError, hex, unhex},
    *,
};
use crate::id::NodeId;

fn token() -> Token {
    Token {
        id: TokenId(7),
        secret: Secret([0xab; 16]),
        authority: [3; 32],
    }
}

fn node() -> Subject {
    Subject::Node("web-1".parse().unwrap(), NodeId(Uuid::from_u128(1)))
}

fn operator() -> Subject {
    Subject::Operator("eve".parse().unwrap(), OperatorId(Uuid::from_u128(2)))
}

#[test]
fn a_token_is_read_as_it_was_revealed_and_shows_its_secret_nowhere_else() {
    let text = token().reveal();
    assert_eq!(text.parse(), Ok(token()));
    assert_eq!(format!(" {text}\n").parse(), Ok(token()));
    assert!(!format!("{:?}", token()).contains("ab"));
    for torn in [&text[..text.len() - 1], &text[..40], "weft1-", "weft1---"] {
        assert_eq!(torn.parse::<Token>(), Err(TokenError::Torn), "{torn}");
    }
    assert_eq!(format!("{text}-").parse::<Token>(), Err(TokenError::Torn));
    assert_eq!(text.to_uppercase().parse::<Token>(), Err(TokenError::Other));
    assert_eq!("".parse::<Token>(), Err(TokenError::Other));
}

#[test]
fn bytes_have_one_spelling() {
    assert_eq!(unhex::<2>(&hex(&[0, 255])), Some([0, 255]));
    for other in ["00f", "00FF", "+1+1", "00ff0", "0x0f"] {
        assert_eq!(unhex::<2>(other), None, "{other}");
    }
}

#[test]
fn a_subject_is_read_as_it_was_written() {
    for subject in [node(), operator()] {
        assert_eq!(subject.to_string().parse(), Ok(subject));
    }
    for nobody in [
        "",
        "weft://",
        "weft://node/web-1",
        "weft://king/a/b",
        "node/web-1/x",
    ] {
        assert!(nobody.parse::<Subject>().is_err(), "{nobody}");
    }
    assert!(format!("{}/more", node()).parse::<Subject>().is_err());
}

#[test]
fn whatever_nobody_thought_about_is_denied() {
    let known = Caller::Known(operator());
    for path in [
        "",
        "/",
        "weft.v1.LeaseService/List",
        "/weft.v1.LeaseService/Steal",
    ] {
        assert_eq!(need(path), None, "{path}");
        let denied = allowed(path, &known, Some(Role::Admin));
        assert_eq!(denied, Err(Denied::Unknown), "{path}");
    }
}

#[test]
fn what_is_over_is_good_for_another_one_alone() {
    let untimely = Caller::Untimely(node(), "it expired".into());
    assert_eq!(
        allowed("/weft.v1.TrustService/Renew", &untimely, None),
        Ok(())
    );
    assert_eq!(
        allowed("/weft.v1.AgentService/Session", &untimely, None),
        Err(Denied::Untimely("it expired".into()))
    );
}

#[test]
fn nobody_is_more_than_an_admin_and_plain_text_is_one_where_it_is_served() {
    let paths = [
        "/weft.v1.AgentService/Session",
        "/weft.v1.LeaseService/List",
        "/weft.v1.NodeService/Remove",
        "/grpc.health.v1.Health/Check",
    ];
    let may = |caller: Caller, role| -> BTreeSet<&str> {
        let paths = paths.iter().copied();
        paths
            .filter(|path| allowed(path, &caller, role).is_ok())
            .collect()
    };
    let health = BTreeSet::from([paths[3]]);
    assert_eq!(may(Caller::Plain, None).len(), 4);
    assert!(may(Caller::Unencrypted, None).is_empty());
    assert_eq!(may(Caller::Stranger, None), health);
    assert_eq!(may(Caller::Known(operator()), None), health);
    let reader = may(Caller::Known(operator()), Some(Role::Reader));
    let admin = may(Caller::Known(operator()), Some(Role::Admin));
    assert!(reader.is_subset(&admin) && reader.len() == 2 && admin.len() == 3);
    let removed = allowed(paths[1], &Caller::Known(operator()), None);
    let removed = removed.unwrap_err().to_string();
    assert!(removed.contains("eve, who was removed"), "{removed}");
    assert_eq!(may(Caller::Known(node()), None).len(), 2);
}

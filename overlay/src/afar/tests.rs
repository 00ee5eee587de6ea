use super::*;

#[test]
fn what_is_named_is_open_and_nothing_else() {
    let cases = [
        ("GET", "/status", Some(Role::Reader)),
        ("GET", "/status?peers=no", Some(Role::Reader)),
        ("GET", "/traffic?peers=7", Some(Role::Reader)),
        ("POST", "/status", None),
        ("get", "/status", None),
        ("GET", "/status/", None),
        ("GET", "//status", None),
        ("GET", "status", None),
        ("GET", "", None),
        ("PUT", "/networks/blue", Some(Role::Admin)),
        ("PUT", "/networks/", None),
        ("PUT", "/networks/..", None),
        ("PUT", "/networks/a%2fb", None),
        ("PUT", "/networks/a/b", None),
        ("PUT", "/networks/*", None),
        // For the host's own tools.
        ("POST", "/endpoints", None),
        ("DELETE", "/endpoints", None),
        ("POST", "/ipam/repair", None),
        ("POST", "/holds", None),
    ];
    for (method, path, need) in cases {
        assert_eq!(needs(method, path), need, "{method} {path}");
    }
}

use super::*;

#[test]
fn the_descriptor_is_the_one_of_that_name() {
    assert_eq!(passed(true, Some("1"), Some("docker")), Some(3));
    assert_eq!(passed(true, Some("3"), Some("a::docker")), Some(5));
    assert_eq!(passed(true, Some("2"), Some("a::docker")), None);
    assert_eq!(passed(true, Some("3"), Some("a:docker:b")), Some(4));
    assert_eq!(passed(false, Some("1"), Some("docker")), None);
    assert_eq!(passed(true, None, Some("docker")), None);
    assert_eq!(passed(true, Some("1"), None), None);
    assert_eq!(passed(true, Some("many"), Some("docker")), None);
    assert_eq!(passed(true, Some("1"), Some("other:docker")), None);
}

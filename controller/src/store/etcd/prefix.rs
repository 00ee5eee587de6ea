//! Where in etcd the keys live. `/weft` must not see `/weft-test/…`, hence the slash.

/// Ends with one slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub fn new(text: &str) -> Self {
        Self(format!("{}/", text.trim_end_matches('/')))
    }

    pub fn root(&self) -> &str {
        &self.0
    }

    /// The first key after all of ours: "0" comes after "/".
    pub fn end(&self) -> String {
        let stem = self.0.trim_end_matches('/');
        format!("{stem}0")
    }

    pub fn join(&self, key: &impl std::fmt::Display) -> String {
        format!("{}{key}", self.0)
    }

    /// None: not one of ours. Whoever else writes here need not write UTF-8.
    pub fn strip(&self, key: &[u8]) -> Option<String> {
        Some(String::from_utf8_lossy(self.below(key)?).into_owned())
    }

    /// The same, as it is.
    pub fn below<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        key.strip_prefix(self.0.as_bytes())
    }
}

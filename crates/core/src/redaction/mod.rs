//! stub
use std::borrow::Cow;
pub type Counts = std::collections::BTreeMap<&'static str, u32>;
pub struct Redactor;
pub fn redactor(_profile: Option<&str>) -> &'static Redactor {
    &Redactor
}
impl Redactor {
    pub fn text<'a>(&self, s: &'a str, _c: &mut Counts) -> Cow<'a, str> {
        Cow::Borrowed(s)
    }
    pub fn json(&self, _v: &mut serde_json::Value, _c: &mut Counts) {}
}

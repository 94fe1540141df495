//! `limit` and `cursor` of lists. A cursor names the last row of the page before: the value that ordered it, and its id.
//! It is opaque to callers, and one that was not made here is refused.

use axum::{extract::FromRequestParts, http::request::Parts};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use utoipa::IntoParams;

use super::query;
use crate::http::answer::ApiError;

/// The parameters as documented: `params(PageParams)`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents what Page reads")]
pub struct PageParams {
    /// Rows wanted, 50 by default; values outside 1…200 are brought inside.
    pub limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// As asked; see [`Page::limit`].
    pub asked: Option<u64>,
    pub after: Option<(i64, String)>,
}

#[derive(Deserialize)]
struct Raw {
    limit: Option<String>,
    cursor: Option<String>,
}

impl Page {
    /// The usual bounds: 50 by default, 1 to 200.
    pub fn limit(&self) -> usize {
        self.limit_in(50, 200)
    }

    pub fn limit_in(&self, default: usize, most: usize) -> usize {
        self.asked.map_or(default, |asked| usize::try_from(asked).unwrap_or(most)).clamp(1, most)
    }
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let raw: Raw = query::parse(parts)?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let asked = match given(raw.limit) {
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => Some(text.parse().unwrap_or(u64::MAX)),
            Some(_) => return Err(ApiError::unreadable(400, "`limit` must be a whole number.")),
            None => None,
        };
        let after = match given(raw.cursor) {
            Some(text) => Some(decode(&text).ok_or_else(|| ApiError::unreadable(400, "`cursor` is not one of ours."))?),
            None => None,
        };
        Ok(Self { asked, after })
    }
}

pub fn encode(order: i64, id: &str) -> String {
    let mut bytes = order.to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(cursor: &str) -> Option<(i64, String)> {
    if cursor.len() > 1024 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (order, id) = bytes.split_first_chunk::<8>()?;
    let id = std::str::from_utf8(id).ok().filter(|id| !id.is_empty() && !id.chars().any(char::is_control))?;
    Some((i64::from_be_bytes(*order), id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_return_and_strangers_do_not() {
        for (order, id) in [(0, "a"), (-1, "x/ü"), (i64::MAX, "0192f0"), (i64::MIN, "z")] {
            assert_eq!(decode(&encode(order, id)), Some((order, id.to_owned())));
        }
        let nul = encode(1, "a\0b");
        let empty = encode(1, "");
        for bad in ["", "x", "AAAA", "====", "ü", nul.as_str(), empty.as_str(), &"A".repeat(2000)] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn limits_are_clamped_and_nonsense_refused() {
        let ask = async |query: &str| {
            let (mut parts, ()) = axum::http::Request::get(format!("/x?{query}")).body(()).unwrap().into_parts();
            Page::from_request_parts(&mut parts, &())
                .await
                .map(|page| page.limit())
                .map_err(|error| error.0.http_status())
        };
        let cases = [
            ("", Ok(50)),
            ("limit=", Ok(50)),
            ("limit=0", Ok(1)),
            ("limit=7&status=open", Ok(7)),
            ("limit=99999999999999999999999", Ok(200)),
            ("limit=abc", Err(400)),
            ("limit=-1", Err(400)),
            ("cursor=zzz", Err(400)),
            ("limit=1&limit=2", Err(400)),
            ("q=%00", Err(400)),
        ];
        for (query, expected) in cases {
            assert_eq!(ask(query).await, expected, "{query}");
        }
    }
}

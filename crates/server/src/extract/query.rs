//! Query strings. One that does not fit is 400; NUL is refused, because no stored text may hold it, and so is what
//! does not decode to text, because a filter must not match something else than was asked.

use axum::{
    extract::{FromRequestParts, Query as Plain},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::shape::scrubbed;
use crate::http::answer::ApiError;

#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts).map(Self)
    }
}

pub fn parse<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    let decoded = parts.uri.query().map(percent_decoded).unwrap_or_default();
    if decoded.contains(&0) || std::str::from_utf8(&decoded).is_err() {
        return Err(ApiError::unreadable(400, "The query contains a NUL character, or bytes that are no text."));
    }
    Plain::<T>::try_from_uri(&parts.uri)
        .map(|Plain(value)| value)
        .map_err(|error| ApiError::unreadable(400, scrubbed(&error.body_text())))
}

fn percent_decoded(query: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8);
    let bytes = query.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = match byte {
            b'%' => digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2))),
            _ => None,
        };
        out.push(escaped.map_or(*byte, |(high, low)| high * 16 + low));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

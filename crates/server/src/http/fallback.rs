//! What no route answers.

use tandem_core::error::Code;

use super::answer::ApiError;

pub async fn unknown_path() -> ApiError {
    ApiError::of(Code::NotFound)
}

/// The router adds the `Allow` header.
pub async fn wrong_method() -> ApiError {
    ApiError::of(Code::MethodNotAllowed)
}

//! One question to a witness. What is asked and what an answer means is `core::audit::witness`'s.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::{egress::Egress, intake::beginning};

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES: usize = 16 * 1024;

/// The status and the beginning of the answer, or a machine word. Witnesses are named by the operator, so they may stand
/// on a private network; the services that hand out credentials there stay out of reach.
///
/// # Errors
/// There was no answer.
pub async fn ask(egress: &Arc<Egress>, url: &str, body: String) -> Result<(u16, String), String> {
    let url = Url::parse(url).map_err(|_| "url_invalid".to_owned())?;
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    *request.timeout_mut() = Some(TIMEOUT);
    *request.body_mut() = Some(body.into());
    let mut response = egress.send(request, true).await.map_err(|failure| failure.code.word().to_owned())?;
    let status = response.status().as_u16();
    let answer = beginning(&mut response, ANSWER_BYTES).await;
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}

//! HTTP/1.1 messages as bytes: what both the client and the receiver read. Bounded by the test's patience only.

use std::io::{self, BufRead};

pub type Headers = Vec<(String, String)>;

pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if from.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        bytes.pop();
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The first line and the headers; `None` when the other side closed before either.
pub fn head(from: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let Some(first) = line(from)? else { return Ok(None) };
    let mut headers = Headers::new();
    loop {
        let next = line(from)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if next.is_empty() {
            return Ok(Some((first, headers)));
        }
        let (name, value) = next.split_once(':').ok_or_else(|| bad(format!("no header: {next}")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// A body by its headers. `to_end`: without a length it goes on to the end of the connection.
pub fn body(from: &mut impl BufRead, headers: &Headers, to_end: bool) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        while let Some(chunk) = chunk(from)? {
            out.extend_from_slice(&chunk);
        }
        return Ok(out);
    }
    match header(headers, "content-length") {
        Some(text) => {
            let length: usize = text.parse().map_err(|_| bad("no length"))?;
            out.resize(length, 0);
            from.read_exact(&mut out)?;
        }
        None if to_end => {
            from.read_to_end(&mut out)?;
        }
        None => {}
    }
    Ok(out)
}

/// One chunk; `None` is the last.
pub fn chunk(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = line(from)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| bad(format!("no chunk size: {size}")))?;
    let mut bytes = vec![0; size];
    from.read_exact(&mut bytes)?;
    line(from)?;
    Ok((size > 0).then_some(bytes))
}
